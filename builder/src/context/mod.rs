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
//! - of a file nothing stays in memory: listings and digests are put aside;
//! - excluded trees are entered only where an exception may reach below them;
//! - everything belongs to 0:0, whoever owns it outside; sockets, FIFOs and devices are never opened;
//! - a file that differs from what the scan saw, before or after it is read, is an error.

mod digest;
mod error;
mod listing;
mod node;
mod open;
mod record;
mod stamp;
#[cfg(test)]
mod tests;
mod xattr;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use graph::{Patterns, WalkState};
use layer_store::{Attributes, Entry, Kind, StatIndex, Time};

pub(crate) use digest::{ContentDigest, file_digest, nanoseconds};
pub use error::ContextError;
pub(crate) use open::{ContextFile, OpenFile};

use crate::request::{ContextMetadata, LocalContext};
use node::{Directory, Node, Shelf};
use record::Record;

/// A context, read as far as was needed until now.
pub struct ContextScan {
    source: Source,
    rules: Rules,
    /// What the root is, and the tree below it.
    root: (Entry, Directory),
    shelf: Shelf,
    index: StatIndex,
    metadata: ContextMetadata,
}

/// Where the files are.
enum Source {
    Directory {
        path: PathBuf,
        fd: OwnedFd,
    },
    /// Files given by value, by their numbers.
    Memory(Vec<Bytes>),
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
    let shelf = Shelf::new(index.spill());
    let (source, root) = match context {
        LocalContext::Directory(path) => {
            let (fd, stamp) = open::root(path)?;
            let tree = Directory::unlisted(WalkState::default(), false);
            (Source::Directory { path: path.clone(), fd }, (node::root(stamp.mode, stamp.mtime), tree))
        }
        LocalContext::Memory(files) => memory(files, &rules.patterns, &shelf)?,
        // Trees of the store are read as layers and never get here.
        LocalContext::Layers { .. } => memory(&BTreeMap::new(), &rules.patterns, &shelf)?,
    };
    Ok(ContextScan { source, rules, root, shelf, index: index.clone(), metadata: ContextMetadata::AsIs })
}

fn memory(
    files: &BTreeMap<String, Bytes>,
    patterns: &Patterns,
    shelf: &Shelf,
) -> Result<(Source, (Entry, Directory)), ContextError> {
    let hidden = |path: &str| patterns.matches_or_parent(path.as_bytes());
    let (tree, contents) = node::from_memory(files, hidden, shelf)?;
    Ok((Source::Memory(contents), (node::root(0o755, (0, 0)), tree)))
}

impl ContextScan {
    /// The same with permission bits taken in another way. To be called before anything is listed.
    pub(crate) fn with_metadata(mut self, metadata: ContextMetadata) -> Self {
        self.metadata = metadata;
        let mut attributes = self.root.0.attributes.clone();
        self.adjust(&mut attributes);
        self.root.0.attributes = attributes;
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
            Source::Memory(_) => None,
        }
    }

    /// The entry at a path, no link followed. The root is the empty path.
    pub(crate) fn lookup(&self, path: &Path) -> Result<Option<Entry>, ContextError> {
        if path.as_os_str().is_empty() {
            return Ok(Some(self.root.0.clone()));
        }
        Ok(self.node(path)?.and_then(|node| self.entry(&node.record)))
    }

    /// The entry that a record stands for in this build.
    fn entry(&self, record: &Record) -> Option<Entry> {
        let mut entry = record.entry()?;
        self.adjust(&mut entry.attributes);
        Some(entry)
    }

    /// Hands out the entries of a directory, sorted by name; none if it is no directory.
    pub(crate) fn each<E: From<ContextError>>(
        &self,
        path: &Path,
        visit: &mut dyn FnMut(OsString, Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let stopped = |source| ContextError::Read { path: path.into(), source };
        let Some(directory) = self.directory(path)? else { return Ok(()) };
        for page in &self.children(directory, path)?.pages {
            self.index.stopping().check().map_err(stopped)?;
            for record in self.shelf.listing(page)?.iter() {
                if let Some(entry) = self.entry(&record) {
                    visit(record.name, entry)?;
                }
            }
        }
        Ok(())
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
            Source::Memory(_) => Hides::Something,
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

    /// What is at a path below the root.
    fn node(&self, path: &Path) -> Result<Option<Node<'_>>, ContextError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let Some(directory) = self.directory(parent)? else { return Ok(None) };
        self.shelf.find(self.children(directory, parent)?, name)
    }

    /// The directory at a path; `None` if there is none.
    fn directory(&self, path: &Path) -> Result<Option<&Directory>, ContextError> {
        let mut directory = &self.root.1;
        let mut at = PathBuf::new();
        for name in path.iter() {
            let found = self.shelf.find(self.children(directory, &at)?, name)?;
            let Some(next) = found.and_then(|node| node.directory) else { return Ok(None) };
            directory = next;
            at.push(name);
        }
        Ok(Some(directory))
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
            Source::Memory(_) => f.write_str("ContextScan(memory)"),
        }
    }
}
