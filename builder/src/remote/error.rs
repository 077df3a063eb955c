//! Why a context cannot be had.

use std::io;
use std::path::PathBuf;

use layer_store::StoreError;
use oci::{Digest, DocumentError, Platform};
use thiserror::Error;

use crate::context::ContextError;
use crate::error::{Categorised, Category, Cause};
use crate::file::FileError;
use crate::git::GitError;

/// A context or an image of a layout that cannot be had.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// The repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The URL.
    #[error(transparent)]
    Fetch(#[from] Cause),
    /// The archive.
    #[error(transparent)]
    File(#[from] FileError),
    /// The archive's place.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// What should be an archive is none.
    #[error("{what} is no tar archive")]
    NoArchive {
        /// Which.
        what: String,
    },
    /// The file behind a URL is neither an archive nor a text.
    #[error("{url} is neither an archive nor a Dockerfile: it is not text")]
    NotText {
        /// The address.
        url: String,
    },
    /// A file of the layout cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A document of the layout is malformed.
    #[error("{path}: {source}", path = path.display())]
    Document {
        /// The layout.
        path: PathBuf,
        /// Why.
        source: DocumentError,
    },
    /// The layout's list of images is malformed.
    #[error("{path}: {reason}", path = path.display())]
    Layout {
        /// The layout.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The layout does not hold a blob that it names.
    #[error("{path}: the blob {digest} is missing", path = path.display())]
    NoBlob {
        /// The layout.
        path: PathBuf,
        /// The blob.
        digest: Digest,
    },
    /// The layout's image is not for this platform.
    #[error("{path}: no image for {platform}", path = path.display())]
    NoPlatform {
        /// The layout.
        path: PathBuf,
        /// The platform.
        platform: Platform,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Categorised for RemoteError {
    fn category(&self) -> Category {
        match self {
            RemoteError::Git(error) => error.category(),
            RemoteError::Fetch(cause) => cause.category(),
            RemoteError::NotText { .. } => Category::Usage,
            RemoteError::File(_)
            | RemoteError::Context(_)
            | RemoteError::NoArchive { .. }
            | RemoteError::Io { .. }
            | RemoteError::Document { .. }
            | RemoteError::Layout { .. }
            | RemoteError::NoBlob { .. }
            | RemoteError::NoPlatform { .. }
            | RemoteError::Store(_) => Category::Local,
        }
    }
}
