//! Why a file is no key that can be used.

use std::io;
use std::path::PathBuf;

/// A file that cannot be used as a private key.
#[derive(Debug, thiserror::Error)]
#[error("{} {why}", path.display())]
pub struct KeyError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub why: Why,
}

/// A destination of a key that says none.
#[derive(Debug, thiserror::Error)]
#[error("{text}: {why}; the form is [USER@]HOST[:PORT][/PATH]:FILE")]
pub struct DestinationError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
    /// It is too long for a key.
    #[error("is no private key: it is longer than 100 KiB")]
    Long,
    /// It is something else.
    #[error("is no private key: OpenSSH and PEM forms are known")]
    NoKey,
    /// It is the other half.
    #[error("is a public key; name the file of the private one")]
    Public,
    /// It cannot be read without a passphrase.
    #[error("is protected by a passphrase: ssh-add it to an agent and give that (--ssh ID=SOCKET)")]
    Passphrase,
    /// It is of a kind that nothing here signs with.
    #[error(
        "is a key of the kind {0}; ed25519, RSA of 2048 to 8192 bits, and ECDSA on P-256 and P-384 are known"
    )]
    Kind(String),
    /// It has no public half.
    #[error(
        "holds no public key beside the private one; `ssh-keygen -p -f FILE` writes it in OpenSSH's form"
    )]
    Alone,
    /// Its numbers do not fit together.
    #[error("is damaged: {0}")]
    Damaged(String),
}
