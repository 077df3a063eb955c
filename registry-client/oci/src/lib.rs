//! Names and documents of the OCI image world: digests, descriptors, platforms, references,
//! manifests, indexes and image configs.
//!
//! Invariants: no I/O; text is parsed at the edge into a type; documents keep their raw bytes and
//! unknown fields survive a round trip.

mod config;
mod descriptor;
mod digest;
mod document;
mod hashing;
mod image_document;
mod manifest;
mod media_type;
mod null;
mod platform;
mod platform_choice;
mod reference;
mod reference_grammar;
mod short_names;

pub use config::{Healthcheck, History, ImageConfig, RootFs, RunConfig};
pub use descriptor::Descriptor;
pub use digest::{Algorithm, ChainId, DiffId, Digest, DigestError, Hasher};
pub use document::{Document, DocumentError};
pub use hashing::Hashing;
pub use image_document::ImageDocument;
pub use manifest::{Index, Manifest};
pub use media_type::{Compression, MediaType};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError, Repository};
pub use short_names::{ShortNameError, ShortNames};
