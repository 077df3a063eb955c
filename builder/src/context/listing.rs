//! Listing the directories of a context, ignore rules applied on the way.

use std::ffi::{CStr, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use graph::WalkState;
use rayon::prelude::*;
use rustix::fs::{AtFlags, FileType, RawDir, StatxFlags, readlinkat, statx};
use rustix::io::Errno;

use super::node::{Children, Directory};
use super::record::Record;
use super::{ContextError, ContextScan, Source, open};

const LISTING_BUFFER: usize = 32 * 1024;

/// A name that was listed, and the directory that it may be.
struct Listed {
    record: Record,
    directory: Option<Directory>,
}

impl ContextScan {
    /// What is in a directory, listed now if it was not.
    pub(super) fn children<'a>(
        &self,
        directory: &'a Directory,
        path: &Path,
    ) -> Result<&'a Children, ContextError> {
        if let Some(children) = directory.children.get() {
            return Ok(children);
        }
        let listed = match &self.source {
            Source::Directory { fd, .. } => self.list(fd.as_fd(), path, &directory.state)?,
            Source::Memory(_) => Vec::new(),
        };
        let (mut records, mut directories) = (Vec::with_capacity(listed.len()), Vec::new());
        for Listed { mut record, directory } in listed {
            if let Some(directory) = directory {
                record.number = directories.len() as u32;
                directories.push(directory);
            }
            records.push(record);
        }
        let children = self.shelf.put(&records, directories)?;
        Ok(directory.children.get_or_init(|| children))
    }

    /// Lists a whole tree, directories side by side.
    pub(crate) fn list_below(&self, path: &Path) -> Result<(), ContextError> {
        match self.directory(path)? {
            Some(directory) => self.list_tree(directory, path),
            None => Ok(()),
        }
    }

    fn list_tree(&self, directory: &Directory, path: &Path) -> Result<(), ContextError> {
        let children = self.children(directory, path)?;
        if children.directories.is_empty() {
            return Ok(());
        }
        let listing = self.shelf.listing(children)?;
        let named: Vec<(OsString, &Directory)> = listing
            .iter()
            .filter(Record::is_directory)
            .filter_map(|record| Some((record.name, children.directories.get(record.number as usize)?)))
            .collect();
        drop(listing);
        named.par_iter().try_for_each(|(name, directory)| self.list_tree(directory, &path.join(name)))
    }

    fn list(
        &self,
        root: BorrowedFd<'_>,
        path: &Path,
        state: &WalkState,
    ) -> Result<Vec<Listed>, ContextError> {
        let failed = |source: Errno| ContextError::Read { path: path.into(), source: source.into() };
        let directory = open::directory(root, path).map_err(failed)?;
        let mut buffer = Vec::with_capacity(LISTING_BUFFER);
        let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
        let mut all = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name.to_bytes() == b"." || name.to_bytes() == b".." {
                continue;
            }
            all.extend(self.consider(directory.as_fd(), path, name, entry.file_type(), state)?);
        }
        all.sort_unstable_by(|a, b| a.record.name.cmp(&b.record.name));
        self.drop_empty(path, &mut all);
        Ok(all)
    }

    /// One name of a listing; `None` if it does not exist for the build.
    fn consider(
        &self,
        directory: BorrowedFd<'_>,
        parent: &Path,
        name: &CStr,
        hint: FileType,
        state: &WalkState,
    ) -> Result<Option<Listed>, ContextError> {
        let path = parent.join(OsStr::from_bytes(name.to_bytes()));
        let visit = self.rules.patterns.visit(state, path.as_os_str().as_bytes());
        let may_be_directory = matches!(hint, FileType::Directory | FileType::Unknown);
        if visit.excluded && !(visit.enter && may_be_directory) {
            return Ok(None);
        }
        let failed = |source: Errno| ContextError::Read { path: path.clone(), source: source.into() };
        let flags = StatxFlags::BASIC_STATS;
        let stat = match statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, flags) {
            Ok(stat) => stat,
            // Gone since the directory was read.
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let target = match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
            FileType::Symlink => readlinkat(directory, name, Vec::new()).map_err(failed)?.into_bytes(),
            // It does not exist in contexts.
            FileType::Unknown => return Ok(None),
            FileType::RegularFile
            | FileType::Directory
            | FileType::Fifo
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Socket => Vec::new(),
        };
        let record = Record::of(OsStr::from_bytes(name.to_bytes()).to_owned(), &stat, target);
        let directory = record.is_directory().then(|| Directory::unlisted(visit.state, visit.excluded));
        Ok((!visit.excluded || directory.is_some()).then_some(Listed { record, directory }))
    }

    /// Drops excluded directories in which no exception brought anything back.
    fn drop_empty(&self, parent: &Path, all: &mut Vec<Listed>) {
        all.retain(|one| match &one.directory {
            // One that cannot be read holds nothing that the build can see.
            Some(directory) if directory.excluded => self
                .children(directory, &parent.join(&one.record.name))
                .and_then(|children| self.shelf.listing(children))
                .is_ok_and(|listing| listing.len() > 0),
            Some(_) | None => true,
        });
    }
}
