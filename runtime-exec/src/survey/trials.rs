//! What the kernel lets a process do, tried in a process of its own, which ends with the trial.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::CWD;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, MoveMountFlags, mount_change, move_mount};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use super::{Asker, Refusal, Trial};
use crate::capabilities::Capabilities;
use crate::channel::{Channel, retry};
use crate::host::map_alone;
use crate::seccomp;
use crate::step::tree;
use crate::sys::clone::{Forked, fork_into, unshare};
use crate::sys::{self, process::exit_now};

/// What is tried together, since one builds on the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tried {
    pub(super) namespaces: Vec<(String, Trial)>,
    pub(super) proc: Trial,
    pub(super) mount: Trial,
    pub(super) filter: Trial,
}

/// All but the process namespace, which concerns children only.
const NAMESPACES: [(&str, UnshareFlags); 5] = [
    ("CLONE_NEWNS", UnshareFlags::NEWNS),
    ("CLONE_NEWIPC", UnshareFlags::NEWIPC),
    ("CLONE_NEWUTS", UnshareFlags::NEWUTS),
    ("CLONE_NEWNET", UnshareFlags::NEWNET),
    ("CLONE_NEWCGROUP", UnshareFlags::NEWCGROUP),
];

/// Whether a user namespace can be had, whoever asks.
pub(super) fn user_namespace() -> Trial {
    Trial::of("clone(CLONE_NEWUSER)", in_child(libc::CLONE_NEWUSER as u64, || Some(())))
}

/// Tries the rest: as it is where the asker may mount, else as root of a user namespace with one id.
pub(super) fn run(user: &Asker) -> Tried {
    let flags = if user.may_mount { 0 } else { libc::CLONE_NEWUSER as u64 };
    let ids = (user.uid, rustix::process::getegid().as_raw());
    let tried = in_child(flags, move || {
        if flags != 0 {
            // Where that is refused, what follows shows it.
            let _ = map_alone(ids);
        }
        Some(attempts())
    });
    tried.unwrap_or_else(|_| Tried {
        namespaces: NAMESPACES.iter().map(|(name, _)| ((*name).to_owned(), Trial::Untried)).collect(),
        proc: Trial::Untried,
        mount: Trial::Untried,
        filter: Trial::Untried,
    })
}

fn attempts() -> Tried {
    let mut namespaces: Vec<(String, Trial)> = NAMESPACES
        .iter()
        .map(|(name, flag)| ((*name).to_owned(), Trial::of(&format!("unshare({name})"), unshare(*flag))))
        .collect();
    let own_mounts = matches!(namespaces.first(), Some((_, Trial::Works(_))));
    let mount = match own_mounts {
        true => mount(),
        false => Trial::Untried,
    };
    let inner = in_child(libc::CLONE_NEWPID as u64, move || Some((own_mounts).then(proc)));
    let (processes, proc) = match inner {
        Ok(proc) => (Trial::works(), proc.unwrap_or(Trial::Untried)),
        Err(error) => (Trial::Refused(Refusal::new("clone3(CLONE_NEWPID)", &error)), Trial::Untried),
    };
    namespaces.push(("CLONE_NEWPID".to_owned(), processes));
    Tried { namespaces, proc, mount, filter: filter() }
}

/// As a sandbox begins: mounts that stay here, and memory over the root.
fn mount() -> Trial {
    let follow = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    if let Err(error) = mount_change("/", follow) {
        return Trial::Refused(Refusal::new("mount(/, MS_SLAVE)", &error.into()));
    }
    let memory = match tree::new("tmpfs", &["mode=700"], MountAttrFlags::empty()) {
        Ok(memory) => memory,
        Err(error) => return Trial::Refused(Refusal::new("fsmount(tmpfs)", &error.into())),
    };
    let put = move_mount(memory.as_fd(), "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH);
    Trial::of("move_mount(/)", put)
}

/// The kernel refuses a new one while parts of the one around are covered.
fn proc() -> Trial {
    Trial::of("fsmount(proc)", tree::new("proc", &[], MountAttrFlags::empty()))
}

fn filter() -> Trial {
    let filter = seccomp::default_filter(Capabilities::DEFAULT.set());
    Trial::of("seccomp(SECCOMP_SET_MODE_FILTER)", sys::seccomp::install(&filter))
}

/// What a child in new namespaces finds.
fn in_child<T: Serialize + serde::de::DeserializeOwned>(
    namespaces: u64,
    work: impl FnOnce() -> Option<T>,
) -> io::Result<T> {
    let (ours, theirs) = Channel::pair()?;
    match fork_into(namespaces)? {
        Forked::Child => {
            let sent = work().is_some_and(|found| theirs.send(&found, &[]).is_ok());
            exit_now(i32::from(!sent))
        }
        Forked::Parent { pidfd, .. } => {
            drop(theirs);
            let said = ours.receive::<T>();
            retry(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED))?;
            match said? {
                Some((found, _)) => Ok(found),
                None => Err(io::Error::from_raw_os_error(libc::ECHILD)),
            }
        }
    }
}
