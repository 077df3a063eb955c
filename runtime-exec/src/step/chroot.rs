//! A step without namespaces: its root directory is changed, and that is all.
//!
//! Nothing is mounted. What the step finds in `/dev` and `/etc` the keeper wrote there. It is root of the
//! machine, with fewer capabilities, and can leave its root directory: nothing is claimed.

use std::os::fd::OwnedFd;

use rustix::process::{chroot, fchdir};

use super::resolve::RootDir;
use super::{At, StepFds, become_program, begin, working_directory};
use crate::channel::Channel;
use crate::error::{Failure, Stage};
use crate::spec::{FirstProcess, Identities, MountSpec, NetworkMode, ProcessSpec, ReadOnly, Root, Terminal};

/// Refuses what takes namespaces, by its name.
pub(crate) fn check(spec: &ProcessSpec) -> Result<(), Failure> {
    let refused = |stage, what: &str| {
        let error = std::io::Error::from_raw_os_error(libc::EOPNOTSUPP);
        Err(Failure::new(stage, format!("{what} without namespaces"), &error))
    };
    if let Some(MountSpec { target, .. }) = spec.mounts.first() {
        return refused(Stage::Mount, target);
    }
    match &spec.root {
        Root::Directory(_) => {}
        Root::Overlay { .. } => return refused(Stage::Root, "an overlay"),
    }
    match spec.network {
        NetworkMode::Host => {}
        NetworkMode::None | NetworkMode::Private => return refused(Stage::Network, "a network"),
    }
    match spec.root_access {
        ReadOnly::No => {}
        ReadOnly::Yes => return refused(Stage::Root, "a read-only root"),
    }
    match spec.terminal {
        Terminal::None => {}
        Terminal::New { .. } => return refused(Stage::Terminal, "a terminal"),
    }
    match spec.first_process {
        FirstProcess::Program => {}
        FirstProcess::Init => return refused(Stage::Namespaces, "an init"),
    }
    match spec.identities {
        Identities::Kernel => Ok(()),
        Identities::Emulated { .. } => refused(Stage::Identity, "emulated users"),
    }
}

/// Does what has to be done in the new process.
pub(super) fn set_up(
    spec: &ProcessSpec,
    root: OwnedFd,
    fds: &mut StepFds,
    reporter: &Channel,
) -> Result<std::convert::Infallible, Failure> {
    begin(spec, reporter)?;
    let mut root = RootDir::new(root).at(Stage::Root, "/")?;
    let cwd = working_directory(spec, &mut root)?;
    fchdir(&root).at(Stage::Root, "/")?;
    chroot(".").at(Stage::Root, "chroot")?;
    drop(root);
    become_program(spec, fds, reporter, &cwd, None)
}
