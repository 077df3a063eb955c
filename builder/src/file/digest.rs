//! Content digests of what a step reads: the same whenever what it would make of it is the same.
//!
//! Counted: relative names, types, permission bits, owners, sizes, link targets, device numbers,
//! extended attributes, contents. Not counted: times, inode numbers, which names share a file, and
//! whatever the copy overrides (`--chown`, `--chmod`).

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use graph::Copy;
use layer_store::{Attributes, Kind, Store};

use super::chmod::Change;
use super::links::{Last, clean};
use super::missing::not_found;
use super::plan::{Item, Planned, Role, plan, plan_whole};
use super::tree::Tree;
use super::{FileError, FileInput};

/// Digest of what `copy` reads of its input.
pub fn selection_digest(store: &Store, input: &FileInput, copy: &Copy) -> Result<[u8; 32], FileError> {
    let tree = Tree::open(store, input)?;
    let view = View::of(copy)?;
    let mut hash = Hash::new("rbuild selection of a copy");
    plan(&tree, copy, &mut |planned| hash.planned(&tree, &planned, &view))?;
    Ok(hash.finish())
}

/// Digest of a path of an input with everything below it, for a bind mount.
pub fn bind_digest(store: &Store, input: &FileInput, path: &str) -> Result<[u8; 32], FileError> {
    let tree = Tree::open(store, input)?;
    let real = tree.resolve(&clean(path), Last::Follow, |_| {})?;
    let mut planned = plan_whole(&tree, &real)?.ok_or_else(|| not_found(&tree, path))?;
    // Where it comes from does not show in a mount.
    planned.source.name.clear();
    let view = View::whole();
    let mut hash = Hash::new("rbuild content of a bind mount");
    hash.planned(&tree, &planned, &view)?;
    Ok(hash.finish())
}

/// How the reader sees the files.
pub(super) struct View {
    /// Owners are kept.
    owners: bool,
    /// Permission bits are changed.
    mode: Option<Change>,
    /// Metadata of a directory that is the source itself is kept.
    top: bool,
}

impl View {
    pub(super) fn of(copy: &Copy) -> Result<Self, FileError> {
        Ok(Self {
            owners: copy.owner.is_none(),
            mode: copy.mode.as_ref().map(Change::new).transpose()?,
            top: !copy.dir_contents,
        })
    }

    pub(super) fn whole() -> Self {
        Self { owners: true, mode: None, top: true }
    }

    /// Whether the metadata of an item does not show.
    pub(super) fn hides(&self, item: &Item) -> bool {
        item.role == Role::Top && item.entry.attributes.is_dir() && !self.top
    }

    /// Permission bits as the reader sees them.
    pub(super) fn mode(&self, attributes: &Attributes) -> u32 {
        match (&attributes.kind, &self.mode) {
            (Kind::Symlink { .. }, _) => 0o777,
            (_, Some(change)) => change.apply(attributes.mode, attributes.is_dir()),
            (_, None) => attributes.mode,
        }
    }
}

struct Hash(blake3::Hasher);

impl Hash {
    fn new(context: &str) -> Self {
        Self(blake3::Hasher::new_derive_key(context))
    }

    fn finish(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }

    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn planned(&mut self, tree: &Tree, planned: &Planned, view: &View) -> Result<(), FileError> {
        let source = &planned.source;
        let named = view.top || !source.entry.attributes.is_dir();
        self.bytes(if named { source.name.as_bytes() } else { b"" });
        self.number(planned.count);
        planned.each_with_content(tree, &mut |item, content| {
            self.item(tree, &source.real, item, view)?;
            if matches!(item.entry.attributes.kind, Kind::File { .. }) {
                self.0.update(content);
            }
            Ok(())
        })
    }

    fn item(&mut self, tree: &Tree, source: &Path, item: &Item, view: &View) -> Result<(), FileError> {
        self.bytes(item.path.as_os_str().as_bytes());
        let attributes = &item.entry.attributes;
        if view.hides(item) {
            self.number(u64::from(b'/'));
            return Ok(());
        }
        self.kind(&attributes.kind);
        self.number(u64::from(view.mode(attributes)));
        if view.owners {
            self.number(u64::from(attributes.uid));
            self.number(u64::from(attributes.gid));
        }
        let xattrs = match (tree, &attributes.kind) {
            // Within the content digest.
            (Tree::Context(_), Kind::File { .. }) => Default::default(),
            (Tree::Context(_) | Tree::Stack(_), _) => tree.xattrs(&below(source, &item.path), &item.entry)?,
        };
        self.number(xattrs.len() as u64);
        for (name, value) in &xattrs {
            self.bytes(name.as_bytes());
            self.bytes(value);
        }
        Ok(())
    }

    fn kind(&mut self, kind: &Kind) {
        let (tag, first, second) = match kind {
            Kind::File { size } => (b'f', *size, 0),
            Kind::Directory => (b'd', 0, 0),
            Kind::Symlink { .. } => (b'l', 0, 0),
            Kind::Fifo => (b'p', 0, 0),
            Kind::CharDevice { major, minor } => (b'c', u64::from(*major), u64::from(*minor)),
            Kind::BlockDevice { major, minor } => (b'b', u64::from(*major), u64::from(*minor)),
            Kind::Socket => (b's', 0, 0),
        };
        for number in [u64::from(tag), first, second] {
            self.number(number);
        }
        if let Kind::Symlink { target } = kind {
            self.bytes(target.as_os_str().as_bytes());
        }
    }
}

/// Joins without a trailing slash.
pub(super) fn below(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { root.to_path_buf() } else { root.join(path) }
}
