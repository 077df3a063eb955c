//! Everything that is mounted inside a root, in order.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use defence::Defence;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use super::hall::Hall;
use super::resolve::{Kind, RootDir, open_inside};
use super::tree::{self, Below};
use super::{At, devices, masks};
use crate::error::{Failure, Stage};
use crate::overlay::{self, Namespace, Stack};
use crate::spec::{Confinement, MountSource, MountSpec, ProcessSpec, ReadOnly};
use crate::sys::mount_attr;

/// No devices, no set-user-id, nothing executable.
const INERT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Mounts everything; returns the pseudo terminals' file system.
pub(super) fn make(spec: &ProcessSpec, root: &mut RootDir, hall: &mut Hall) -> Result<OwnedFd, Failure> {
    // The kernel refuses a new one in a user namespace while parts of the one around are covered, as they are in
    // a container. Then that one is shown with its covers: the processes in it are those of the container around.
    own_or_around(root, "/proc", "proc", INERT)?;
    let pts = devices::make(spec, root, hall)?;
    let system = match spec.confinement {
        Confinement::Default if defence::stands(Defence::SystemReadOnly) => {
            INERT | MountAttrFlags::MOUNT_ATTR_RDONLY
        }
        Confinement::Default | Confinement::Insecure => INERT,
    };
    // It belongs to the network namespace: in a user namespace with the host's network the host's is shown.
    own_or_around(root, "/sys", "sysfs", system)?;
    control_groups(root, system)?;
    for (target, bytes) in [("/etc/hosts", &spec.etc.hosts), ("/etc/resolv.conf", &spec.etc.resolv_conf)] {
        if let Some(bytes) = bytes {
            let file = hall.file(bytes, 0o644, (0, 0), &spec.identities).at(Stage::Mount, target)?;
            place(root, target, &file, Kind::File, ReadOnly::Yes)?;
        }
    }
    for mount in &spec.mounts {
        make_one(root, mount, hall, spec)?;
    }
    match spec.confinement {
        Confinement::Default => masks::apply(root, &spec.security.system_paths)?,
        Confinement::Insecure => {}
    }
    Ok(pts)
}

