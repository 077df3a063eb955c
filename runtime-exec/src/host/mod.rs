//! Entering the place where sandboxes can be made.

mod helper;
pub(crate) mod helper_process;
mod id_map;
mod user_namespace;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::mount::MountPropagationFlags;
use rustix::process::WaitOptions;
use rustix::thread::{CapabilitySet, UnshareFlags};
use serde::{Deserialize, Serialize};

pub use helper::{OutsideCommand, OutsideHelper, OutsideOutput};
pub use id_map::{IdMapping, IdRange};
pub(crate) use user_namespace::{map_alone, may_map_all, refusing_settings, subordinate_ranges, user_name};

use crate::error::HostError;
use crate::overlay::{self, OverlaySupport};
use crate::reexec;
use crate::spec::Isolation;
use crate::sys::clone::unshare;

/// How to enter.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Whether a user namespace is entered, and with which ids.
    pub ids: IdMapping,
    /// Where mounts are made.
    pub mounts: Mounts,
    /// What is to keep steps apart: without namespaces none is entered.
    pub isolation: Isolation,
}

/// Who sees the mounts that this process makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mounts {
    /// This process and its children; they end with it.
    #[default]
    Own,
    /// Everybody whom this process shares its mounts with; they stay. It takes the right to mount.
    Shared,
}

/// What this process is among the host's users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostMode {
    /// Root of the first user namespace, with the right to mount.
    Root,
    /// Root of another user namespace, entered here or around this process already.
    Mapped,
    /// Root of a user namespace in which there is no other user: those of steps have to be
    /// [emulated](crate::Identities::Emulated).
    SingleId,
}

/// This process, after it entered: root of its user namespace, with mounts of its own.
#[derive(Debug)]
pub struct Host {
    mode: HostMode,
    maps: (Vec<IdRange>, Vec<IdRange>),
    helper: OutsideHelper,
}

impl Host {
    /// Starts the outside helper, enters a user namespace where this process may not mount, and
    /// unshares the mounts, which from then on still follow the host's but no longer reach it, unless
    /// they are to be [shared](Mounts::Shared).
    ///
    /// To be called once, before any thread is started.
    pub fn enter(options: &HostOptions) -> Result<Host, HostError> {
        let helper = OutsideHelper::start().map_err(HostError::Helper)?;
        let stay = may_mount() && id_map::is_here(&options.ids)?;
        match (options.mounts, stay) {
            (Mounts::Shared, true) => {}
            (Mounts::Shared, false) => return Err(HostError::MayNotMount),
            (Mounts::Own, _) if options.isolation == Isolation::Chroot => may_chroot()?,
            (Mounts::Own, true) => own_mounts().map_err(HostError::MountNamespace)?,
            (Mounts::Own, false) => {
                user_namespace::enter(&options.ids, &helper)?;
                // Some systems let anyone enter a user namespace, and then allow nothing in it.
                own_mounts().map_err(user_namespace::refused)?;
            }
        }
        reexec::protect_executable();
        let maps = id_map::own_maps()?;
        let mode = match () {
            () if !overlay::in_user_namespace() => HostMode::Root,
            () if id_map::is_single(&maps.0) || id_map::is_single(&maps.1) => HostMode::SingleId,
            () => HostMode::Mapped,
        };
        Ok(Host { mode, maps, helper })
    }

    /// Root, or root of a user namespace, and of which kind.
    pub fn mode(&self) -> HostMode {
        self.mode
    }

    /// The user and the group ids that exist here, and what they are outside.
    pub fn id_maps(&self) -> (Vec<IdRange>, Vec<IdRange>) {
        self.maps.clone()
    }

    /// Runs programs outside, as the real user.
    pub fn helper(&self) -> OutsideHelper {
        self.helper.clone()
    }

    /// Becomes another program, which keeps these namespaces. Returns only with an error.
    pub fn become_program(
        self,
        program: &OsStr,
        arguments: &[OsString],
        set: &[(&str, &OsStr)],
    ) -> io::Error {
        drop(self.helper);
        // The helper ends when nothing is connected to it, and is nobody's child afterwards.
        while rustix::process::wait(WaitOptions::empty()).is_ok_and(|ended| ended.is_some()) {}
        Command::new(program).args(arguments).envs(set.iter().copied()).exec()
    }

    /// Whether directories below `dir` can be stacked with overlayfs, found out by doing it.
    pub fn probe_overlay(dir: &Path) -> Result<OverlaySupport, HostError> {
        overlay::probe(dir)
    }
}

fn own_mounts() -> io::Result<()> {
    unshare(UnshareFlags::NEWNS)?;
    let follow = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change("/", follow)?)
}

/// Without namespaces a step has nothing but the rights of this process.
pub(crate) fn may_chroot() -> Result<(), HostError> {
    let sets = rustix::thread::capabilities(None)
        .map_err(|source| HostError::Chroot { call: "capget", source: source.into() })?;
    let needed = [
        (CapabilitySet::SYS_CHROOT, "chroot (CAP_SYS_CHROOT)"),
        (CapabilitySet::MKNOD, "mknod (CAP_MKNOD)"),
        (CapabilitySet::CHOWN, "chown (CAP_CHOWN)"),
        (CapabilitySet::SETUID, "setuid (CAP_SETUID)"),
        (CapabilitySet::SETGID, "setgid (CAP_SETGID)"),
    ];
    match needed.into_iter().find(|(capability, _)| !sets.effective.contains(*capability)) {
        Some((_, call)) => Err(HostError::Chroot { call, source: io::Error::from_raw_os_error(libc::EPERM) }),
        None => Ok(()),
    }
}

/// Uid 0 inside a container often lacks this right.
pub(crate) fn may_mount() -> bool {
    rustix::process::geteuid().is_root()
        && rustix::thread::capabilities(None)
            .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}
