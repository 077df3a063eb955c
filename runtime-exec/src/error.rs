//! What can go wrong.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The host cannot offer sandboxes.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The outside helper did not start.
    #[error("cannot start the helper process")]
    Helper(#[source] io::Error),
    /// The kernel refused a user namespace.
    #[error("user namespaces are refused here: {reason}")]
    UserNamespace {
        /// The setting that is known to refuse, or what to look at.
        reason: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// `newuidmap` or `newgidmap` is not installed.
    #[error("{program} is not installed (package uidmap or shadow-utils)")]
    NoMapProgram {
        /// The missing program.
        program: &'static str,
    },
    /// `newuidmap` or `newgidmap`, or the kernel, refused the map.
    #[error("{program} refused the id map: {message}")]
    MapRefused {
        /// Who refused.
        program: String,
        /// What it said.
        message: String,
    },
    /// Steps without namespaces take rights that this process does not have.
    #[error("--isolation=chroot takes root with the capabilities of a usual container: {call} is refused")]
    Chroot {
        /// The call, and the capability that it takes.
        call: &'static str,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// The mount namespace could not be made.
    #[error("cannot make a mount namespace")]
    MountNamespace(#[source] io::Error),
    /// A file about this process could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Mounts are to be seen by others, and this process may not make any.
    #[error("mounts need the right to mount: run this below `rbuild unshare`")]
    MayNotMount,
    /// A directory for a probe could not be made.
    #[error("cannot prepare the overlay probe in {path}")]
    Probe {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A mount that is to outlive this process.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The namespaces of this process cannot be told.
    #[error("cannot read {path}")]
    Namespace {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A stack of directories could not be mounted.
    #[error("cannot mount at {path}")]
    Mount {
        /// The mount point, or the directory that was refused.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A mount could not be taken away.
    #[error("cannot unmount {path}")]
    Unmount {
        /// The mount point.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A program could not be run outside.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// The helper process is gone or does not answer.
    #[error("the helper process does not answer")]
    Helper(#[source] io::Error),
    /// The program could not be started.
    #[error("cannot run {program}")]
    Program {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Steps of setting up a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Reading or checking the specification.
    Spec,
    /// Making namespaces.
    Namespaces,
    /// Mounting the root file system.
    Root,
    /// Mounting something inside.
    Mount,
    /// Filling `/dev`.
    Devices,
    /// Hiding paths.
    Mask,
    /// Connecting a private network.
    Network,
    /// Host name, loopback, limits.
    Limits,
    /// Setting up the terminal.
    Terminal,
    /// Changing the root.
    Pivot,
    /// Making or entering the working directory.
    Cwd,
    /// Installing the system call filter.
    Seccomp,
    /// Capabilities, user and groups.
    Identity,
    /// Starting the program.
    Exec,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Spec => "spec",
            Stage::Namespaces => "namespaces",
            Stage::Root => "root",
            Stage::Mount => "mount",
            Stage::Devices => "devices",
            Stage::Mask => "mask",
            Stage::Network => "network",
            Stage::Limits => "limits",
            Stage::Terminal => "terminal",
            Stage::Pivot => "pivot",
            Stage::Cwd => "cwd",
            Stage::Seccomp => "seccomp",
            Stage::Identity => "identity",
            Stage::Exec => "exec",
        })
    }
}

/// The one failure that a keeper reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was being done.
    pub stage: Stage,
    /// The path (or other noun) it was done to.
    pub path: String,
    /// What the kernel said.
    pub errno: i32,
}

impl Failure {
    /// A failure at `stage` about `path`.
    pub(crate) fn new(stage: Stage, path: impl Into<String>, error: &io::Error) -> Failure {
        Failure { stage, path: path.into(), errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from_raw_os_error(self.errno);
        if self.stage == Stage::Exec {
            write!(f, "exec {:?}: {error}", self.path)
        } else {
            write!(f, "sandbox {} {}: {error}", self.stage, self.path)
        }
    }
}

/// A sandbox could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The keeper process could not be started.
    #[error("cannot start the sandbox process")]
    Start(#[source] io::Error),
    /// The specification cannot be passed on.
    #[error("cannot pass the specification to the sandbox process: {0}")]
    Spec(String),
    /// The keeper reported a failure.
    #[error("{0}")]
    Setup(Failure),
    /// The keeper ended without a report.
    #[error("the sandbox process ended without a report")]
    Lost,
}

impl SpawnError {
    /// The stage that failed, where the keeper got so far.
    pub fn stage(&self) -> Option<Stage> {
        match self {
            SpawnError::Setup(failure) => Some(failure.stage),
            SpawnError::Start(_) | SpawnError::Spec(_) | SpawnError::Lost => None,
        }
    }

    /// The error number, if there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            SpawnError::Setup(failure) => Some(failure.errno),
            SpawnError::Start(error) => error.raw_os_error(),
            SpawnError::Spec(_) | SpawnError::Lost => None,
        }
    }

    /// The exit code a shell would give: 127 for a program that is not there, 126 for one that
    /// cannot be executed, 125 for all else.
    pub fn exit_code(&self) -> u8 {
        match self {
            SpawnError::Setup(Failure { stage: Stage::Exec, errno, .. }) => match *errno {
                libc::ENOENT | libc::ENOTDIR => 127,
                _ => 126,
            },
            SpawnError::Setup(_) | SpawnError::Start(_) | SpawnError::Spec(_) | SpawnError::Lost => 125,
        }
    }
}

/// The end of a step could not be learnt.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The keeper was killed.
    #[error("the sandbox process ended without a report")]
    Lost,
    /// The keeper could not be waited for.
    #[error("cannot wait for the sandbox process")]
    Wait(#[source] io::Error),
}

/// A resource limit has a name that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown resource limit {0:?}")]
pub struct UnknownResource(pub String);
