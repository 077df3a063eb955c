//! Why an image could not be read from a place, or written to one.

use std::io;
use std::path::{Path, PathBuf};

use layer_store::StoreError;
use oci::{Digest, DocumentError, Platform, Reference};
use registry_client::RegistryError;
use thiserror::Error;

use crate::encryption::LayerCipherError;
use crate::error::{Categorised, Category};
use crate::export::ExportError;
use crate::image::ImageError;

/// Why an image could not be read from a place, or written to one.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// A registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An image of the store or a registry.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Writing a file, or packing a layer.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A layer is not encrypted or decrypted.
    #[error(transparent)]
    Crypt(#[from] LayerCipherError),
    /// No such image in the store.
    #[error("no image {} in the store", name.familiar())]
    NotStored {
        /// The name.
        name: Reference,
    },
    /// A file or directory.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A place that is not what its name says, or lacks the image.
    #[error("{place}: {reason}")]
    Refused {
        /// The place.
        place: String,
        /// Why.
        reason: String,
    },
    /// A document that cannot be taken.
    #[error("{place}: {source}")]
    Document {
        /// The place.
        place: String,
        /// Why.
        source: DocumentError,
    },
    /// A blob or document that an image names and the place does not have.
    #[error("{place}: {digest} is missing")]
    Missing {
        /// The place.
        place: String,
        /// What is missing.
        digest: Digest,
    },
    /// An index without an image for the platform.
    #[error("{place} has no image for {platform}")]
    NoPlatform {
        /// The place.
        place: String,
        /// What was wanted.
        platform: Platform,
    },
    /// A blob that was not transferred.
    #[error("blob {digest}: {source}")]
    Blob {
        /// Which.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// Something that the form of the place has no room for.
    #[error("{place}: {reason}")]
    NoRoom {
        /// The place.
        place: String,
        /// What cannot be kept there.
        reason: &'static str,
    },
    /// A bare name where something is written or removed.
    #[error("{name}: say where: docker://{name} is the registry's image, store:{name} the store's")]
    Ambiguous {
        /// The name.
        name: String,
    },
}

impl PlaceError {
    pub(crate) fn io(path: &Path, source: impl Into<io::Error>) -> Self {
        PlaceError::Io { path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn refused(place: impl std::fmt::Display, reason: impl Into<String>) -> Self {
        PlaceError::Refused { place: place.to_string(), reason: reason.into() }
    }

    /// The registry's error inside an I/O error, else the blob's own.
    pub(crate) fn blob(digest: &Digest, source: io::Error) -> Self {
        match source.downcast::<RegistryError>() {
            Ok(inner) => PlaceError::Registry(inner),
            Err(source) => PlaceError::Blob { digest: digest.clone(), source },
        }
    }
}

impl Categorised for PlaceError {
    fn category(&self) -> Category {
        match self {
            PlaceError::Registry(error) => error.category(),
            PlaceError::Image(error) => error.category(),
            PlaceError::Export(error) => error.category(),
            PlaceError::NoRoom { .. } | PlaceError::Ambiguous { .. } => Category::Usage,
            PlaceError::Store(_)
            | PlaceError::Crypt(_)
            | PlaceError::NotStored { .. }
            | PlaceError::Io { .. }
            | PlaceError::Refused { .. }
            | PlaceError::Document { .. }
            | PlaceError::Missing { .. }
            | PlaceError::NoPlatform { .. }
            | PlaceError::Blob { .. } => Category::Local,
        }
    }
}
