//! What differs between the files of two images, without a mount.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use layer_store::{Attributes, Kind, StackView, Walk};

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

/// What differs between the files of two trees, sorted by path. Times do not count.
pub fn differences(old: &OpenImage, new: &OpenImage) -> Result<Vec<ChangedFile>, ToolError> {
    let (before, mut after) = (files(&old.view)?, files(&new.view)?);
    let mut found = Vec::new();
    for (path, before) in before {
        let after = after.remove(&path);
        let difference = match &after {
            None => Some(Difference::Removed),
            Some(after) => difference(old, new, &path, &before, after)?,
        };
        if let Some(difference) = difference {
            found.push(ChangedFile { path, difference, before: Some(before), after });
        }
    }
    found.extend(after.into_iter().map(|(path, after)| ChangedFile {
        path,
        difference: Difference::Added,
        before: None,
        after: Some(after),
    }));
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

fn files(view: &StackView) -> Result<BTreeMap<PathBuf, Attributes>, ToolError> {
    let mut all = BTreeMap::new();
    view.walk(Path::new(""), &mut |path, entry| {
        all.insert(path.to_owned(), entry.attributes.clone());
        Ok(Walk::Continue)
    })?;
    Ok(all)
}

fn difference(
    old: &OpenImage,
    new: &OpenImage,
    path: &Path,
    before: &Attributes,
    after: &Attributes,
) -> Result<Option<Difference>, ToolError> {
    if before.kind != after.kind {
        return Ok(Some(Difference::Content));
    }
    // One file of the store is the same as itself.
    if matches!(before.kind, Kind::File { .. })
        && old.view.host_path(path)? != new.view.host_path(path)?
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
