//! The same files as [`digest`](super::digest) hashes, one by one, for explanations.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use graph::Copy;
use layer_store::{Entry, Kind, Store};

use super::digest::{View, below};
use super::links::{Last, clean};
use super::plan::{Planned, plan, plan_whole};
use super::tree::Tree;
use super::{FileError, FileInput};
use crate::history::{Listed, Listing};

/// Hexadecimal digits of a content digest that tell one content from another.
const DIGITS: usize = 16;

/// What `copy` reads of its input.
pub(crate) fn selection_listing(store: &Store, input: &FileInput, copy: &Copy) -> Result<Listing, FileError> {
    let tree = Tree::open(store, input)?;
    let view = View::of(copy)?;
    let mut all = Listing::new();
    for planned in plan(&tree, copy)? {
        list(&tree, &planned, &view, &mut all)?;
    }
    Ok(all)
}

/// A path of an input with everything below it.
pub(crate) fn bind_listing(store: &Store, input: &FileInput, path: &str) -> Result<Listing, FileError> {
    let tree = Tree::open(store, input)?;
    let real = tree.resolve(&clean(path), Last::Follow, |_| {})?;
    let mut all = Listing::new();
    if let Some(planned) = plan_whole(&tree, &real)? {
        list(&tree, &planned, &View::whole(), &mut all)?;
    }
    Ok(all)
}

fn list(tree: &Tree, planned: &Planned, view: &View, all: &mut Listing) -> Result<(), FileError> {
    let path = |item: &super::plan::Item| below(&planned.source.real, &item.path);
    let files: Vec<(PathBuf, &Entry)> = planned
        .items
        .iter()
        .filter(|item| matches!(item.entry.attributes.kind, Kind::File { .. }))
        .map(|item| (path(item), &item.entry))
        .collect();
    let mut digests = tree.digests(&files)?.into_iter();
    for item in &planned.items {
        let attributes = &item.entry.attributes;
        let (kind, content) = match &attributes.kind {
            Kind::File { .. } => ('f', hex(&digests.next().unwrap_or_default())),
            Kind::Directory => ('d', String::new()),
            Kind::Symlink { target } => ('l', hash(target.as_os_str().as_bytes())),
            Kind::Fifo => ('p', String::new()),
            Kind::CharDevice { major, minor } => ('c', format!("{major}:{minor}")),
            Kind::BlockDevice { major, minor } => ('b', format!("{major}:{minor}")),
            Kind::Socket => ('s', String::new()),
        };
        let hidden = view.hides(item);
        all.push(Listed {
            path: path(item).to_string_lossy().into_owned(),
            kind,
            mode: if hidden { 0 } else { view.mode(attributes) },
            content,
        });
    }
    Ok(())
}

fn hash(bytes: &[u8]) -> String {
    hex(blake3::hash(bytes).as_bytes())
}

fn hex(digest: &[u8; 32]) -> String {
    let mut text = blake3::Hash::from(*digest).to_hex().to_string();
    text.truncate(DIGITS);
    text
}
