//! Why images could not be brought in line.

use std::path::PathBuf;

use oci::Repository;
use thiserror::Error;

use crate::error::{Categorised, Category};
use crate::toolchain::PlaceError;

/// Why images could not be brought in line.
#[derive(Debug, Error)]
pub enum SyncError {
    /// A list that makes no sense.
    #[error("{path}: {reason}", path = path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The tags of a repository cannot be had.
    #[error("tags of {}: {source}", repository.familiar())]
    Tags {
        /// The repository.
        repository: Repository,
        /// Why.
        source: PlaceError,
    },
    /// An image has no place at the target.
    #[error("{image} cannot be called {name}: {reason}")]
    Name {
        /// The image.
        image: String,
        /// What it would be called.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Nothing to copy.
    #[error("{source_name}: there is no image")]
    Nothing {
        /// Where was looked.
        source_name: String,
    },
    /// An image was not copied.
    #[error("{from} to {to}: {source}")]
    Copy {
        /// From.
        from: String,
        /// To.
        to: String,
        /// Why not.
        source: PlaceError,
    },
    /// A directory cannot be read.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

impl Categorised for SyncError {
    fn category(&self) -> Category {
        match self {
            SyncError::List { .. } | SyncError::Name { .. } => Category::Usage,
            SyncError::Nothing { .. } => Category::Local,
            SyncError::Tags { source, .. } | SyncError::Copy { source, .. } | SyncError::Place(source) => {
                source.category()
            }
        }
    }
}
