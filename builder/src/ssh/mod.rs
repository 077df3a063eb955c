//! Agents that steps may ask for ssh signatures: a socket of the caller's, or keys that the build holds.
//!
//! - `parse`: private keys from the text of their files;
//! - `key`: one key, its public form and its signatures;
//! - `keyring`: several, answering as an agent does.
//!
//! Not here: the sockets that steps see (`exec::agent`), and keys behind a passphrase, which nobody can
//! type during a build.

mod error;
mod key;
mod keyring;
mod parse;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

pub use error::KeyError;
pub use keyring::Keyring;

/// Who answers a step that asks an agent.
#[derive(Clone, Debug)]
pub enum AgentSource {
    /// An agent of the caller's, at this socket.
    Socket(PathBuf),
    /// The build itself, with these keys.
    Keys(Arc<Keyring>),
}
