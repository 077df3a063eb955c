//! Paths inside a root: looked up with that root as the end of the world, made where absent.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use defence::Defence;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_OMIT, fstat, mkdirat,
    openat, openat2, readlinkat, statat, utimensat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::emulation;
use crate::spec::Identities;

/// Links that one path may cross.
const MAX_LINKS: usize = 40;

/// Times that others may make what one path lacks, between our look and our own making.
const MAX_LOST: usize = 100;

/// What a mount point has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

/// A mount point that was made for a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stub {
    /// Real path below the root, without a leading slash.
    pub(crate) path: PathBuf,
    /// What was made.
    pub(crate) kind: Kind,
    /// Its inode.
    pub(crate) inode: u64,
    /// When its inode last changed.
    pub(crate) changed: (i64, i64),
}

/// The root directory of a sandbox, and what was added to it.
#[derive(Debug)]
pub(crate) struct RootDir {
    fd: OwnedFd,
    device: u64,
    stubs: Vec<Stub>,
}

/// For whom a missing directory is made.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    /// As a mount point, to be removed again.
    MountPoint(Kind),
    /// As a mount point that every root has, to stay.
    Standing,
    /// To stay, owned by a user and group.
    Owned(u32, u32),
    /// To stay, and recorded as owned by a user and group.
    Recorded(u32, u32),
}

