//! What to say when a source is not there.

use std::path::Path;

use graph::edit_distance;
use layer_store::Kind;

use super::FileError;
use super::error::shown;
use super::links::{Last, clean};
use super::tree::Tree;
use crate::context::HidingRule;

const MOST_NAMES: usize = 3;

/// The error for a path or pattern without a match, with whatever helps to see why.
pub(super) fn not_found(tree: &Tree, source: &str) -> FileError {
    let path = clean(source);
    FileError::NotFound {
        path: shown(&path),
        place: tree.place(),
        hidden_by: hidden_by(tree, &path),
        dead_link: dead_link(tree, &path).unwrap_or_default(),
        similar: similar(tree, &path).unwrap_or_default(),
    }
}

fn hidden_by(tree: &Tree, path: &Path) -> Option<HidingRule> {
    match tree {
        Tree::Context(scan) => scan.hidden_by(path),
        Tree::Stack(_) => None,
    }
}

/// The first link on the way that leads to nothing in the tree, and its text.
fn dead_link(tree: &Tree, path: &Path) -> Result<Option<(String, String)>, FileError> {
    let mut directory = std::path::PathBuf::new();
    for name in path.iter() {
        let here = directory.join(name);
        let next = tree.resolve(&here, Last::Follow, |_| {})?;
        if tree.lookup(&next)?.is_none() {
            return Ok(match tree.lookup(&here)?.map(|entry| entry.attributes.kind) {
                Some(Kind::Symlink { target }) => Some((shown(&here), target.display().to_string())),
                Some(_) | None => None,
            });
        }
        directory = next;
    }
    Ok(None)
}

/// Names like the first missing component, beside it.
fn similar(tree: &Tree, path: &Path) -> Result<Vec<String>, FileError> {
    let mut directory = std::path::PathBuf::new();
    for name in path.iter() {
        let next = tree.resolve(&directory.join(name), Last::Follow, |_| {})?;
        if tree.lookup(&next)?.is_none() {
            let wanted = name.to_string_lossy().to_lowercase();
            let mut close: Vec<(usize, String)> = Vec::new();
            tree.each(&directory, &mut |name, _| {
                let name = name.to_string_lossy();
                let distance = edit_distance(&wanted, &name.to_lowercase());
                if distance <= 1 + wanted.chars().count() / 4 {
                    close.push((distance, name.into_owned()));
                }
                Ok(())
            })?;
            close.sort();
            close.truncate(MOST_NAMES);
            return Ok(close.into_iter().map(|(_, name)| shown(&directory.join(name))).collect());
        }
        directory = next;
    }
    Ok(Vec::new())
}
