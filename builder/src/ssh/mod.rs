//! Agents that steps may ask for ssh signatures: a socket of the caller's, or keys that the build holds.
//!
//! - `parse`: private keys from the text of their files;
//! - `key`: one key, its public form and its signatures;
//! - `keyring`: several, answering as an agent does;
//! - `destination`: hosts and repositories that a key is for;
//! - `known_hosts`: what the caller knows of those hosts;
//! - `client`: what the ssh client of a step is told of both.
//!
//! Not here: the sockets that steps see (`exec::agent`), and keys behind a passphrase, which nobody can
//! type during a build.

mod client;
mod destination;
mod error;
mod key;
mod keyring;
mod known_hosts;
mod parse;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use client::ClientSetup;
pub use destination::{Destination, KeyFile};
pub use error::{DestinationError, KeyError};
pub use keyring::Keyring;

/// Who answers a step that asks an agent.
#[derive(Clone, Debug)]
pub enum AgentSource {
    /// An agent of the caller's, at this socket.
    Socket(PathBuf),
    /// The build itself, with these keys.
    Keys(Arc<Keyring>),
}
