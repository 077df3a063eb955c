//! Places that images are read from and written to: registries, the store, layouts, archives and
//! directories, under the names that skopeo gives them.
//!
//! - `source`: a place opened for reading, with its documents and blobs;
//! - `content`: all that an image consists of, found by walking its documents;
//! - `copy`: from a source to any place, byte for byte; one file for each kind of target;
//! - `beside`: what stands under tags that are made of an image's digest;
//! - `save` and `load`: several images at once, between the store and one file;
//! - `crypt`: layers that are encrypted or decrypted on their way;
//! - `types`: documents in the other family of media types.
//!
//! Invariants: documents are never written anew, but where layers are encrypted or decrypted, or other
//! media types are asked for;
//! every blob is held against digest and size on its way; what makes an image visible is written last.

mod beside;
mod content;
mod copy;
mod crypt;
mod docker;
mod error;
mod files;
mod load;
mod made;
mod made_of;
mod members;
mod name;
mod pipe;
mod prune_layout;
mod save;
mod source;
mod span;
mod stored;
mod to_archive;
mod to_directory;
mod to_layout;
mod to_registry;
mod to_store;
mod types;
mod verified;

pub(crate) use beside::{beside, open_if_there, tag_of};
pub(crate) use content::Content;
pub(crate) use copy::write;
pub use copy::{Copied, CopyOptions, Referrers, copy};
pub use crypt::{LayerChoice, LayerCrypt};
pub use error::PlaceError;
pub(crate) use files::layout_tags;
pub use load::{LoadOptions, LoadSource, load};
pub(crate) use made::{MadeSource, empty_config};
pub(crate) use made_of::made_of;
pub use name::{InLayout, Place, PlaceNameError};
pub(crate) use pipe::into_blocking;
pub(crate) use prune_layout::remove_from_layout;
pub use save::{SaveOptions, SaveTarget, save};
pub(crate) use source::Source;
pub(crate) use stored::referrers as stored_referrers;
pub use to_archive::Sink;
pub(crate) use to_store::{named as stored_image, take_in};
pub use types::Types;
