//! Outputs: from finished trees and configs to images, archives, directories.
//!
//! - `assemble`: the documents of an image. Pure;
//! - `layers`: which blob stands for which layer, packing what was never packed;
//! - `layout`, `archive`, `directory`: OCI layouts and docker archives;
//! - `attested`: attestations of all of it;
//! - `push`: a registry; `engine`: a Docker engine; `stored`: the store's own images;
//! - `tree`, `tree_tar`, `trees`, `clear`: the files themselves;
//! - `check`: what no output can be made of, known before anything runs;
//! - `unfinished`: a file that appears under its name only when all is done.
//!
//! Invariants: layers of a base keep their blobs; a name is given only to what is complete; an
//! export that fails leaves neither files nor tags.

mod archive;
mod assemble;
mod attested;
mod check;
mod clear;
mod deliver;
mod directory;
mod early;
mod engine;
mod error;
mod estargz;
mod layers;
mod layout;
mod made;
mod push;
mod recompress;
mod request;
mod stamp;
mod stored;
mod tree;
mod tree_tar;
mod trees;
mod unfinished;

pub(crate) use archive::{directory as tar_directory, file as tar_file};
pub(crate) use assemble::index as assemble_index;
pub use assemble::{AssembledImage, BasePart, Family, LayerEntry, Style, Times, finish_config};
pub use attested::Attest;
pub(crate) use check::check;
pub use deliver::export;
pub(crate) use early::EarlyLayers;
pub use early::SentBlobs;
pub use error::{ExportError, TreeError};
pub(crate) use layout::{
    LAYOUT_VERSION, blob_path, docker_json as docker_manifest_json, index_json, named as named_entry,
};
pub(crate) use push::layer_source;
pub(crate) use recompress::recompress;
pub use request::{ExportRequest, Exported, FinishedTarget, RemoteLayer, RemoteLayers, takes_remote};
pub(crate) use stored::pack as pack_stored;
pub use tree::{Ownership, write_tree};
pub(crate) use tree_tar::write_tar;
pub(crate) use trees::PlacedTree;
pub(crate) use unfinished::UnfinishedFile;
pub use unfinished::write_whole;
