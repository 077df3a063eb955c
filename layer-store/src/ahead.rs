//! Looks up the next files of a directory, several at a time, side by side.
//!
//! Each file costs some calls that wait for nothing but the kernel. So they are made on all cores, and the small
//! files are read on the way; who walks then finds everything at hand.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, statat};

use crate::attributes::Attributes;
use crate::error::{At, Result};
use crate::marks::is_whiteout;
use crate::names::{HostNames, may_be_mark};
use crate::sheet::{Sheet, is_opaque};
use crate::truth::{self, file_type};

/// So many files are looked up together.
const AT_ONCE: usize = 128;

/// Fewer are looked up one after the other: that is sooner done.
const WORTH_SHARING: usize = 8;

/// A file of up to this many bytes is read when it is looked up.
const SMALL: u64 = 64 << 10;

/// So many bytes of files are at hand at most.
const ROOM: usize = 8 << 20;

/// A file of a layer that was looked up.
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) host: PathBuf,
    pub(crate) stat: Stat,
    pub(crate) attributes: Attributes,
    /// A directory that shows nothing of the layers below.
    pub(crate) opaque: bool,
    /// What is in it, if it is small and was asked for.
    pub(crate) content: Option<Vec<u8>>,
}

/// Looks up files of one layer.
pub(crate) struct LookAhead<'a> {
    pub(crate) sheet: &'a Sheet,
    /// The attribute of directories that show nothing of the layers below.
    pub(crate) opaque: OsString,
    /// Where contents are wanted: the room that is left for them.
    pub(crate) room: Option<Room>,
}

/// Room for contents. A file that finds none is not read ahead.
pub(crate) struct Room(AtomicUsize);

impl Room {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(ROOM))
    }

    fn take(&self, size: usize) -> Option<usize> {
        let left = |left: usize| left.checked_sub(size);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).ok().map(|_| size)
    }

    fn give_back(&self, size: usize) {
        self.0.fetch_add(size, Ordering::Relaxed);
    }
}

impl LookAhead<'_> {
    /// The next files of a directory, without marks for deleted names. Empty only at the end.
    pub(crate) fn next_files(&self, dir: &Path, left: &mut HostNames) -> Result<Vec<Found>> {
        loop {
            let names: Vec<_> = left.by_ref().take(AT_ONCE).collect::<Result<_>>()?;
            if names.is_empty() {
                return Ok(Vec::new());
            }
            let look = |(name, kind): &(OsString, FileType)| self.look(dir.join(name), *kind);
            let found: Vec<Found> = if names.len() < WORTH_SHARING {
                names.iter().filter_map(|name| look(name).transpose()).collect::<Result<_>>()?
            } else {
                // The first that fails in the order of the names is the error.
                let all: Vec<Result<Option<Found>>> = names.par_iter().map(look).collect();
                all.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?
            };
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }

    /// One file; `None` if it is a mark for a deleted name.
    pub(crate) fn look(&self, path: PathBuf, kind: FileType) -> Result<Option<Found>> {
        let host = self.sheet.host.join(&path);
        if kind == FileType::RegularFile
            && let Some(found) = self.look_into(&path, &host)?
        {
            return Ok(Some(found));
        }
        let stat = statat(CWD, &host, AtFlags::SYMLINK_NOFOLLOW).at(&host)?;
        if may_be_mark(kind) && is_whiteout(&stat) {
            return Ok(None);
        }
        let attributes = truth::read(&host, &path, &stat, &self.sheet.aside)?;
        let opaque = file_type(&stat) == FileType::Directory && is_opaque(&host, &self.opaque)?;
        Ok(Some(Found { path, host, stat, attributes, opaque, content: None }))
    }

    /// A regular file with its content, if contents are wanted and it can be opened.
    fn look_into(&self, path: &Path, host: &Path) -> Result<Option<Found>> {
        let Some(room) = &self.room else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(fd) = openat(CWD, host, flags, Mode::empty()) else { return Ok(None) };
        let mut file = File::from(fd);
        let stat = fstat(&file).at(host)?;
        if file_type(&stat) != FileType::RegularFile {
            return Ok(None);
        }
        let attributes = truth::read_open(&file, host, path, &stat, &self.sheet.aside)?;
        let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        let mut content = None;
        if size <= SMALL
            && let Some(size) = room.take(size as usize)
        {
            // One more byte shows the end without another call.
            let mut bytes = Vec::with_capacity(size + 1);
            file.read_to_end(&mut bytes).at(host)?;
            content = (bytes.len() == size).then_some(bytes);
            if content.is_none() {
                room.give_back(size);
            }
        }
        let (path, host) = (path.to_owned(), host.to_owned());
        Ok(Some(Found { path, host, stat, attributes, opaque: false, content }))
    }

    /// Says that a file is done with.
    pub(crate) fn done(&self, found: &Found) {
        if let (Some(room), Some(content)) = (&self.room, &found.content) {
            room.give_back(content.len());
        }
    }
}
