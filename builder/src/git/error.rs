//! What can go wrong with repositories.

use std::io;
use std::path::PathBuf;

use layer_store::StoreError;
use runtime_exec::OutsideError;
use thiserror::Error;

use crate::error::{Categorised, Category};

/// A repository whose files cannot be had.
#[derive(Debug, Error)]
pub enum GitError {
    /// The address is refused.
    #[error("{url}: {reason}")]
    Address {
        /// The address, without secrets.
        url: String,
        /// Why.
        reason: &'static str,
    },
    /// The name of a branch or tag is refused.
    #[error("{name:?} cannot be the name of a branch, a tag or a commit")]
    Name {
        /// The name.
        name: String,
    },
    /// The repository has no such branch or tag.
    #[error("{url} has no {name}")]
    NoRef {
        /// The address, without secrets.
        url: String,
        /// What was asked for.
        name: String,
    },
    /// The commit has no such directory.
    #[error("{url}: {subdir} is no directory of the commit{}", if *.link { ": it is, or lies behind, a symbolic link" } else { "" })]
    Subdir {
        /// The address, without secrets.
        url: String,
        /// The directory.
        subdir: String,
        /// Whether a link stands there.
        link: bool,
    },
    /// Git LFS is not there.
    #[error("{url}: lfs=1 needs git-lfs, which is not installed")]
    NoLargeFiles {
        /// The address, without secrets.
        url: String,
    },
    /// `git` is not there.
    #[error("git is not installed")]
    NotInstalled,
    /// Nothing can be run for this session.
    #[error("there is no helper to run git")]
    NoHelper,
    /// `git` could not be run.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// `git` failed.
    #[error("{url}: git {doing} failed:\n{said}{}", hint(.said))]
    Failed {
        /// The address, without secrets.
        url: String,
        /// The subcommand.
        doing: String,
        /// What it said.
        said: String,
    },
    /// A file of the commit cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What to do about it, if that is known.
fn hint(said: &str) -> &'static str {
    if said.contains("Host key verification failed") {
        "\nthe host's key is not known: compare it, and add it to ~/.ssh/known_hosts (ssh-keyscan HOST prints it)"
    } else if said.contains("Permission denied (publickey") {
        "\nkeys come from the user's own ssh, or, when it is given, from --ssh default[=SOCKET|KEY] alone"
    } else {
        ""
    }
}

impl Categorised for GitError {
    fn category(&self) -> Category {
        match self {
            GitError::Address { .. } | GitError::Name { .. } => Category::Usage,
            GitError::NoRef { .. } | GitError::Subdir { .. } | GitError::Failed { .. } => Category::Remote,
            GitError::NoLargeFiles { .. }
            | GitError::NotInstalled
            | GitError::NoHelper
            | GitError::Outside(_) => Category::Host,
            GitError::Io { .. } | GitError::Store(_) => Category::Local,
        }
    }
}
