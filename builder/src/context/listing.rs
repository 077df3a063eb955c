//! Listing the directories of a context, ignore rules applied on the way.

use std::ffi::{CStr, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use graph::WalkState;
use rayon::prelude::*;
use rustix::fs::{AtFlags, FileType, RawDir, Statx, StatxFlags, readlinkat, statx};
use rustix::io::Errno;

use super::node::{Body, Node, unlisted};
use super::stamp::{self, Stamp};
use super::{ContextError, ContextScan, Source, open};

const LISTING_BUFFER: usize = 32 * 1024;

impl ContextScan {
    /// The children of a node, listed now if they were not; `None` if it is no directory.
    pub(super) fn children<'a>(
        &'a self,
        node: &'a Node,
        path: &Path,
    ) -> Result<Option<&'a [Node]>, ContextError> {
        let Body::Directory { children, state, .. } = &node.body else { return Ok(None) };
        if let Some(children) = children.get() {
            return Ok(Some(children));
        }
        let listed = match &self.source {
            Source::Directory { fd, .. } => self.list(fd.as_fd(), path, state)?,
            Source::Memory => Vec::new(),
        };
        Ok(Some(children.get_or_init(|| listed.into())))
    }

    /// Lists a whole tree, directories side by side.
    pub(crate) fn list_below(&self, path: &Path) -> Result<(), ContextError> {
        match self.node(path)? {
            Some(node) => self.list_tree(node, path),
            None => Ok(()),
        }
    }

    fn list_tree(&self, node: &Node, path: &Path) -> Result<(), ContextError> {
        let Some(children) = self.children(node, path)? else { return Ok(()) };
        let directories = children.par_iter().filter(|child| matches!(child.body, Body::Directory { .. }));
        directories.try_for_each(|child| self.list_tree(child, &path.join(&child.name)))
    }

    fn list(&self, root: BorrowedFd<'_>, path: &Path, state: &WalkState) -> Result<Vec<Node>, ContextError> {
        let failed = |source: Errno| ContextError::Read { path: path.into(), source: source.into() };
        let directory = open::directory(root, path).map_err(failed)?;
        let mut buffer = Vec::with_capacity(LISTING_BUFFER);
        let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
        let mut nodes = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name.to_bytes() == b"." || name.to_bytes() == b".." {
                continue;
            }
            let node = self.consider(directory.as_fd(), path, name, entry.file_type(), state)?;
            nodes.extend(node);
        }
        nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.drop_empty(path, &mut nodes);
        Ok(nodes)
    }

    /// One name of a listing; `None` if it does not exist for the build.
    fn consider(
        &self,
        directory: BorrowedFd<'_>,
        parent: &Path,
        name: &CStr,
        hint: FileType,
        state: &WalkState,
    ) -> Result<Option<Node>, ContextError> {
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
        let node = match node(directory, name, &stat, || unlisted(visit.state, visit.excluded)) {
            Ok(node) => node,
            Err(error) => return Err(ContextError::Read { path, source: error }),
        };
        let node = node.map(|mut node| {
            self.adjust(&mut node.entry.attributes);
            node
        });
        Ok(node.filter(|node| !visit.excluded || matches!(node.body, Body::Directory { .. })))
    }

    /// Drops excluded directories in which no exception brought anything back.
    fn drop_empty(&self, parent: &Path, nodes: &mut Vec<Node>) {
        nodes.retain(|node| {
            let excluded = matches!(node.body, Body::Directory { excluded: true, .. });
            // One that cannot be read holds nothing that the build can see.
            !excluded
                || self
                    .children(node, &parent.join(&node.name))
                    .is_ok_and(|children| children.is_some_and(|children| !children.is_empty()))
        });
    }
}

fn node(
    directory: BorrowedFd<'_>,
    name: &CStr,
    stat: &Statx,
    body: impl FnOnce() -> Body,
) -> io::Result<Option<Node>> {
    let mut failed = None;
    let target = || match readlinkat(directory, name, Vec::new()) {
        Ok(target) => Some(PathBuf::from(OsString::from_vec(target.into_bytes()))),
        Err(error) => {
            failed = Some(error);
            None
        }
    };
    let entry = stamp::entry(stat, target);
    if let Some(error) = failed {
        return Err(error.into());
    }
    let name = OsStr::from_bytes(name.to_bytes()).to_owned();
    Ok(entry.map(|entry| Node::new(name, entry, Stamp::of(stat), body)))
}
