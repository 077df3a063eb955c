//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};

use oci::Digest;
use thiserror::Error;

use crate::{LayerId, Mode};

/// The result of most calls of this crate.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A failure of the store, with the thing it is about.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system refused something.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The store belongs to another mode.
    #[error("the store {root} was made in mode {found}, and this is mode {wanted}: choose another with --root", root = root.display())]
    OtherMode {
        /// The store.
        root: PathBuf,
        /// Its mode.
        found: Mode,
        /// The mode of this process.
        wanted: Mode,
    },
    /// The store belongs to other ranges of user and group ids.
    #[error("the store {root} was made for other user and group ids: choose another with --root", root = root.display())]
    OtherIds {
        /// The store.
        root: PathBuf,
    },
    /// The store lies on a file system of another machine.
    #[error("the store {root} lies on {name}, where its locks and its index cannot be trusted: choose a local directory with --root", root = root.display())]
    RemoteFileSystem {
        /// The store.
        root: PathBuf,
        /// The file system.
        name: &'static str,
    },
    /// The store has a format that this program does not know.
    #[error("the store {root} has format {found}; this program knows format 1", root = root.display())]
    OtherFormat {
        /// The store.
        root: PathBuf,
        /// Its format.
        found: u64,
    },
    /// A store document does not parse.
    #[error("{path}: {source}", path = path.display())]
    Json {
        /// The document.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The index refused something.
    #[error("{path}: {source}", path = path.display())]
    Index {
        /// The database.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// Content is not what its digest promised.
    #[error("expected {expected}, got {found}")]
    Mismatch {
        /// The promise.
        expected: Digest,
        /// The content.
        found: Digest,
    },
    /// Content is not as long as its descriptor promised.
    #[error("{digest}: expected {expected} bytes, got {found}")]
    Length {
        /// Of what.
        digest: Digest,
        /// The promise.
        expected: u64,
        /// The content.
        found: u64,
    },
    /// A layer archive is malformed or hostile.
    #[error("layer archive, entry {entry:?}: {reason}")]
    Archive {
        /// The entry, as far as it can be shown.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A stream that carries an archive cannot be read.
    #[error("layer archive: {source}")]
    Stream {
        /// Why.
        source: io::Error,
    },
    /// A layer is not there, or not usable.
    #[error("layer {id} is absent")]
    AbsentLayer {
        /// Which.
        id: LayerId,
    },
    /// A path of a snapshot or layer is not what the caller needs.
    #[error("{path}: {reason}", path = path.display())]
    Path {
        /// The path inside the image.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The packed bytes could not be written where the caller wants them.
    #[error("writing the packed layer: {source}")]
    Sink {
        /// Why.
        source: io::Error,
    },
}

impl StoreError {
    pub(crate) fn archive(entry: &Path, reason: impl Into<String>) -> Self {
        Self::Archive { entry: entry.to_string_lossy().into_owned(), reason: reason.into() }
    }

    pub(crate) fn path(path: &Path, reason: &'static str) -> Self {
        Self::Path { path: path.to_owned(), reason }
    }
}

/// Adds the path to an error of the file system.
pub(crate) trait At<T> {
    fn at(self, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|error| StoreError::Io { path: path.as_ref().to_owned(), source: error.into() })
    }
}
