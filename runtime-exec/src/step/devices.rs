//! `/dev`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use defence::Defence;
use rustix::fs::{CWD, FileType, Mode, OFlags, chmodat, mkdirat, mknodat, openat, stat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use super::hall::Hall;
use super::resolve::RootDir;
use super::tree;
use super::{At, mounts};
use crate::error::{Failure, Stage};
use crate::overlay::in_user_namespace;
use crate::spec::{Confinement, ProcessSpec};

/// What every sandbox has, all mode 0666.
pub(crate) const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 6] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
];

/// What an insecure sandbox outside a user namespace has besides, where the host has it.
const MORE: [&str; 6] = ["kmsg", "cuse", "fuse", "kvm", "net/tun", "loop-control"];
/// How many loop devices it has.
const LOOPS: u32 = 16;

/// Group 5 is `tty` by convention.
const TTY_GROUP: u32 = 5;

/// Makes `/dev` with everything below; returns the pseudo terminals' file system. In the default
/// confinement no node works but those that are made here: a step that makes others cannot open them.
pub(super) fn make(spec: &ProcessSpec, root: &mut RootDir, hall: &mut Hall) -> Result<OwnedFd, Failure> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    let attributes = match spec.confinement {
        Confinement::Default => attributes | MountAttrFlags::MOUNT_ATTR_NODEV,
        Confinement::Insecure => attributes,
    };
    let dev = mounts::fresh(root, "/dev", "tmpfs", &["mode=755", "size=65536k"], attributes)?;
    for (name, major, minor) in NODES {
        let device = rustix::fs::makedev(major, minor);
        match spec.confinement {
            Confinement::Default => view(&dev, hall, name, device),
            Confinement::Insecure => node(&dev, hall, name, device),
        }
        .at(Stage::Devices, name)?;
    }
    for (name, target) in LINKS {
        symlinkat(target, &dev, name).at(Stage::Devices, name)?;
    }
    if spec.confinement == Confinement::Insecure && !in_user_namespace() {
        more(&dev)?;
    }
    let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let inert = quiet | MountAttrFlags::MOUNT_ATTR_NODEV;
    for name in ["pts", "shm", "mqueue"] {
        mkdirat(&dev, name, Mode::from_raw_mode(0o755)).at(Stage::Devices, name)?;
    }
    let group = format!("gid={TTY_GROUP}");
    let mut options = vec!["newinstance", "ptmxmode=0666", "mode=0620"];
    if group_is_mapped(TTY_GROUP) {
        options.push(&group);
    }
    let pts = mounts::fresh(root, "/dev/pts", "devpts", &options, quiet)?;
    if !mounts::is_replaced(spec, "/dev/shm") {
        let size = format!("size={}", spec.shm_size);
        mounts::fresh(root, "/dev/shm", "tmpfs", &["mode=1777", &size], inert)?;
    }
    match tree::new("mqueue", &[], inert) {
        // A kernel without message queues.
        Err(Errno::NODEV) => {}
        mount => {
            let place = root.open("/dev/mqueue").at(Stage::Devices, "mqueue")?;
            tree::put(mount.at(Stage::Mount, "/dev/mqueue")?, place).at(Stage::Mount, "/dev/mqueue")?;
        }
    }
    Ok(pts)
}

/// A device node, or where that is refused a view of the host's.
fn node(dev: &OwnedFd, hall: &mut Hall, name: &str, device: u64) -> io::Result<()> {
    let mode = Mode::from_raw_mode(0o666);
    match mknodat(dev, name, FileType::CharacterDevice, mode, device) {
        Ok(()) => Ok(chmodat(dev, name, mode, rustix::fs::AtFlags::empty())?),
        Err(Errno::PERM) => view(dev, hall, name, device),
        Err(errno) => Err(errno.into()),
    }
}

/// A view of a node: of one made for this sandbox, or where that is refused of the host's.
fn view(dev: &OwnedFd, hall: &mut Hall, name: &str, device: u64) -> io::Result<()> {
    let seen = match hall.device(device)? {
        Some(own) => own,
        None => host_device(name, device)?,
    };
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    openat(dev, name, flags, Mode::from_raw_mode(0o666))?;
    let place = openat(dev, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    tree::put(seen, place)
}

/// A view of the host's character device `/dev/<name>`, if it is the one meant.
pub(super) fn host_device(name: &str, device: u64) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let node = open_tree(CWD, Path::new("/dev").join(name), flags)?;
    let found = rustix::fs::fstat(&node)?;
    let right =
        FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice && found.st_rdev == device;
    if right { Ok(node) } else { Err(Errno::NODEV.into()) }
}

fn more(dev: &OwnedFd) -> Result<(), Failure> {
    mkdirat(dev, "net", Mode::from_raw_mode(0o755)).at(Stage::Devices, "net")?;
    let loops = (0..LOOPS).map(|number| format!("loop{number}"));
    for name in MORE.into_iter().map(str::to_owned).chain(loops) {
        let Ok(found) = stat(Path::new("/dev").join(&name)) else { continue };
        let mode = Mode::from_raw_mode(found.st_mode & 0o7777);
        let kind = FileType::from_raw_mode(found.st_mode);
        match mknodat(dev, name.as_str(), kind, mode, found.st_rdev) {
            // Inside a container these devices may be forbidden, and then they are not there.
            Ok(()) | Err(Errno::PERM) => {}
            Err(errno) => return Err(errno).at(Stage::Devices, &name),
        }
    }
    Ok(())
}

fn group_is_mapped(group: u32) -> bool {
    let Ok(map) = std::fs::read_to_string("/proc/self/gid_map") else { return false };
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u32>().unwrap_or(0));
        let (first, _, count) = (numbers.next().unwrap_or(0), numbers.next(), numbers.next().unwrap_or(0));
        group >= first && group - first < count
    })
}

/// The place that `/dev/console` has, for a terminal.
pub(super) fn console_place(root: &RootDir) -> io::Result<OwnedFd> {
    let dev = root.open("/dev")?;
    let mut flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    if defence::stands(Defence::ConsoleNew) {
        flags |= OFlags::EXCL;
    }
    openat(dev.as_fd(), "console", flags, Mode::from_raw_mode(0o600))?;
    root.open("/dev/console")
}
