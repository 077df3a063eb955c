//! Opening paths of a context: beneath its descriptor, no link followed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags, openat, openat2, statx};
use rustix::io::Errno;

use super::record::Record;
use super::stamp::Stamp;
use super::{ContentDigest, ContextError, ContextScan, Source, xattr};

/// The context's own directory; a link that names it is followed.
pub(super) fn root(path: &Path) -> Result<(OwnedFd, Stamp), ContextError> {
    let failed = |source: Errno| ContextError::Root { path: path.into(), source: source.into() };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
    let stamp = stamp(fd.as_fd()).map_err(failed)?;
    Ok((fd, stamp))
}

/// A directory, for listing.
pub(super) fn directory(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    beneath(root, path, OFlags::RDONLY | OFlags::DIRECTORY)
}

fn stamp(fd: BorrowedFd<'_>) -> Result<Stamp, Errno> {
    let stat = statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
    Ok(Stamp::of(&stat))
}

fn beneath(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            // A rename in the path made the kernel unsure.
            Err(Errno::AGAIN) => {}
            Err(Errno::NOSYS) => return by_component(root, path, flags),
            other => return other,
        }
    }
}

/// For kernels without `openat2`: one component at a time, none of them a link.
fn by_component(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut parent: Option<OwnedFd> = None;
    let mut names = path.iter().peekable();
    while let Some(name) = names.next() {
        let at = parent.as_ref().map_or(root, |fd| fd.as_fd());
        if names.peek().is_none() {
            return openat(at, name, flags, Mode::empty());
        }
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        parent = Some(openat(at, name, step, Mode::empty())?);
    }
    Err(Errno::NOENT)
}

/// A file of a context, opened for one reading.
pub(crate) enum OpenFile {
    /// In the file system.
    File(OpenedFile),
    /// Given by value.
    Bytes(Bytes),
    /// Of a layer, which never changes.
    Stored(File),
}

/// A file that was found and is to be read.
pub(crate) struct ContextFile {
    pub(super) record: Record,
    /// The digest of its content, if that was asked for before.
    pub(crate) digest: Option<ContentDigest>,
}

/// An open file with what it must look like.
pub(crate) struct OpenedFile {
    /// For reading from its beginning.
    pub(crate) file: File,
    path: PathBuf,
    stamp: Stamp,
}

impl ContextScan {
    /// Opens a file for reading.
    pub(crate) fn open(&self, path: &Path) -> Result<OpenFile, ContextError> {
        let absent = || ContextError::Read { path: path.into(), source: Errno::NOENT.into() };
        self.open_record(path, &self.node(path)?.ok_or_else(absent)?.record)
    }

    /// Opens a file that was found by that path. It must be what the scan saw when it is checked.
    pub(crate) fn open_found(&self, path: &Path, file: &ContextFile) -> Result<OpenFile, ContextError> {
        self.open_record(path, &file.record)
    }

    fn open_record(&self, path: &Path, record: &Record) -> Result<OpenFile, ContextError> {
        let failed = |source: io::Error| ContextError::Read { path: path.into(), source };
        match (record.file_type(), &self.source) {
            (FileType::RegularFile, Source::Directory { fd, .. }) => {
                Ok(OpenFile::File(open_file(fd.as_fd(), path, record.stamp)?))
            }
            (FileType::RegularFile, Source::Memory(contents)) => {
                let bytes = contents.get(record.number as usize).cloned();
                bytes.map(OpenFile::Bytes).ok_or_else(|| failed(Errno::NOENT.into()))
            }
            (
                FileType::Directory
                | FileType::Symlink
                | FileType::Fifo
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Socket
                | FileType::Unknown,
                _,
            ) => Err(failed(io::Error::from(io::ErrorKind::InvalidInput))),
        }
    }
}

pub(super) fn open_file(root: BorrowedFd<'_>, path: &Path, stamp: Stamp) -> Result<OpenedFile, ContextError> {
    let fd = match beneath(root, path, OFlags::RDONLY) {
        Ok(fd) => fd,
        // It was there a moment ago: it became a link, lost a directory above it, or is gone.
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::XDEV) => {
            return Err(ContextError::Changed { path: path.into() });
        }
        Err(source) => return Err(ContextError::Read { path: path.into(), source: source.into() }),
    };
    let opened = OpenedFile { file: File::from(fd), path: path.into(), stamp };
    opened.check()?;
    Ok(opened)
}

impl OpenedFile {
    /// Its extended attributes.
    pub(crate) fn xattrs(&self) -> BTreeMap<OsString, Vec<u8>> {
        xattr::read(self.file.as_fd())
    }

    /// Fails if the file is not what the scan saw. To be called again after reading.
    pub(crate) fn check(&self) -> Result<(), ContextError> {
        let now = stamp(self.file.as_fd())
            .map_err(|source| ContextError::Read { path: self.path.clone(), source: source.into() })?;
        if now.same_content(&self.stamp) {
            Ok(())
        } else {
            Err(ContextError::Changed { path: self.path.clone() })
        }
    }
}
