//! Local contexts: a directory of the caller (or a few files given by value), read only as far as
//! steps select.
//!
//! [`scan`] opens the directory and compiles the ignore rules; it lists nothing. A directory is
//! listed when a selection first needs it, a file is opened when its content is first needed, so
//! what no step selects may be unreadable, huge or changing.
//!
//! Invariants:
//! - every path is opened from the context's own descriptor, beneath it and without following any
//!   link, so nothing outside can be read; links are followed by our own resolver, inside the root;
//! - excluded trees are entered only where an exception may reach below them;
//! - everything belongs to 0:0, whoever owns it outside; sockets, FIFOs and devices are never opened;
//! - a file that differs from what the scan saw, before or after it is read, is an error.

mod digest;
mod error;
mod listing;
mod node;
mod open;
mod stamp;
#[cfg(test)]
mod tests;
mod xattr;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use graph::Patterns;
use layer_store::{Attributes, Entry, Kind, StatIndex, Time};

pub(crate) use digest::{ContentDigest, file_digest, nanoseconds};
pub use error::ContextError;
pub(crate) use open::OpenFile;

use crate::request::{ContextMetadata, LocalContext};
use node::Node;

/// A context, read as far as was needed until now.
pub struct ContextScan {
    source: Source,
    rules: Rules,
    root: Node,
    index: StatIndex,
    metadata: ContextMetadata,
}

/// Where the files are.
enum Source {
    Directory { path: PathBuf, fd: OwnedFd },
    Memory,
}

/// Ignore rules, compiled and as text.
struct Rules {
    patterns: Patterns,
    texts: Vec<String>,
    /// Where each is written, if that is known.
    places: Vec<String>,
}

/// A rule that leaves a path out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HidingRule {
    /// The rule.
    pub text: String,
    /// Where it is written: `.dockerignore:3`.
    pub place: Option<String>,
    /// Whether there is a file or directory at the path.
    pub hides: Hides,
}

/// What a rule leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hides {
    /// Something that is there.
    Something,
    /// Nothing: there is no such path.
    Nothing,
}

/// Opens a context. Nothing is listed or read yet, apart from the directory itself.
pub fn scan(
    context: &LocalContext,
    ignore: &[String],
    index: &StatIndex,
) -> Result<ContextScan, ContextError> {
    let rules = Rules { patterns: Patterns::new(ignore)?, texts: ignore.to_vec(), places: Vec::new() };
    let (source, root) = match context {
        LocalContext::Directory(path) => {
            let (fd, stamp) = open::root(path)?;
            (Source::Directory { path: path.clone(), fd }, Node::root(&stamp))
        }
        LocalContext::Memory(files) => (Source::Memory, memory(files, &rules.patterns)),
        // Trees of the store are read as layers and never get here.
        LocalContext::Layers { .. } => (Source::Memory, memory(&BTreeMap::new(), &rules.patterns)),
    };
    Ok(ContextScan { source, rules, root, index: index.clone(), metadata: ContextMetadata::AsIs })
}

fn memory(files: &BTreeMap<String, Bytes>, patterns: &Patterns) -> Node {
    node::from_memory(files, |path| patterns.matches_or_parent(path.as_bytes()))
}

impl ContextScan {
    /// The same with permission bits taken in another way. To be called before anything is listed.
    pub(crate) fn with_metadata(mut self, metadata: ContextMetadata) -> Self {
        self.metadata = metadata;
        let mut attributes = self.root.entry.attributes.clone();
        self.adjust(&mut attributes);
        self.root.entry.attributes = attributes;
        self
    }

    fn adjust(&self, attributes: &mut Attributes) {
        match self.metadata {
            ContextMetadata::AsIs => {}
            ContextMetadata::Git => attributes.mode = git_mode(attributes),
            ContextMetadata::Dated(time) => {
                attributes.mode = git_mode(attributes);
                attributes.mtime = Time { secs: time, nanos: 0 };
            }
        }
    }

