//! Why something could not be exported.

use std::io;
use std::path::{Path, PathBuf};

use layer_store::StoreError;
use oci::{Compression, DiffId, Reference};
use registry_client::{EngineError, RegistryError};
use thiserror::Error;

use crate::attest::StatementError;
use crate::error::{Categorised, Category};
use crate::image::ImageError;

/// A tree could not be written to a directory or a tar.
#[derive(Debug, Error)]
pub enum TreeError {
    /// The tree itself.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The destination.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl TreeError {
    pub(crate) fn io(path: &Path, source: impl Into<io::Error>) -> Self {
        TreeError::Io { path: path.to_owned(), source: source.into() }
    }
}

/// Why something could not be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A Docker engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The base image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// What is attested.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A file of the output.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Standard output.
    #[error("standard output: {0}")]
    Stdout(io::Error),
    /// An archive for a Docker engine.
    #[error("archive for the Docker engine: {0}")]
    Archive(io::Error),
    /// Something to push without a name.
    #[error("an image to push needs a name (-t or name=)")]
    NoName,
    /// A docker archive of several platforms.
    #[error("a docker archive holds one platform, and this build has {count}; use type=oci")]
    SeveralPlatforms {
        /// How many.
        count: usize,
    },
    /// Two platforms have the same file, and no directories of their own.
    #[error("{}: both {first} and {second} have it; platform-split=true gives each a directory", path.display())]
    SamePath {
        /// The file.
        path: PathBuf,
        /// The platform that had it first.
        first: String,
        /// The other.
        second: String,
    },
    /// An annotation for what there is not.
    #[error("annotation {key}: {reason}")]
    Annotation {
        /// Its key.
        key: String,
        /// What is missing.
        reason: String,
    },
    /// Attestations in what holds none.
    #[error("attestations: {reason}")]
    NoAttestations {
        /// Why.
        reason: &'static str,
    },
    /// A form that Docker's documents do not have.
    #[error("Docker's media types know no {compression} layers; use oci-mediatypes=true")]
    NoDockerForm {
        /// The form.
        compression: &'static str,
    },
    /// The tree has fewer layers than its base.
    #[error("{}: the tree has {layers} layers and its base {base}", reference.familiar())]
    BaseLayers {
        /// The base.
        reference: Reference,
        /// Of the tree.
        layers: usize,
        /// Of the base.
        base: usize,
    },
    /// A layer was packed to other content than the image's config says.
    #[error("layer {expected} packs as {actual}")]
    DiffId {
        /// From the config.
        expected: DiffId,
        /// From packing.
        actual: DiffId,
    },
    /// A time that is none.
    #[error("{seconds} is no time that can be written")]
    Time {
        /// Seconds since 1970.
        seconds: i64,
    },
}

impl ExportError {
    pub(crate) fn io(path: &Path, source: impl Into<io::Error>) -> Self {
        ExportError::Io { path: path.to_owned(), source: source.into() }
    }
}

/// As users write it.
pub(crate) fn compression_name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "uncompressed",
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    }
}

impl Categorised for ExportError {
    fn category(&self) -> Category {
        match self {
            ExportError::Registry(error) => error.category(),
            ExportError::Engine(_) => Category::Remote,
            ExportError::Image(error) => error.category(),
            ExportError::Statement(StatementError::Nothing | StatementError::Form { .. }) => Category::Step,
            ExportError::NoName
            | ExportError::SeveralPlatforms { .. }
            | ExportError::SamePath { .. }
            | ExportError::Annotation { .. }
            | ExportError::NoAttestations { .. }
            | ExportError::NoDockerForm { .. }
            | ExportError::Time { .. } => Category::Usage,
            ExportError::Store(_)
            | ExportError::Tree(_)
            | ExportError::Statement(StatementError::Store(_))
            | ExportError::Io { .. }
            | ExportError::Stdout(_)
            | ExportError::BaseLayers { .. }
            | ExportError::Archive(_)
            | ExportError::DiffId { .. } => Category::Local,
        }
    }
}
