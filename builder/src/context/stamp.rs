//! What tells one state of a file from another without reading it.

use std::path::PathBuf;

use layer_store::{Attributes, Entry, Kind, Time};
use rustix::fs::{FileType, Statx};

/// The facts of a `statx` that change when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    pub(crate) mtime: (i64, u32),
    pub(crate) ctime: (i64, u32),
    /// File type and permission bits.
    pub(crate) mode: u32,
}

impl Stamp {
    pub(crate) fn of(stat: &Statx) -> Self {
        Self {
            dev: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            ino: stat.stx_ino,
            size: stat.stx_size,
            mtime: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            ctime: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
            mode: u32::from(stat.stx_mode),
        }
    }

    /// Whether both are the same content of the same file. A link count may have changed the ctime,
    /// which is why only the content's own facts are held against each other.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        (self.dev, self.ino, self.size, self.mtime) == (other.dev, other.ino, other.size, other.mtime)
    }
}

/// The entry that a `statx` in a context stands for; `None` for what does not exist in contexts.
pub(super) fn entry(stat: &Statx, target: impl FnOnce() -> Option<PathBuf>) -> Option<Entry> {
    let kind = match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
        FileType::RegularFile => Kind::File { size: stat.stx_size },
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink { target: target()? },
        FileType::Fifo => Kind::Fifo,
        FileType::CharacterDevice => {
            Kind::CharDevice { major: stat.stx_rdev_major, minor: stat.stx_rdev_minor }
        }
        FileType::BlockDevice => Kind::BlockDevice { major: stat.stx_rdev_major, minor: stat.stx_rdev_minor },
        FileType::Socket => Kind::Socket,
        FileType::Unknown => return None,
    };
    let stamp = Stamp::of(stat);
    let attributes = Attributes {
        kind,
        mode: stamp.mode & 0o7777,
        uid: 0,
        gid: 0,
        mtime: Time { secs: stamp.mtime.0, nanos: stamp.mtime.1 },
        xattrs: Default::default(),
    };
    let device = usize::try_from(stamp.dev).unwrap_or(usize::MAX);
    Some(Entry { attributes, identity: (device, stamp.ino), links: u64::from(stat.stx_nlink) })
}
