//! Why a failed step cannot be entered or moved.

use std::io;
use std::path::PathBuf;

use layer_store::StoreError;
use thiserror::Error;

use crate::error::{Categorised, Category};
use crate::exec::ExecError;
use crate::export::ExportError;

/// Why a failed step cannot be entered or moved.
#[derive(Debug, Error)]
pub enum DebugError {
    /// The step of a bundle wants what only the caller may allow.
    #[error("the step of the bundle wants {what}: allow it with --allow {what}")]
    NotAllowed {
        /// The entitlement.
        what: &'static str,
    },
    /// What it left was not kept.
    #[error("what the step left was not kept ({ending}): look at the state before it with --before")]
    NoState {
        /// How it ended.
        ending: String,
    },
    /// The process cannot be run.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// A file of the bundle cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no bundle.
    #[error("{} is no bundle of a failed step: {reason}", path.display())]
    NoBundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The bundle cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Categorised for DebugError {
    fn category(&self) -> Category {
        match self {
            DebugError::NotAllowed { .. } => Category::Usage,
            DebugError::NoState { .. }
            | DebugError::Io { .. }
            | DebugError::NoBundle { .. }
            | DebugError::Store(_) => Category::Local,
            DebugError::Exec(error) => error.category(),
            DebugError::Export(error) => error.category(),
        }
    }
}
