//! Which paths of an input a copy names: one, or what a pattern matches.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use graph::{Copy, Glob};
use layer_store::{Entry, Kind};

use super::FileError;
use super::links::{Last, clean};
use super::missing::not_found;
use super::tree::Tree;

/// One path that a copy names.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The name it has where it is put into a directory: that of the path as it was written.
    pub(super) name: OsString,
    /// Where it is, links followed as the copy asks.
    pub(super) real: PathBuf,
    pub(super) entry: Entry,
}

/// What `--parents` adds: below which directory, and which paths of it.
pub(super) struct Kept {
    pub(super) pattern: String,
}

/// The directory or file to start from, and what `--parents` keeps below it.
pub(super) fn split(copy: &Copy) -> (String, Option<Kept>) {
    if !copy.parents {
        return (copy.source.clone(), None);
    }
    let (start, pattern) = match copy.source.split_once("/./") {
        Some((start, pattern)) => (start.to_owned(), pattern),
        None => ("/".to_owned(), copy.source.strip_prefix("./").unwrap_or(&copy.source)),
    };
    let pattern = graph::path::clean(&format!("/{pattern}")).trim_start_matches('/').to_owned();
    (start, Some(Kept { pattern }))
}

/// Hands out the paths that a copy names, sorted: a pattern may name millions.
pub(super) fn sources(
    tree: &Tree,
    copy: &Copy,
    visit: &mut dyn FnMut(Source) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let (start, _) = split(copy);
    let source = graph::path::clean(&format!("/{start}"));
    let last = if copy.follow_symlinks { Last::Follow } else { Last::Keep };
    if !(copy.wildcard && has_wildcards(&source)) {
        return visit(source_at(tree, &clean(&source), last)?);
    }
    let mut any = false;
    expand(tree, &source, last, &mut |path| {
        any = true;
        visit(source_at(tree, &path, last)?)
    })?;
    if any || copy.allow_empty_wildcard { Ok(()) } else { Err(not_found(tree, &source)) }
}

fn source_at(tree: &Tree, path: &Path, last: Last) -> Result<Source, FileError> {
    let real = tree.resolve(path, last, |_| {})?;
    let entry = tree.lookup(&real)?.ok_or_else(|| not_found(tree, &super::error::shown(path)))?;
    let name = path.file_name().map(OsStr::to_owned).unwrap_or_default();
    Ok(Source { name, real, entry })
}

pub(super) fn has_wildcards(text: &str) -> bool {
    let mut escaped = false;
    text.chars().any(|c| {
        let special = !escaped && matches!(c, '*' | '?' | '[');
        escaped = !escaped && c == '\\';
        special
    })
}

/// What is done with a path that a pattern matches.
type Found<'a> = dyn FnMut(PathBuf) -> Result<(), FileError> + 'a;

/// Hands out the real paths that a pattern matches. Components before the first pattern may be links, those
/// after it are not followed.
fn expand(tree: &Tree, source: &str, last: Last, found: &mut Found<'_>) -> Result<(), FileError> {
    let components: Vec<&str> = source.split('/').filter(|part| !part.is_empty()).collect();
    let plain = components.iter().take_while(|part| !has_wildcards(part)).count();
    let start = clean(components[..plain].join("/"));
    let start = tree.resolve(&start, last, |_| {})?;
    if tree.lookup(&start)?.is_none() {
        return Err(not_found(tree, source));
    }
    let components = &components[plain..];
    let whole = Glob::new(&components.join("/")).map_err(|_| FileError::Glob(source.to_owned()))?;
    let parts: Result<Vec<Glob>, _> = components.iter().map(|part| Glob::new(part)).collect();
    match (whole.slashes_with_classes(), parts) {
        (None, Ok(parts)) => matching(tree, start, &parts, found),
        // A class that has a `/` or matches one: the pattern is one, and no list of names.
        (slashes, _) => search(tree, (&start, &start), &whole, slashes.unwrap_or(components.len()), found),
    }
}

/// All paths below a directory that a pattern matches as a whole, so many levels down; not those below one
/// that it matches.
fn search(
    tree: &Tree,
    (start, directory): (&Path, &Path),
    pattern: &Glob,
    levels: usize,
    found: &mut Found<'_>,
) -> Result<(), FileError> {
    tree.each(directory, &mut |name, entry| {
        let path = directory.join(name);
        let below = path.strip_prefix(start).unwrap_or(&path);
        if pattern.matches(below.as_os_str().as_bytes()) {
            found(path)
        } else if levels > 0 && entry.attributes.kind == Kind::Directory {
            search(tree, (start, &path), pattern, levels - 1, found)
        } else {
            Ok(())
        }
    })
}

/// All paths below one whose names match a pattern each.
fn matching(tree: &Tree, path: PathBuf, patterns: &[Glob], found: &mut Found<'_>) -> Result<(), FileError> {
    let Some((pattern, rest)) = patterns.split_first() else { return found(path) };
    if !tree.lookup(&path)?.is_some_and(|entry| entry.attributes.is_dir()) {
        return Ok(());
    }
    tree.each(&path, &mut |name, _| match pattern.matches(name.as_bytes()) {
        true => matching(tree, path.join(name), rest, found),
        false => Ok(()),
    })
}
