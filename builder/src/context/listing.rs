//! Listing the directories of a context, ignore rules applied on the way.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use graph::WalkState;
use layer_store::SortedNames;
use rayon::prelude::*;
use rustix::fs::{AtFlags, FileType, SeekFrom, StatxFlags, readlinkat, statx};
use rustix::io::Errno;

use super::node::{Children, Directory, Shelving};
use super::record::Record;
use super::{ContextError, ContextScan, Source, open, xattr};

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
        let mut shelving = self.shelf.begin();
        let xattrs = match &self.source {
            Source::Directory { fd, .. } => self.list(fd.as_fd(), path, &directory.state, &mut shelving)?,
            Source::Memory(_) => BTreeMap::new(),
        };
        let children = shelving.finish(xattrs)?;
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
        let mut named: Vec<(OsString, &Directory)> = Vec::with_capacity(children.directories.len());
        for page in &children.pages {
            let listing = self.shelf.listing(page)?;
            let directories = listing.iter().filter(Record::is_directory);
            named.extend(
                directories.filter_map(|record| {
                    Some((record.name, children.directories.get(record.number as usize)?))
                }),
            );
        }
        named.par_iter().try_for_each(|(name, directory)| self.list_tree(directory, &path.join(name)))
    }

    /// Lists a directory; what it gives back are the extended attributes.
    fn list(
        &self,
        root: BorrowedFd<'_>,
        path: &Path,
        state: &WalkState,
        shelving: &mut Shelving<'_>,
    ) -> Result<BTreeMap<OsString, Vec<u8>>, ContextError> {
        let failed = |source: io::Error| ContextError::Read { path: path.into(), source };
        let directory = open::directory(root, path).map_err(|error| failed(error.into()))?;
        let names = SortedNames::new(|| {
            let again = directory.try_clone()?;
            rustix::fs::seek(&again, SeekFrom::Start(0))?;
            Ok(again)
        });
        for found in names {
            let (name, hint) = found.map_err(failed)?;
            let listed = self.consider(directory.as_fd(), path, &name, hint, state)?;
            if let Some(Listed { record, directory }) = listed
                && directory.as_ref().is_none_or(|directory| self.is_needed(path, &record, directory))
            {
                shelving.add(record, directory)?;
            }
        }
        Ok(xattr::read(directory.as_fd()))
    }

    /// One name of a listing; `None` if it does not exist for the build.
    fn consider(
        &self,
        directory: BorrowedFd<'_>,
        parent: &Path,
        name: &OsStr,
        hint: FileType,
        state: &WalkState,
    ) -> Result<Option<Listed>, ContextError> {
        let path = parent.join(name);
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
        let record = Record::of(name.to_owned(), &stat, target);
        let directory = record.is_directory().then(|| Directory::unlisted(visit.state, visit.excluded));
        Ok((!visit.excluded || directory.is_some()).then_some(Listed { record, directory }))
    }

    /// Whether a directory is more than an excluded one in which no exception brought anything back.
    fn is_needed(&self, parent: &Path, record: &Record, directory: &Directory) -> bool {
        // One that cannot be read holds nothing that the build can see.
        !directory.excluded
            || self
                .children(directory, &parent.join(&record.name))
                .is_ok_and(|children| !children.pages.is_empty())
    }
}
