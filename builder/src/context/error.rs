//! What can go wrong while a context is read.

use std::io;
use std::path::PathBuf;

use graph::PatternError;
use layer_store::StoreError;
use thiserror::Error;

use crate::error::{Categorised, Category};

/// A context cannot be read as asked.
#[derive(Debug, Error)]
pub enum ContextError {
    /// The directory that was named as the context.
    #[error("context directory {}: {source}", path.display())]
    Root {
        /// As the caller gave it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or directory in it.
    #[error("{} in the context: {source}", path.display())]
    Read {
        /// Relative to the context.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file was written to between the scan and the end of reading it.
    #[error("{} changed while the build was reading it", path.display())]
    Changed {
        /// Relative to the context.
        path: PathBuf,
    },
    /// An ignore rule.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The index of known digests.
    #[error("index of context files: {0}")]
    Index(#[from] StoreError),
}

impl Categorised for ContextError {
    fn category(&self) -> Category {
        match self {
            Self::Root { .. } | Self::Read { .. } | Self::Changed { .. } | Self::Index(_) => Category::Local,
            Self::Pattern(_) => Category::Usage,
        }
    }
}
