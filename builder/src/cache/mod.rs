//! The remote cache: recorded results and their layers in a registry, a directory, or inside an image.
//!
//! - [`request`]: what the command line asks for;
//! - `document`: what one build adds to a cache, a *part*: records and the layers they name;
//! - `place`, `registry`, `directory`: where parts and layers lie, and how a part is added without
//!   removing those of others;
//! - `inline`: a part inside the config of an image;
//! - `read`: all parts of a place, whatever form they have;
//! - `shelf`: what the sources offer, and bringing a layer when a step needs it;
//! - `uploads`: packing and sending layers while later steps run, and adding the part at the end.
//!
//! Invariants: a fault of a source is a warning and never ends a build; a layer that is missing or
//! damaged is a miss for the steps that need it; a part appears only when all that it names is there;
//! nothing is sent twice. Absent, on purpose: values of build arguments and other parts of keys stay
//! here, a cache holds only digests of them.

mod directory;
mod document;
mod error;
mod feed;
mod inline;
mod place;
mod read;
mod registry;
pub mod request;
mod shelf;
mod sweep;
mod uploads;

pub use error::CacheError;
pub(crate) use error::is_lost;
pub(crate) use feed::{Feed, Told, Wanted, chain, new_layers};
pub(crate) use inline::write as write_inline;
pub(crate) use shelf::Shelf;
pub(crate) use uploads::{Uploads, records};
