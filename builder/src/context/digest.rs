//! Digests of file contents, remembered by what `stat` says.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use layer_store::{StatKey, Stop};
use rayon::prelude::*;

use super::node::{Children, Node};
use super::stamp::Stamp;
use super::{ContextError, ContextFile, ContextScan, Source, open};

/// BLAKE3 of a content; for context files with their extended attributes, if they have any.
pub(crate) type ContentDigest = [u8; 32];

const BUFFER: usize = 128 * 1024;

/// Digest of everything a reader gives, and how much that was; `expected` is how much it should be.
pub(crate) fn file_digest(mut reader: impl Read, expected: u64) -> io::Result<(ContentDigest, u64)> {
    let mut hasher = blake3::Hasher::new();
    let room = usize::try_from(expected).map_or(BUFFER, |expected| expected.saturating_add(1).min(BUFFER));
    let mut buffer = vec![0; room];
    let mut length = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((*hasher.finalize().as_bytes(), length)),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A digest that covers the attributes, too; the content's own where there are none.
fn with_xattrs(content: ContentDigest, xattrs: &BTreeMap<OsString, Vec<u8>>) -> ContentDigest {
    if xattrs.is_empty() {
        return content;
    }
    let mut hasher = blake3::Hasher::new_derive_key("rbuild context file with extended attributes");
    hasher.update(&content);
    for (name, value) in xattrs {
        for bytes in [name.as_bytes(), value] {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
    }
    *hasher.finalize().as_bytes()
}

impl Stamp {
    /// The key under which a digest is remembered.
    fn key(&self) -> StatKey {
        StatKey {
            dev: self.dev,
            ino: self.ino,
            size: self.size,
            mtime: nanoseconds(self.mtime),
            ctime: nanoseconds(self.ctime),
            mode: self.mode,
        }
    }
}

/// A moment as the index keeps it.
pub(crate) fn nanoseconds((secs, nanos): (i64, u32)) -> i64 {
    secs.saturating_mul(1_000_000_000).saturating_add(i64::from(nanos))
}

impl ContextScan {
    /// Content digests of files, in the order of `paths`. What the index does not know is read, side
    /// by side, and remembered.
    pub(crate) fn digests(&self, paths: &[PathBuf]) -> Result<Vec<ContentDigest>, ContextError> {
        let nodes = self.nodes(paths)?;
        let mut known = self.shelf.digests(&nodes)?;
        let fd = match &self.source {
            Source::Directory { fd, .. } => fd.as_fd(),
            Source::Memory(contents) => return Ok(of_memory(&nodes, contents)),
        };
        self.fill_from_index(&nodes, &mut known)?;
        let began = SystemTime::now();
        let missing: Vec<usize> = (0..nodes.len()).filter(|&nth| known[nth].is_none()).collect();
        let stop = self.index.stopping();
        let read: Vec<ContentDigest> = missing
            .par_iter()
            .map(|&nth| read(fd, &paths[nth], nodes[nth].record.stamp, stop))
            .collect::<Result<_, ContextError>>()?;
        let mut new = Vec::with_capacity(missing.len());
        self.shelf.set_digests(missing.iter().map(|&nth| &nodes[nth]).zip(&read))?;
        for (&nth, digest) in missing.iter().zip(&read) {
            new.push((nodes[nth].record.stamp.key(), *digest));
            known[nth] = Some(*digest);
        }
        if !new.is_empty() {
            self.index.put_many(&new, began)?;
        }
        Ok(known.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// What is at some paths, of which neighbours are in one directory, as a rule.
    fn nodes(&self, paths: &[PathBuf]) -> Result<Vec<Node<'_>>, ContextError> {
        let mut last: Option<(&Path, &Children)> = None;
        let mut nodes = Vec::with_capacity(paths.len());
        for path in paths {
            let changed = || ContextError::Changed { path: path.clone() };
            let (parent, name) = path.parent().zip(path.file_name()).ok_or_else(changed)?;
            let children = match last {
                Some((known, children)) if known == parent => children,
                Some(_) | None => {
                    let directory = self.directory(parent)?.ok_or_else(changed)?;
                    self.children(directory, parent)?
                }
            };
            last = Some((parent, children));
            nodes.push(self.shelf.find(children, name)?.ok_or_else(changed)?);
        }
        Ok(nodes)
    }

    /// Files that are to be read, with their digests if those were asked for before.
    pub(crate) fn files(&self, paths: &[PathBuf]) -> Result<Vec<ContextFile>, ContextError> {
        let nodes = self.nodes(paths)?;
        let digests = match &self.source {
            Source::Directory { .. } => self.shelf.digests(&nodes)?,
            Source::Memory(_) => vec![None; nodes.len()],
        };
        let file = |(node, digest): (Node<'_>, _)| ContextFile { record: node.record, digest };
        Ok(nodes.into_iter().zip(digests).map(file).collect())
    }

    fn fill_from_index(
        &self,
        nodes: &[Node<'_>],
        known: &mut [Option<ContentDigest>],
    ) -> Result<(), ContextError> {
        let wanted: Vec<usize> = (0..nodes.len()).filter(|&nth| known[nth].is_none()).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let keys: Vec<StatKey> = wanted.iter().map(|&nth| nodes[nth].record.stamp.key()).collect();
        for (&nth, digest) in wanted.iter().zip(self.index.get_many(&keys)?) {
            known[nth] = digest;
        }
        let found = wanted.iter().filter_map(|&nth| Some((&nodes[nth], known[nth].as_ref()?)));
        self.shelf.set_digests(found)
    }

    /// The extended attributes of a directory; none if there is no directory.
    pub(crate) fn xattrs(&self, path: &Path) -> Result<BTreeMap<OsString, Vec<u8>>, ContextError> {
        match self.directory(path)? {
            Some(directory) => Ok(self.children(directory, path)?.xattrs.clone()),
            None => Ok(BTreeMap::new()),
        }
    }
}

fn of_memory(nodes: &[Node<'_>], contents: &[Bytes]) -> Vec<ContentDigest> {
    let digest = |bytes: &Bytes| *blake3::hash(bytes).as_bytes();
    nodes
        .iter()
        .map(|node| contents.get(node.record.number as usize).map(digest).unwrap_or_default())
        .collect()
}

fn read(root: BorrowedFd<'_>, path: &Path, stamp: Stamp, stop: &Stop) -> Result<ContentDigest, ContextError> {
    let opened = open::open_file(root, path, stamp)?;
    let failed = |source| ContextError::Read { path: path.into(), source };
    let (content, length) = file_digest(stop.guard(&opened.file), stamp.size).map_err(failed)?;
    opened.check()?;
    if length != stamp.size {
        return Err(ContextError::Changed { path: path.into() });
    }
    Ok(with_xattrs(content, &opened.xattrs()))
}
