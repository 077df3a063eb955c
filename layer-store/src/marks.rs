//! How layers say that something below is gone.
//!
//! Overlayfs has its marks, and the store writes those, so that layers can be mounted as they are. Some file
//! systems refuse them: overlayfs itself does, on which a plain container lies. There the store has marks of
//! its own, and steps run on copies.

use std::ffi::OsString;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode as Bits, Stat, XattrFlags, lsetxattr, makedev, mknodat};
use rustix::io::Errno;

use crate::Mode;
use crate::disk::{make_dir, remove_tree};
use crate::error::{At, Result, StoreError};
use crate::ids::random_hex;
use crate::truth::file_type;

/// The marks of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    /// Those of overlayfs: a character device 0:0 for a deleted name, an attribute with the prefix of the mode
    /// for a directory that hides everything below.
    Overlay(Mode),
    /// A socket that nobody may use for a deleted name, since every file system takes one from everybody and
    /// images have none; an attribute of ours for a directory.
    Own,
}

impl Marks {
    /// What the names of its attributes begin with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Overlay(mode) => mode.overlay_prefix(),
            Self::Own => "user.rbuild.",
        }
    }

    /// The attribute of a directory that hides everything below.
    pub(crate) fn opaque(self) -> OsString {
        format!("{}opaque", self.prefix()).into()
    }

    /// The kind of file that stands for a deleted name. Its device number is 0, and so is its mode.
    pub(crate) fn whiteout(self) -> FileType {
        match self {
            Self::Overlay(_) => FileType::CharacterDevice,
            Self::Own => FileType::Socket,
        }
    }

    /// The marks that can be written in a directory: overlay's where the file system takes them.
    pub(crate) fn fitting(scratch: &Path, mode: Mode) -> Result<Self> {
        let overlay = Self::Overlay(mode);
        for marks in [overlay, Self::Own] {
            if marks.can_be_written(scratch)? {
                return Ok(marks);
            }
        }
        Err(StoreError::path(scratch, "lies on a file system that keeps no extended attributes"))
    }

    fn can_be_written(self, scratch: &Path) -> Result<bool> {
        let dir = scratch.join(format!("marks-{}", random_hex()));
        make_dir(&dir)?;
        let written = self.write_both(&dir);
        remove_tree(&dir)?;
        match written {
            Ok(()) => Ok(true),
            Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP | Errno::INVAL | Errno::NOSYS) => Ok(false),
            Err(error) => Err(error).at(&dir),
        }
    }

    fn write_both(self, dir: &Path) -> rustix::io::Result<()> {
        mknodat(CWD, dir.join("gone"), self.whiteout(), Bits::empty(), makedev(0, 0))?;
        lsetxattr(dir, self.opaque(), b"y", XattrFlags::empty())
    }
}

/// Whether a file is a mark for a deleted name, in either form.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    match file_type(stat) {
        FileType::CharacterDevice => stat.st_rdev == 0,
        FileType::Socket => stat.st_mode & 0o7777 == 0,
        FileType::RegularFile
        | FileType::Directory
        | FileType::Symlink
        | FileType::Fifo
        | FileType::BlockDevice
        | FileType::Unknown => false,
    }
}
