//! One view of what can be copied from: a context, or the merged tree of a snapshot.
//!
//! Paths here are *real*: relative to the root (which is the empty path), clean, no component a
//! link, unless a function says that it follows links.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use layer_store::{Attributes, Entry, Kind, StackView, StatIndex, StatKey, Store};
use rayon::prelude::*;
use rustix::fs::{Mode, OFlags};

use super::error::{Place, shown};
use super::links::{Last, resolve};
use super::{FileError, FileInput};
use crate::context::{ContentDigest, ContextScan, OpenFile, file_digest, nanoseconds};

/// A tree to read from.
#[derive(Clone)]
pub(super) enum Tree {
    Context(Arc<ContextScan>),
    Stack(Stack),
}

/// The merged tree of a snapshot, and where its layers are.
#[derive(Clone)]
pub(super) struct Stack {
    view: StackView,
    layers: Vec<PathBuf>,
    index: StatIndex,
}

impl Tree {
    pub(super) fn open(store: &Store, input: &FileInput) -> Result<Self, FileError> {
        Ok(match input {
            FileInput::Context(scan) => Self::Context(Arc::clone(scan)),
            FileInput::Snapshot(snapshot) => {
                let layers = snapshot.0.iter().map(|layer| store.layer_dir(layer)).collect();
                Self::Stack(Stack { view: store.stack(snapshot)?, layers, index: store.stat_index() })
            }
        })
    }

    pub(super) fn place(&self) -> Place {
        match self {
            Self::Context(_) => Place::Context,
            Self::Stack(_) => Place::Snapshot,
        }
    }

    pub(super) fn lookup(&self, path: &Path) -> Result<Option<Entry>, FileError> {
        Ok(match self {
            Self::Context(scan) => scan.lookup(path)?,
            Self::Stack(stack) => stack.view.lookup(path)?.or_else(|| empty_root(path)),
        })
    }

    /// Hands out the names of a directory with their entries, sorted by bytes.
    pub(super) fn each(
        &self,
        path: &Path,
        visit: &mut dyn FnMut(OsString, Entry) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        match self {
            Self::Context(scan) => scan.each(path, visit),
            Self::Stack(stack) => stack.view.entries(path)?.try_for_each(|found| {
                let (name, entry) = found?;
                visit(name, entry)
            }),
        }
    }

    /// Makes later walks below a directory cheap.
    pub(super) fn prepare(&self, path: &Path) -> Result<(), FileError> {
        match self {
            Self::Context(scan) => Ok(scan.list_below(path)?),
            Self::Stack(_) => Ok(()),
        }
    }

    /// The real path behind a path; `crossed` hears of the links on the way.
    pub(super) fn resolve(
        &self,
        path: &Path,
        last: Last,
        crossed: impl FnMut(&Path),
    ) -> Result<PathBuf, FileError> {
        resolve(path, last, |at| Ok(self.lookup(at)?.and_then(|entry| link_target(&entry))), crossed)
    }

    /// Extended attributes: of the directories of a context, and of anything in layers.
    pub(super) fn xattrs(
        &self,
        path: &Path,
        entry: &Entry,
    ) -> Result<BTreeMap<OsString, Vec<u8>>, FileError> {
        match (self, &entry.attributes.kind) {
            (Self::Context(scan), Kind::Directory) => Ok(scan.xattrs(path)?),
            (Self::Context(_) | Self::Stack(_), _) => Ok(entry.attributes.xattrs.clone()),
        }
    }

    pub(super) fn open_file(&self, path: &Path) -> Result<OpenFile, FileError> {
        match self {
            Self::Context(scan) => Ok(scan.open(path)?),
            Self::Stack(stack) => Ok(OpenFile::Stored(stack.view.open(path)?)),
        }
    }

    /// Content digests of files. Those of a context cover extended attributes.
    pub(super) fn digests(&self, files: &[(PathBuf, &Entry)]) -> Result<Vec<ContentDigest>, FileError> {
        match self {
            Self::Context(scan) => {
                let paths: Vec<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
                Ok(scan.digests(&paths)?)
            }
            Self::Stack(stack) => stack.digests(files),
        }
    }
}

impl Stack {
    /// Where the store keeps a file. An entry says which layer it comes from, and a real path is the
    /// same in that layer.
    pub(super) fn host(&self, path: &Path, entry: &Entry) -> PathBuf {
        self.layers.get(entry.identity.0).map_or_else(PathBuf::new, |layer| layer.join(path))
    }

    /// Files of layers never change, so the index of digests serves them, too.
    fn digests(&self, files: &[(PathBuf, &Entry)]) -> Result<Vec<ContentDigest>, FileError> {
        let failed = |path: &Path, source| FileError::Read { path: shown(path), source };
        let hosts: Vec<PathBuf> = files.iter().map(|(path, entry)| self.host(path, entry)).collect();
        let keys: Vec<StatKey> =
            hosts.iter().zip(files).map(|(host, (_, entry))| layer_key(host, entry)).collect();
        let known = self.index.get_many(&keys)?;
        let missing: Vec<usize> = (0..files.len()).filter(|&at| known[at].is_none()).collect();
        let began = SystemTime::now();
        let read = |&at: &usize| {
            let content = open_host(&hosts[at])
                .and_then(|file| file_digest(self.index.stopping().guard(file), keys[at].size));
            Ok(content.map_err(|error| failed(&files[at].0, error))?.0)
        };
        let read: Vec<ContentDigest> = missing.par_iter().map(read).collect::<Result<_, FileError>>()?;
        if !missing.is_empty() {
            let new: Vec<_> = missing.iter().zip(&read).map(|(&at, digest)| (keys[at], *digest)).collect();
            self.index.put_many(&new, began)?;
        }
        let mut read = read.into_iter();
        Ok(known.into_iter().filter_map(|known| known.or_else(|| read.next())).collect())
    }
}

/// Names a file of a layer in the index. The layer and the path stand where the time of the last change
/// has its place for other files: a link to such a file changes that time, nothing changes its content.
fn layer_key(host: &Path, entry: &Entry) -> StatKey {
    let name = blake3::hash(host.as_os_str().as_bytes());
    let (first, _) = name.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
    let attributes = &entry.attributes;
    StatKey {
        dev: 0,
        ino: entry.identity.1,
        size: if let Kind::File { size } = attributes.kind { size } else { 0 },
        mtime: nanoseconds((attributes.mtime.secs, attributes.mtime.nanos)),
        // Never a moment that is too near.
        ctime: i64::from_le_bytes(*first) | i64::MIN,
        mode: attributes.mode,
    }
}

fn open_host(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// The root of a snapshot without layers.
fn empty_root(path: &Path) -> Option<Entry> {
    let attributes = Attributes::new(Kind::Directory, 0o755);
    path.as_os_str().is_empty().then_some(Entry { attributes, identity: (0, 0), links: 1 })
}

pub(super) fn link_target(entry: &Entry) -> Option<PathBuf> {
    match &entry.attributes.kind {
        Kind::Symlink { target } => Some(target.clone()),
        Kind::File { .. }
        | Kind::Directory
        | Kind::Fifo
        | Kind::CharDevice { .. }
        | Kind::BlockDevice { .. }
        | Kind::Socket => None,
    }
}