/// Mounts a new file system at a target. A directory that is made for it stays in the root, as every
/// root has one there.
pub(super) fn fresh(
    root: &mut RootDir,
    target: &str,
    kind: &str,
    options: &[&str],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Failure> {
    let mount = tree::new(kind, options, attributes).at(Stage::Mount, target)?;
    put_standing(root, target, &mount)?;
    Ok(mount)
}

fn put_standing(root: &mut RootDir, target: &str, mount: &OwnedFd) -> Result<(), Failure> {
    let point = root.standing_mount_point(target).at(Stage::Mount, target)?;
    tree::put(mount, &point).at(Stage::Mount, target)
}

/// Whether the step brings a mount of its own for a target.
pub(super) fn is_replaced(spec: &ProcessSpec, target: &str) -> bool {
    spec.mounts.iter().any(|mount| mount.target.trim_end_matches('/') == target)
}

/// Puts a mount at a target inside, which is made where absent.
fn place(
    root: &mut RootDir,
    target: &str,
    mount: &OwnedFd,
    kind: Kind,
    read_only: ReadOnly,
) -> Result<(), Failure> {
    match read_only {
        ReadOnly::Yes => {
            mount_attr::set(mount.as_fd(), mount_attr::RDONLY, mount_attr::Tree).at(Stage::Mount, target)?
        }
        ReadOnly::No => {}
    }
    let point = root.mount_point(target, kind).at(Stage::Mount, target)?;
    if same(root, &point).at(Stage::Mount, target)? {
        return Err(Errno::INVAL).at(Stage::Mount, target);
    }
    tree::put(mount, &point).at(Stage::Mount, target)
}

/// Whether a target is the root itself, over which nothing can be mounted.
fn same(root: &RootDir, point: &OwnedFd) -> rustix::io::Result<bool> {
    let (a, b) = (fstat(root)?, fstat(point)?);
    Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

/// A new file system that tells of the kernel, or where that is refused the one around.
fn own_or_around(
    root: &mut RootDir,
    target: &str,
    kind: &str,
    attributes: MountAttrFlags,
) -> Result<(), Failure> {
    let mount = match tree::new(kind, &[], attributes) {
        Err(Errno::PERM) => {
            let tree = open_host(target.as_ref()).at(Stage::Mount, target)?;
            mount_attr::set(tree.as_fd(), u64::from(attributes.bits()), mount_attr::Tree)
                .at(Stage::Mount, target)?;
            tree
        }
        other => other.at(Stage::Mount, target)?,
    };
    put_standing(root, target, &mount)
}

/// The step's own part of the control groups, where the host has the second version alone and lets
/// it be mounted. Else an empty directory: the first version differs per controller and tells nothing.
fn control_groups(root: &mut RootDir, attributes: MountAttrFlags) -> Result<(), Failure> {
    const TARGET: &str = "/sys/fs/cgroup";
    /// f_type of the second version.
    const CGROUP2: u64 = 0x6367_7270;
    if root.open(TARGET).is_err() {
        return Ok(());
    }
    let unified = rustix::fs::statfs(TARGET).is_ok_and(|found| found.f_type as u64 == CGROUP2);
    let groups = if unified { tree::new("cgroup2", &[], attributes).ok() } else { None };
    let mount = match groups {
        Some(groups) => groups,
        None => tree::new("tmpfs", &["mode=755", "size=4k"], attributes).at(Stage::Mount, TARGET)?,
    };
    place(root, TARGET, &mount, Kind::Directory, ReadOnly::No)
}

fn make_one(
    root: &mut RootDir,
    mount: &MountSpec,
    hall: &mut Hall,
    spec: &ProcessSpec,
) -> Result<(), Failure> {
    let target = mount.target.as_str();
    match &mount.source {
        MountSource::Directory(path) | MountSource::Socket(path) => {
            let noun = path.to_string_lossy();
            let tree = open_host(path).at(Stage::Mount, &noun)?;
            let kind = kind_of(&tree).at(Stage::Mount, &noun)?;
            if kind == Kind::Directory {
                // A node that is named itself is meant to work.
                no_devices(&tree, spec.confinement).at(Stage::Mount, &noun)?;
            }
            place(root, target, &tree, kind, mount.read_only)
        }
        MountSource::Overlay { lower, subpath, scratch } => {
            let tree = stacked(hall, lower, scratch.as_ref(), subpath)?;
            let kind = kind_of(&tree).at(Stage::Mount, subpath)?;
            no_devices(&tree, spec.confinement).at(Stage::Mount, subpath)?;
            let read_only = match scratch {
                None if defence::stands(Defence::BindReadOnly) => ReadOnly::Yes,
                Some(_) | None => mount.read_only,
            };
            place(root, target, &tree, kind, read_only)
        }
        MountSource::Tmpfs { size } => {
            let option = size.map(|bytes| format!("size={bytes}"));
            let options: Vec<&str> = option.iter().map(String::as_str).collect();
            let tmpfs =
                tree::new("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_NOSUID).at(Stage::Mount, target)?;
            no_devices(&tmpfs, spec.confinement).at(Stage::Mount, target)?;
            place(root, target, &tmpfs, Kind::Directory, mount.read_only)
        }
        MountSource::Content { bytes, mode, uid, gid } => {
            let file = hall.file(bytes, *mode, (*uid, *gid), &spec.identities).at(Stage::Mount, target)?;
            place(root, target, &file, Kind::File, mount.read_only)
        }
    }
}

/// Makes nodes of devices useless in a mount, where a step is confined.
pub(super) fn no_devices(mount: impl AsFd, confinement: Confinement) -> io::Result<()> {
    match confinement {
        Confinement::Default if defence::stands(Defence::NodesUseless) => {
            mount_attr::set(mount.as_fd(), mount_attr::NODEV, mount_attr::Tree)
        }
        Confinement::Default | Confinement::Insecure => Ok(()),
    }
}

/// A view of a path of the host, with what is mounted below it.
fn open_host(path: &std::path::Path) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags)
}

fn kind_of(mount: &OwnedFd) -> rustix::io::Result<Kind> {
    Ok(match FileType::from_raw_mode(fstat(mount)?.st_mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile
        | FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Kind::File,
    })
}

/// A part of a stack of directories; a link in `subpath` cannot lead out of it.
fn stacked(
    hall: &mut Hall,
    lower: &[PathBuf],
    scratch: Option<&(PathBuf, PathBuf)>,
    subpath: &str,
) -> Result<OwnedFd, Failure> {
    let plain = match (lower, scratch) {
        ([only], None) => Some(only),
        ([], Some((upper, _))) => Some(upper),
        ([], None) => return tree::new("tmpfs", &["mode=755", "size=4k"], INERT).at(Stage::Mount, subpath),
        (_, _) => None,
    };
    let whole = match plain {
        Some(dir) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(dir, flags, Mode::empty()).at(Stage::Mount, &dir.to_string_lossy())?
        }
        None => {
            let upper = scratch.map(|(upper, work)| (upper.as_path(), work.as_path()));
            let mounted = overlay::mount(Stack { lower, upper, volatile: true }, Namespace::Own);
            let mounted = mounted
                .map_err(|(path, error)| Failure::new(Stage::Mount, path.to_string_lossy(), &error))?;
            // Before Linux 6.15 only parts of an attached mount can be viewed.
            hall.attach(mounted.as_fd()).at(Stage::Mount, subpath)?;
            mounted
        }
    };
    let view = || -> io::Result<OwnedFd> {
        let part = open_inside(whole.as_fd(), subpath)?;
        Ok(tree::view(part.as_fd(), Below::Left)?)
    };
    view().at(Stage::Mount, subpath)
}
