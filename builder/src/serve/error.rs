//! Why the store cannot be served.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use registry_client::RegistryError;
use thiserror::Error;

use crate::error::{Categorised, Category};

/// Why the store cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// An address that others reach, without TLS or without passwords.
    #[error("{address} can be reached from other machines: that needs a certificate and passwords")]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The client that asks nobody.
    #[error(transparent)]
    Client(#[from] RegistryError),
    /// The listening socket failed.
    #[error("the listening socket: {0}")]
    Accept(#[source] io::Error),
    /// A file of certificates, keys or passwords cannot be read.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Such a file holds something else.
    #[error("{path}: {reason}", path = path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Categorised for ServeError {
    fn category(&self) -> Category {
        match self {
            ServeError::Exposed { .. } | ServeError::Setting { .. } => Category::Usage,
            ServeError::Listen { .. }
            | ServeError::Client(_)
            | ServeError::Accept(_)
            | ServeError::File { .. } => Category::Local,
        }
    }
}
