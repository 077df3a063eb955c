//! Why a command has no result.

use std::io;
use std::path::PathBuf;

use layer_store::StoreError;
use oci::{Platform, Reference};
use runtime_exec::{MountError, OutsideError};
use thiserror::Error;

use super::place::PlaceError;
use super::sign::UnsignedError;
use crate::error::{Categorised, Category};
use crate::exec::ExecError;
use crate::export::ExportError;
use crate::image::ImageError;

/// Why a command has no result.
#[derive(Debug, Error)]
pub enum ToolError {
    /// A container of that name runs.
    #[error("a container named {name} runs already")]
    NameInUse {
        /// The name.
        name: String,
    },
    /// The layers of the store cannot be stacked with overlayfs.
    #[error("{}: overlayfs cannot mount what lies here, since this file system refused its marks when the store was made", path.display())]
    NoOverlay {
        /// The store.
        path: PathBuf,
    },
    /// The image could not be had.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image could not be sent.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// It is not signed.
    #[error(transparent)]
    Unsigned(#[from] UnsignedError),
    /// The process did not run.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such image in the store.
    #[error("no image {} in the store", name.familiar())]
    NoImage {
        /// The name.
        name: Reference,
    },
    /// The store's image is not for that platform.
    #[error("{} is not in the store for {platform}", name.familiar())]
    NoVariant {
        /// The name.
        name: Reference,
        /// The platform.
        platform: Platform,
    },
    /// It has no manifest, and so no digest that a registry would know.
    #[error("{} has no manifest yet: it was never packed for a registry or an archive", name.familiar())]
    NeverPacked {
        /// The image.
        name: Reference,
    },
    /// Neither the image nor the caller says what to run.
    #[error("{} names no command: give one", name.familiar())]
    NoCommand {
        /// The image.
        name: Reference,
    },
    /// An image could not be mounted or unmounted.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The process that sees the mounts of others does not answer.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// A mount is in the mount namespace of other processes.
    #[error("{path} is mounted in another mount namespace: unmount it there", path = path.display())]
    MountedElsewhere {
        /// The mount point.
        path: PathBuf,
    },
    /// A layer's archive cannot be read.
    #[error("layer {layer}: {source}")]
    Archive {
        /// Which.
        layer: String,
        /// Why.
        source: io::Error,
    },
}

impl Categorised for ToolError {
    fn category(&self) -> Category {
        match self {
            ToolError::Image(error) => error.category(),
            ToolError::Export(error) => error.category(),
            ToolError::Exec(error) => error.category(),
            ToolError::Place(error) => error.category(),
            ToolError::Store(_)
            | ToolError::Unsigned(_)
            | ToolError::NoImage { .. }
            | ToolError::NoVariant { .. }
            | ToolError::NeverPacked { .. }
            | ToolError::MountedElsewhere { .. }
            | ToolError::Archive { .. } => Category::Local,
            ToolError::Mount(_) | ToolError::NoOverlay { .. } | ToolError::Outside(_) => Category::Host,
            ToolError::NoCommand { .. } | ToolError::NameInUse { .. } => Category::Usage,
        }
    }
}
