//! What can go wrong with a remote cache.

use std::io;
use std::path::{Path, PathBuf};

use layer_store::{LayerId, StoreError};
use oci::DocumentError;
use registry_client::RegistryError;
use thiserror::Error;

use crate::error::{Categorised, Category, Cause};
use crate::image::ImageError;

/// What can go wrong with a remote cache.
#[derive(Debug, Error)]
pub enum CacheError {
    /// A registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// This store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob on its way.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file of a directory.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else stands under the name.
    #[error("{place} holds {what}")]
    Foreign {
        /// The name.
        place: String,
        /// What it holds.
        what: &'static str,
    },
    /// A manifest or index that cannot be taken.
    #[error("{place}: {source}")]
    Manifest {
        /// Where it lies.
        place: String,
        /// Why.
        source: Box<DocumentError>,
    },
    /// A part that cannot be read.
    #[error("{place}: {reason}")]
    Part {
        /// Where it lies.
        place: String,
        /// Why.
        reason: String,
    },
    /// Others wrote to the same name again and again.
    #[error("{place}: others write to it all the time, and none of {tries} tries lasted")]
    Contested {
        /// The name.
        place: String,
        /// How often it was tried.
        tries: usize,
    },
    /// A layer that was offered cannot be had.
    #[error("layer {layer} of the cache cannot be had")]
    Lost {
        /// Which.
        layer: LayerId,
    },
}

impl CacheError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// Whether there is nothing yet.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            Self::Registry(error) => matches!(error, RegistryError::NotFound(_)),
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Store(_)
            | Self::Image(_)
            | Self::Foreign { .. }
            | Self::Manifest { .. }
            | Self::Part { .. }
            | Self::Contested { .. }
            | Self::Lost { .. } => false,
        }
    }
}

/// Whether a layer of a cache is missing, so that the build can go on without it.
pub(crate) fn is_lost(cause: &Cause) -> bool {
    matches!(cause.error().downcast_ref(), Some(CacheError::Lost { .. }))
}

impl Categorised for CacheError {
    fn category(&self) -> Category {
        match self {
            Self::Registry(error) => error.category(),
            Self::Contested { .. } | Self::Lost { .. } => Category::Remote,
            Self::Image(error) => error.category(),
            Self::Store(_)
            | Self::Io { .. }
            | Self::Foreign { .. }
            | Self::Manifest { .. }
            | Self::Part { .. } => Category::Local,
        }
    }
}
