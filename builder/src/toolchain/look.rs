//! What differs between the files of two images, without a mount.

use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};

use layer_store::{Attributes, Entry, Kind};

use super::error::ToolError;
use super::opened::OpenImage;

/// How a file differs between two images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// Its content, type or target.
    Content,
    /// Its mode, owner or extended attributes only.
    Metadata,
}

/// A file that differs between two images.
#[derive(Clone, Debug)]
pub struct ChangedFile {
    /// Where.
    pub path: PathBuf,
    /// How.
    pub difference: Difference,
    /// What the first image has there.
    pub before: Option<Attributes>,
    /// What the second image has there.
    pub after: Option<Attributes>,
}

/// Tells what differs between the files of two trees, sorted by path. Times do not count.
pub fn differences(
    old: &OpenImage,
    new: &OpenImage,
    tell: &mut dyn FnMut(&ChangedFile),
) -> Result<(), ToolError> {
    let top = Path::new("");
    let (mut before, mut after) = (old.view.tree(top)?, new.view.tree(top)?);
    let (mut one, mut other) = (before.advance()?, after.advance()?);
    loop {
        let order = match (&one, &other) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            // Both walks have directories before what is in them.
            (Some((one, _)), Some((other, _))) => one.cmp(other),
        };
        let mine = if order.is_le() { std::mem::replace(&mut one, before.advance()?) } else { None };
        let theirs = if order.is_ge() { std::mem::replace(&mut other, after.advance()?) } else { None };
        if let Some(changed) = changed(old, new, mine, theirs)? {
            tell(&changed);
        }
    }
}

fn changed(
    old: &OpenImage,
    new: &OpenImage,
    before: Option<(PathBuf, Entry)>,
    after: Option<(PathBuf, Entry)>,
) -> Result<Option<ChangedFile>, ToolError> {
    let (difference, path) = match (&before, &after) {
        (Some((path, before)), Some((_, after))) => (difference(old, new, path, before, after)?, path),
        (Some((path, _)), None) => (Some(Difference::Removed), path),
        (None, Some((path, _))) => (Some(Difference::Added), path),
        (None, None) => return Ok(None),
    };
    let path = path.clone();
    let attributes = |side: Option<(PathBuf, Entry)>| side.map(|(_, entry)| entry.attributes);
    Ok(difference.map(|difference| ChangedFile {
        path,
        difference,
        before: attributes(before),
        after: attributes(after),
    }))
}

fn difference(
    old: &OpenImage,
    new: &OpenImage,
    path: &Path,
    before: &Entry,
    after: &Entry,
) -> Result<Option<Difference>, ToolError> {
    let same_file = old.view.host_of(path, before) == new.view.host_of(path, after);
    let (before, after) = (&before.attributes, &after.attributes);
    if before.kind != after.kind {
        return Ok(Some(Difference::Content));
    }
    // One file of the store is the same as itself.
    if matches!(before.kind, Kind::File { .. })
        && !same_file
        && !same_content(old.view.open(path)?, new.view.open(path)?)
            .map_err(|source| ToolError::Archive { layer: path.display().to_string(), source })?
    {
        return Ok(Some(Difference::Content));
    }
    let alike = Attributes { mtime: before.mtime, ..after.clone() } == *before;
    Ok((!alike).then_some(Difference::Metadata))
}

fn same_content(mut one: impl io::Read, mut other: impl io::Read) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let count = one.read(&mut left)?;
        if count == 0 {
            return Ok(other.read(&mut right)? == 0);
        }
        match other.read_exact(&mut right[..count]) {
            Ok(()) if left[..count] == right[..count] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
