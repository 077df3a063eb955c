//! Digests of file contents, remembered by what `stat` says.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use layer_store::{StatKey, Stop};
use rayon::prelude::*;

use super::node::{Body, Node};
use super::stamp::Stamp;
use super::{ContextError, ContextScan, Source, open, xattr};

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
        let nodes: Vec<&Node> = paths
            .iter()
            .map(|path| self.node(path)?.ok_or_else(|| ContextError::Changed { path: path.clone() }))
            .collect::<Result<_, ContextError>>()?;
        self.fill_from_index(&nodes)?;
        let began = SystemTime::now();
        let found: Vec<(ContentDigest, Option<Stamp>)> = nodes
            .par_iter()
            .zip(paths)
            .map(|(node, path)| self.digest(node, path))
            .collect::<Result<_, ContextError>>()?;
        let new: Vec<(StatKey, ContentDigest)> =
            found.iter().filter_map(|(digest, read)| Some(((*read)?.key(), *digest))).collect();
        if !new.is_empty() {
            self.index.put_many(&new, began)?;
        }
        Ok(found.into_iter().map(|(digest, _)| digest).collect())
    }

    /// The content digest of a file, if it was asked for before.
    pub(crate) fn known_digest(&self, path: &Path) -> Result<Option<ContentDigest>, ContextError> {
        Ok(self.node(path)?.and_then(|node| match &node.body {
            Body::File { digest } => digest.get().copied(),
            Body::Directory { .. } | Body::Memory(_) | Body::Other => None,
        }))
    }

    fn fill_from_index(&self, nodes: &[&Node]) -> Result<(), ContextError> {
        let wanted: Vec<_> = nodes
            .iter()
            .filter_map(|node| match &node.body {
                Body::File { digest } if digest.get().is_none() => Some((digest, node.stamp?.key())),
                Body::File { .. } | Body::Directory { .. } | Body::Memory(_) | Body::Other => None,
            })
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let keys: Vec<StatKey> = wanted.iter().map(|(_, key)| *key).collect();
        for ((slot, _), known) in wanted.iter().zip(self.index.get_many(&keys)?) {
            if let Some(known) = known {
                let _ = slot.set(known);
            }
        }
        Ok(())
    }

    /// The digest of one file, and its stamp if it had to be read.
    fn digest(&self, node: &Node, path: &Path) -> Result<(ContentDigest, Option<Stamp>), ContextError> {
        match (&node.body, &self.source, node.stamp) {
            (Body::Memory(bytes), _, _) => Ok((*blake3::hash(bytes).as_bytes(), None)),
            (Body::File { digest }, Source::Directory { fd, .. }, Some(stamp)) => match digest.get() {
                Some(digest) => Ok((*digest, None)),
                None => {
                    let read = read(fd.as_fd(), path, stamp, self.index.stopping())?;
                    Ok((*digest.get_or_init(|| read), Some(stamp)))
                }
            },
            (Body::File { .. } | Body::Directory { .. } | Body::Other, _, _) => Ok(([0; 32], None)),
        }
    }

    /// The extended attributes of a file or directory.
    pub(crate) fn xattrs(&self, path: &Path) -> Result<BTreeMap<OsString, Vec<u8>>, ContextError> {
        let Source::Directory { fd, .. } = &self.source else { return Ok(BTreeMap::new()) };
        let failed =
            |source: rustix::io::Errno| ContextError::Read { path: path.into(), source: source.into() };
        let directory = open::directory(fd.as_fd(), path).map_err(failed)?;
        Ok(xattr::read(directory.as_fd()))
    }
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
