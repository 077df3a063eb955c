//! Paths that are hidden or may not be written, each opened once and handled by its descriptor.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use defence::Defence;
use rustix::fs::{FileType, fstat};
use rustix::mount::MountAttrFlags;

use super::At;
use super::devices::host_device;
use super::resolve::RootDir;
use super::tree::{self, Below};
use crate::error::{Failure, Stage};
use crate::security::SystemPaths;
use crate::sys::mount_attr;

const HIDDEN: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Hides and protects what this kernel has of the lists, and what is asked for besides.
pub(super) fn apply(root: &RootDir, paths: &SystemPaths) -> Result<(), Failure> {
    let closed = |path: &&str| !paths.open.contains(path);
    for path in READ_ONLY.into_iter().filter(closed) {
        if let Some(found) = open(root, path).at(Stage::Mask, path)? {
            protect(&found).at(Stage::Mask, path)?;
        }
    }
    let more = paths.more.iter().map(String::as_str);
    for path in HIDDEN.into_iter().filter(closed).chain(more) {
        if let Some(found) = open(root, path).at(Stage::Mask, path)? {
            hide(&found).at(Stage::Mask, path)?;
        }
    }
    Ok(())
}

fn open(root: &RootDir, path: &str) -> io::Result<Option<OwnedFd>> {
    match root.open(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn protect(found: &OwnedFd) -> io::Result<()> {
    if !defence::stands(Defence::PathsReadOnly) {
        return Ok(());
    }
    let view = tree::view(found.as_fd(), Below::Kept)?;
    mount_attr::set(view.as_fd(), mount_attr::RDONLY, mount_attr::Tree)?;
    tree::put(view, found)
}

/// An empty directory over a directory, `/dev/null` over anything else.
fn hide(found: &OwnedFd) -> io::Result<()> {
    if !defence::stands(Defence::PathsHidden) {
        return Ok(());
    }
    let cover = if FileType::from_raw_mode(fstat(found)?.st_mode) == FileType::Directory {
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        tree::new("tmpfs", &["mode=755", "size=4k"], attributes)?
    } else {
        // Read-only: nobody inside changes owner or mode of the host's node.
        let null = host_device("null", rustix::fs::makedev(1, 3))?;
        if defence::stands(Defence::NullReadOnly) {
            mount_attr::set(null.as_fd(), mount_attr::RDONLY, mount_attr::ThisOnly)?;
        }
        null
    };
    tree::put(cover, found)
}
