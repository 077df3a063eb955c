//! Images of registries and of the store: what a name stands for, and their layers.
//!
//! - `facts`: name → manifest and config, the store first;
//! - `answers`: what a tag stands for, asked once by builds side by side;
//! - `documents`: manifests and configs as blobs of the store;
//! - `pull`: the missing layers of an image;
//! - `stream`: one layer's blob on its way from the network to disk, stored and unpacked in one pass.
//!
//! Invariants: nothing counts before its digest and size are verified; a layer's tar must have the
//! diff id that the config promises; what is there is not fetched again.

mod answers;
mod documents;
mod error;
mod facts;
mod progress;
mod pull;
mod stream;

pub(crate) use documents::{BaseImage, base_image, find_document, keep_document, stored as stored_document};
pub use error::ImageError;
pub use facts::image_facts;
pub(crate) use facts::stored_variant;
pub(crate) use progress::{Progress, short};
pub use pull::pull_image;
pub(crate) use stream::{Incoming, Outgoing, ensure_blob, staged_blob};
