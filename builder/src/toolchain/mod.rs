//! What the plain commands do with images: pull, push, look at them, run them.
//!
//! Everything here is built from the pieces that a build uses; nothing prints.

mod allowance;
mod artifact;
mod artifact_files;
mod compare;
mod edit;
mod error;
mod file_list;
mod index_parts;
mod indexes;
mod inspect;
mod layers;
mod look;
mod mount;
mod opened;
mod place;
mod pull;
mod push;
mod run;
mod sign;
mod tags;
mod terminal;
mod validate;
mod wasted;

pub use allowance::pull_allowance;
pub use artifact::{Artifact, ArtifactFile, Discovered, Referrer, attach, discover, push_artifact};
pub use artifact_files::{Earlier, fetch_files};
pub use compare::{Comparison, Deviation, DifferingPart, MOST_OF_LAYER, Sameness, compare};
pub use edit::{ConfigChange, Edit, EditTarget, LayerChange, Mutation, NewTimes, edit};
pub use error::ToolError;
pub use file_list::FileList;
pub use index_parts::{IndexPart, Noted};
pub use indexes::{EntryChange, Existing, IndexRequest, MadeIndex, Single, annotate_index, make_index};
pub use inspect::{Inspected, InspectedConfig, digest, document, inspect};
pub use layer_store::DeadFile as HiddenFile;
pub(crate) use layers::hiding_layers;
pub use layers::{FileReport, LayerReport, layers};
pub use look::{ChangedFile, Difference, differences};
pub use mount::{MountedImage, Seen, Unmounting, mount, mounted, unmount_image};
pub use opened::{OpenImage, open_image};
pub(crate) use place::{Content, MadeSource, Source, stored_image, stored_referrers};
pub use place::{
    Copied, CopyOptions, InLayout, LayerChoice, LayerCrypt, LoadOptions, LoadSource, Place, PlaceError,
    PlaceNameError, Referrers, SaveOptions, SaveTarget, Sink, Types, copy, load, save,
};
pub use pull::{PulledImage, pull, pull_decrypted};
pub use push::push;
pub use run::{OnStarted, OnStarting, RunIo, RunOptions, run};
pub use sign::{SignOptions, SignatureForm, SignedParts, UnsignedError, sign, verify_signature};
pub use tags::{Deletion, TagsOf, catalog, delete, tags};
pub use terminal::attach as attach_terminal;
pub use validate::{Depth, Validation, validate};
pub use wasted::MOST_HIDDEN;
