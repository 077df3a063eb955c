//! The same files as [`digest`](super::digest) hashes, one by one, for explanations.

use std::os::unix::ffi::OsStrExt;

use graph::Copy;
use layer_store::{Kind, Store};

use super::digest::{View, below};
use super::links::{Last, clean};
use super::plan::{Planned, plan, plan_whole};
use super::tree::Tree;
use super::{FileError, FileInput};
use crate::history::Listed;

/// Hexadecimal digits of a content digest that tell one content from another.
const DIGITS: usize = 16;

/// Who hears of each file.
pub(crate) type Hear<'a> = dyn FnMut(Listed) -> Result<(), FileError> + 'a;

/// What `copy` reads of its input.
pub(crate) fn selection_listing(
    store: &Store,
    input: &FileInput,
    copy: &Copy,
    hear: &mut Hear<'_>,
) -> Result<(), FileError> {
    let tree = Tree::open(store, input)?;
    let view = View::of(copy)?;
    plan(&tree, copy, &mut |planned| list(&tree, &planned, &view, hear))
}

/// A path of an input with everything below it.
pub(crate) fn bind_listing(
    store: &Store,
    input: &FileInput,
    path: &str,
    hear: &mut Hear<'_>,
) -> Result<(), FileError> {
    let tree = Tree::open(store, input)?;
    let real = tree.resolve(&clean(path), Last::Follow, |_| {})?;
    match plan_whole(&tree, &real)? {
        Some(planned) => list(&tree, &planned, &View::whole(), hear),
        None => Ok(()),
    }
}

fn list(tree: &Tree, planned: &Planned, view: &View, hear: &mut Hear<'_>) -> Result<(), FileError> {
    planned.each_with_content(tree, &mut |item, content| {
        let attributes = &item.entry.attributes;
        let (kind, content) = match &attributes.kind {
            Kind::File { .. } => ('f', hex(content)),
            Kind::Directory => ('d', String::new()),
            Kind::Symlink { target } => ('l', hash(target.as_os_str().as_bytes())),
            Kind::Fifo => ('p', String::new()),
            Kind::CharDevice { major, minor } => ('c', format!("{major}:{minor}")),
            Kind::BlockDevice { major, minor } => ('b', format!("{major}:{minor}")),
            Kind::Socket => ('s', String::new()),
        };
        hear(Listed {
            path: below(&planned.source.real, &item.path).to_string_lossy().into_owned(),
            kind,
            mode: if view.hides(item) { 0 } else { view.mode(attributes) },
            content,
        })
    })
}

fn hash(bytes: &[u8]) -> String {
    hex(blake3::hash(bytes).as_bytes())
}

fn hex(digest: &[u8; 32]) -> String {
    let mut text = blake3::Hash::from(*digest).to_hex().to_string();
    text.truncate(DIGITS);
    text
}