    /// The digest of a selection, told from those of the same files with times of their own: times are
    /// in no digest, and here they are part of what was asked for.
    pub(crate) fn dated(&self, digest: [u8; 32]) -> [u8; 32] {
        match self.metadata {
            ContextMetadata::AsIs | ContextMetadata::Git => digest,
            ContextMetadata::Dated(time) => {
                let mut hasher = blake3::Hasher::new_derive_key("rbuild dated context");
                hasher.update(&digest).update(&time.to_le_bytes());
                *hasher.finalize().as_bytes()
            }
        }
    }

    /// The directory of the host that it is; `None`: its files were given by value.
    pub(crate) fn place(&self) -> Option<&Path> {
        match &self.source {
            Source::Directory { path, .. } => Some(path),
            Source::Memory => None,
        }
    }

    /// The entry at a path, no link followed. The root is the empty path.
    pub(crate) fn lookup(&self, path: &Path) -> Result<Option<Entry>, ContextError> {
        Ok(self.node(path)?.map(|node| node.entry.clone()))
    }

    /// The entries of a directory, sorted by name; none if it is no directory.
    pub(crate) fn read_dir(&self, path: &Path) -> Result<Vec<(std::ffi::OsString, Entry)>, ContextError> {
        let stopped = |source| ContextError::Read { path: path.into(), source };
        self.index.stopping().check().map_err(stopped)?;
        let Some(node) = self.node(path)? else { return Ok(Vec::new()) };
        let Some(children) = self.children(node, path)? else { return Ok(Vec::new()) };
        Ok(children.iter().map(|child| (child.name.clone(), child.entry.clone())).collect())
    }

    /// The same, with the places of its rules, for messages.
    pub(crate) fn with_places(mut self, places: Vec<String>) -> Self {
        self.rules.places = places;
        self
    }

    /// The last ignore rule that hides a path or a directory above it.
    pub(crate) fn hidden_by(&self, path: &Path) -> Option<HidingRule> {
        use std::os::unix::ffi::OsStrExt;
        let hides = match &self.source {
            Source::Directory { fd, .. } => {
                match rustix::fs::statat(fd, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(_) => Hides::Something,
                    Err(_) => Hides::Nothing,
                }
            }
            Source::Memory => Hides::Something,
        };
        let path = path.as_os_str().as_bytes();
        if path.is_empty() || !self.rules.patterns.matches_or_parent(path) {
            return None;
        }
        let matching = |text: &String| {
            !text.starts_with('!') && Patterns::new([text]).is_ok_and(|alone| alone.matches_or_parent(path))
        };
        let position = self.rules.texts.iter().rposition(matching)?;
        let place = self.rules.places.get(position).cloned();
        Some(HidingRule { text: self.rules.texts[position].clone(), place, hides })
    }

    fn node(&self, path: &Path) -> Result<Option<&Node>, ContextError> {
        let mut node = &self.root;
        let mut at = PathBuf::new();
        for name in path.iter() {
            let Some(children) = self.children(node, &at)? else { return Ok(None) };
            let Ok(found) = children.binary_search_by(|child| child.name.as_os_str().cmp(name)) else {
                return Ok(None);
            };
            node = &children[found];
            at.push(name);
        }
        Ok(Some(node))
    }
}

/// Permission bits as git records them; those of what git does not record stay.
fn git_mode(attributes: &Attributes) -> u32 {
    match &attributes.kind {
        Kind::Directory => 0o755,
        Kind::File { .. } if attributes.mode & 0o100 != 0 => 0o755,
        Kind::File { .. } => 0o644,
        Kind::Symlink { .. }
        | Kind::Fifo
        | Kind::CharDevice { .. }
        | Kind::BlockDevice { .. }
        | Kind::Socket => attributes.mode,
    }
}

impl std::fmt::Debug for ContextScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.source {
            Source::Directory { path, .. } => write!(f, "ContextScan({})", path.display()),
            Source::Memory => f.write_str("ContextScan(memory)"),
        }
    }
}
