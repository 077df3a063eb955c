//! The tree of a context in memory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::OnceLock;

use bytes::Bytes;
use graph::WalkState;
use layer_store::{Attributes, Entry, Kind, Time};

use super::digest::ContentDigest;
use super::stamp::Stamp;

/// One path of a context.
pub(super) struct Node {
    pub(super) name: OsString,
    pub(super) entry: Entry,
    pub(super) stamp: Option<Stamp>,
    pub(super) body: Body,
}

/// What a node holds beside its entry.
pub(super) enum Body {
    Directory {
        /// Sorted by name; filled when first asked for.
        children: OnceLock<Box<[Node]>>,
        /// For the rules' verdict on the children.
        state: WalkState,
        /// Only here because an exception may reach below it.
        excluded: bool,
    },
    File {
        digest: OnceLock<ContentDigest>,
    },
    Memory(Bytes),
    Other,
}

impl Node {
    pub(super) fn new(name: OsString, entry: Entry, stamp: Stamp, directory: impl FnOnce() -> Body) -> Self {
        let body = match entry.attributes.kind {
            Kind::Directory => directory(),
            Kind::File { .. } => Body::File { digest: OnceLock::new() },
            Kind::Symlink { .. }
            | Kind::Fifo
            | Kind::CharDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Socket => Body::Other,
        };
        Self { name, entry, stamp: Some(stamp), body }
    }

    /// The context's own directory, not listed yet.
    pub(super) fn root(stamp: &Stamp) -> Self {
        let mut entry = made(Kind::Directory, stamp.mode & 0o7777);
        entry.attributes.mtime = Time { secs: stamp.mtime.0, nanos: stamp.mtime.1 };
        Self {
            name: OsString::new(),
            entry,
            stamp: Some(*stamp),
            body: unlisted(WalkState::default(), false),
        }
    }
}

/// A directory that was not listed yet.
pub(super) fn unlisted(state: WalkState, excluded: bool) -> Body {
    Body::Directory { children: OnceLock::new(), state, excluded }
}

/// The tree of files given by value, without those that `hidden` names.
pub(super) fn from_memory(files: &BTreeMap<String, Bytes>, hidden: impl Fn(&str) -> bool) -> Node {
    let mut root = Building::default();
    for (path, bytes) in files {
        let path = graph::path::clean(&format!("/{path}"));
        let path = path.trim_start_matches('/');
        if path.is_empty() || hidden(path) {
            continue;
        }
        let mut at = &mut root;
        for name in path.split('/') {
            at = at.children.entry(name.into()).or_default();
        }
        at.bytes = Some(bytes.clone());
    }
    root.finish(OsString::new())
}

#[derive(Default)]
struct Building {
    children: BTreeMap<OsString, Building>,
    bytes: Option<Bytes>,
}

impl Building {
    fn finish(self, name: OsString) -> Node {
        let Some(bytes) = self.bytes else {
            let children: Box<[Node]> =
                self.children.into_iter().map(|(name, child)| child.finish(name)).collect();
            let body =
                Body::Directory { children: children.into(), state: WalkState::default(), excluded: false };
            return Node { name, entry: made(Kind::Directory, 0o755), stamp: None, body };
        };
        let entry = made(Kind::File { size: bytes.len() as u64 }, 0o644);
        Node { name, entry, stamp: None, body: Body::Memory(bytes) }
    }
}

/// An entry that no file system holds.
fn made(kind: Kind, mode: u32) -> Entry {
    let mtime = Time { secs: 0, nanos: 0 };
    let attributes = Attributes { kind, mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new() };
    Entry { attributes, identity: (0, 0), links: 1 }
}
