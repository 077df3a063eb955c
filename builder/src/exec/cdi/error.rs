//! Why a device cannot be had.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::error::{Categorised, Category};

/// Why a device cannot be had.
#[derive(Debug, Error)]
pub enum CdiError {
    /// A file that describes devices cannot be read.
    #[error("device description {}: {source}", path.display())]
    Read {
        /// The file or its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that should describe devices is malformed.
    #[error("device description {}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No file describes a required device.
    #[error("required device {name:?} is not registered in {}", shown(directories))]
    NotRegistered {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        directories: Vec<PathBuf>,
    },
    /// Two files of equal weight describe one device.
    #[error("device {name:?} is described by both {} and {}", first.display(), second.display())]
    Ambiguous {
        /// The device.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Neither the caller nor the device's description allows it.
    #[error(
        "device {name:?} is not allowed: the entitlement device was not granted (--allow device, or --allow device={asked})"
    )]
    NotAllowed {
        /// The device.
        name: String,
        /// What was asked for.
        asked: String,
    },
    /// A device needs something that steps are not given.
    #[error("device {device:?} needs {what}, which rbuild does not provide")]
    Unsupported {
        /// The device.
        device: String,
        /// What.
        what: String,
    },
    /// A variable without a value.
    #[error("device {device:?}: the variable {entry:?} is not NAME=VALUE")]
    Variable {
        /// The device.
        device: String,
        /// The entry.
        entry: String,
    },
    /// Something of the host that is not there.
    #[error("device {device:?}: {}: {source}", path.display())]
    Missing {
        /// The device.
        device: String,
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A place inside that is none.
    #[error("device {device:?}: {} is not an absolute path", path.display())]
    Target {
        /// The device.
        device: String,
        /// The path.
        path: PathBuf,
    },
}

fn shown(directories: &[PathBuf]) -> String {
    directories.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl Categorised for CdiError {
    fn category(&self) -> Category {
        match self {
            CdiError::NotAllowed { .. } => Category::Usage,
            CdiError::Read { .. }
            | CdiError::Malformed { .. }
            | CdiError::NotRegistered { .. }
            | CdiError::Ambiguous { .. }
            | CdiError::Unsupported { .. }
            | CdiError::Variable { .. }
            | CdiError::Missing { .. }
            | CdiError::Target { .. } => Category::Host,
        }
    }
}
