//! What a file is, besides its content.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// A moment, as file systems keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Seconds since 1970, rounded down.
    pub secs: i64,
    /// Nanoseconds after that.
    pub nanos: u32,
}

/// Type of a file, with what belongs to that type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Its text.
        target: PathBuf,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A socket.
    Socket,
}

/// The true metadata of a file, whatever the file system could keep of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// Its type.
    pub kind: Kind,
    /// Permission bits, at most `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change of its content.
    pub mtime: Time,
    /// Extended attributes. Those of the overlay file system and of this store are never among them.
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
}

impl Attributes {
    /// Plain ones: owned by root, dated 1970, without extended attributes.
    pub fn new(kind: Kind, mode: u32) -> Self {
        Self { kind, mode: mode & 0o7777, uid: 0, gid: 0, mtime: Time::default(), xattrs: BTreeMap::new() }
    }

    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }

    /// The target, if this is a symbolic link.
    pub fn symlink_target(&self) -> Option<&std::path::Path> {
        if let Kind::Symlink { target } = &self.kind { Some(target) } else { None }
    }
}

/// A file of a merged tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its metadata.
    pub attributes: Attributes,
    /// Layer (its place in the snapshot, from the bottom) and inode number: equal for hard links of one file.
    pub identity: (usize, u64),
    /// How many names the file has in that layer, or in other layers that share it.
    pub links: u64,
}