impl RootDir {
    /// The root that `fd` refers to.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<RootDir> {
        let device = fstat(&fd)?.st_dev;
        Ok(RootDir { fd, device, stubs: Vec::new() })
    }

    /// What was made for mounts on the root file system, in order.
    pub(crate) fn stubs(&self) -> &[Stub] {
        &self.stubs
    }

    /// The file or directory at `path`, links followed.
    pub(crate) fn open(&self, path: &str) -> io::Result<OwnedFd> {
        open_inside(self.fd.as_fd(), path)
    }

    /// A place to mount something on, made when absent, with its parents.
    pub(crate) fn mount_point(&mut self, path: &str, kind: Kind) -> io::Result<OwnedFd> {
        self.walk(path, Purpose::MountPoint(kind))
    }

    /// A directory to mount something on that every root has, made when absent, and kept.
    pub(crate) fn standing_mount_point(&mut self, path: &str) -> io::Result<OwnedFd> {
        self.walk(path, Purpose::Standing)
    }

    /// The directory at `path`, made 0755 for a user when absent, with its parents.
    pub(crate) fn owned_directory(
        &mut self,
        path: &str,
        uid: u32,
        gid: u32,
        identities: &Identities,
    ) -> io::Result<OwnedFd> {
        match identities {
            Identities::Kernel => self.walk(path, Purpose::Owned(uid, gid)),
            Identities::Emulated { .. } => self.walk(path, Purpose::Recorded(uid, gid)),
        }
    }

    fn walk(&mut self, path: &str, purpose: Purpose) -> io::Result<OwnedFd> {
        let mut ahead: VecDeque<String> = components(path).collect();
        let mut real = PathBuf::new();
        let (mut links, mut lost) = (0, 0);
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                real.pop();
                continue;
            }
            let next = real.join(&name);
            match open_real(self.fd.as_fd(), &next, OFlags::NOFOLLOW) {
                Ok(found) if is_link(&found)? && defence::stands(Defence::LinksReadInside) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = readlinkat(&found, "", Vec::new())?;
                    let target = target.to_str().map_err(|_| Errno::ILSEQ)?.to_owned();
                    if target.starts_with('/') {
                        real = PathBuf::new();
                    }
                    components(&target).rev().for_each(|name| ahead.push_front(name));
                }
                Ok(_) => real = next,
                Err(Errno::NOENT) => match self.make(&real, &name, purpose, ahead.is_empty()) {
                    Ok(()) => real = next,
                    // Another step with the same directory mounted was faster.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists && lost < MAX_LOST => {
                        lost += 1;
                        ahead.push_front(name);
                    }
                    Err(error) => return Err(error),
                },
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(open_real(self.fd.as_fd(), &real, OFlags::empty())?)
    }

    /// Makes one missing component; the times of its parent stay as they were for a mount point.
    fn make(&mut self, parent: &std::path::Path, name: &str, purpose: Purpose, last: bool) -> io::Result<()> {
        let above = open_real(self.fd.as_fd(), parent, OFlags::DIRECTORY)?;
        let before = fstat(&above)?;
        let mode = Mode::from_raw_mode(0o755);
        let kind = match purpose {
            Purpose::MountPoint(Kind::File) if last => Kind::File,
            Purpose::MountPoint(_) | Purpose::Standing | Purpose::Owned(..) | Purpose::Recorded(..) => {
                Kind::Directory
            }
        };
        match kind {
            Kind::Directory => mkdirat(&above, name, mode)?,
            Kind::File => {
                let flags =
                    OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
                openat(&above, name, flags, Mode::from_raw_mode(0o644))?;
            }
        }
        match purpose {
            Purpose::Owned(uid, gid) => {
                let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
                rustix::fs::chownat(&above, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            Purpose::Recorded(uid, gid) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let made = openat(&above, name, flags, Mode::empty())?;
                emulation::record_owner(made.as_fd(), uid, gid)?;
            }
            Purpose::Standing => set_times(above.as_fd(), &before)?,
            Purpose::MountPoint(_) => {
                set_times(above.as_fd(), &before)?;
                if before.st_dev == self.device {
                    let made = statat(&above, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    let changed = change_time(&made);
                    self.stubs.push(Stub { path: parent.join(name), kind, inode: made.st_ino, changed });
                }
            }
        }
        Ok(())
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What lies at `path` below `root`, links followed and never out of it.
pub(crate) fn open_inside(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    let relative = components(path).collect::<Vec<_>>().join("/");
    Ok(open_at(root, relative.as_ref(), OFlags::empty(), ResolveFlags::empty())?)
}

/// What lies at a path without links below `root`; the last component may be one with `NOFOLLOW`.
pub(crate) fn open_real(
    root: BorrowedFd<'_>,
    path: &std::path::Path,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    open_at(root, path, flags, ResolveFlags::NO_SYMLINKS)
}

fn open_at(
    root: BorrowedFd<'_>,
    path: &std::path::Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { std::path::Path::new(".") } else { path };
    let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
    let mut resolve = resolve | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    if !defence::stands(Defence::RootEnds) {
        resolve -= ResolveFlags::IN_ROOT;
    }
    if !defence::stands(Defence::NoLinks) {
        resolve -= ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    }
    // The kernel gives up on `..` while anything on the system is renamed or mounted, and asks to try again.
    for _ in 0..1000 {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

fn components(path: &str) -> impl DoubleEndedIterator<Item = String> + '_ {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned)
}

fn is_link(file: &OwnedFd) -> rustix::io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(file)?.st_mode) == FileType::Symlink)
}

/// The time of the last change of an inode.
pub(crate) fn change_time(stat: &Stat) -> (i64, i64) {
    (stat.st_ctime, stat.st_ctime_nsec as i64)
}

/// Gives a directory back its modification time.
pub(crate) fn set_times(directory: BorrowedFd<'_>, before: &Stat) -> rustix::io::Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ },
        last_modification: Timespec { tv_sec: before.st_mtime, tv_nsec: before.st_mtime_nsec as _ },
    };
    utimensat(directory, ".", &times, AtFlags::empty())
}

#[cfg(test)]
mod tests {
    use rustix::fs::CWD;

    use super::*;

    #[test]
    fn steps_that_share_a_directory_may_make_the_same_mount_point_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let make = || {
            let fd = openat(CWD, dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
            let mut root = RootDir::new(fd).unwrap();
            let made = (0..200).map(|nth| root.mount_point(&format!("/{nth}"), Kind::Directory));
            made.filter_map(Result::err).map(|error| error.to_string()).collect::<Vec<_>>()
        };
        let failed = std::thread::scope(|scope| {
            let steps = [(); 4].map(|()| scope.spawn(make));
            steps.map(|thread| thread.join().unwrap()).concat()
        });
        assert_eq!(failed, Vec::<String>::new());
    }
}
