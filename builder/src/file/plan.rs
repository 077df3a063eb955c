//! What one source of a copy consists of, in the order in which it is copied. The same list is
//! hashed for the cache key and executed, so that both see the same files.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use graph::{Copy, Patterns, WalkState};
use layer_store::{Entry, Kind};

use super::FileError;
use super::digest::below;
use super::error::shown;
use super::missing::not_found;
use super::sources::{Source, has_wildcards, sources, split};
use super::tree::Tree;
use crate::context::ContentDigest;

/// So many contents are asked for at once.
const AT_ONCE: usize = if cfg!(test) { 3 } else { 1 << 12 };

/// So many items of a source are kept; of one that has more, each user walks through the tree.
const KEPT: usize = if cfg!(test) { 5 } else { 1 << 15 };

/// A source with everything that is copied of it.
pub(super) struct Planned {
    pub(super) source: Source,
    filter: Arc<Filter>,
    /// How many items there are.
    pub(super) count: u64,
    /// They all, unless they are too many.
    kept: Option<Vec<Item>>,
}

/// One path to copy.
#[derive(Clone)]
pub(super) struct Item {
    /// Relative to the source; the source itself is the empty path.
    pub(super) path: PathBuf,
    pub(super) entry: Entry,
    pub(super) role: Role,
}

/// Why an item is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The source itself.
    Top,
    /// Selected.
    Chosen,
    /// A directory that is only there because something below it is selected.
    Parent,
}

/// Hands out the sources of a copy with all that is copied of them, one after the other.
pub(super) fn plan(
    tree: &Tree,
    copy: &Copy,
    visit: &mut dyn FnMut(Planned) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let filter = Arc::new(Filter::of(copy)?);
    sources(tree, copy, &mut |source| {
        let planned = Planned::new(tree, source, filter.clone())?;
        if let (Some(literal), true) = (filter.literal(), copy.required) {
            require(tree, &planned, literal)?;
        }
        visit(planned)
    })
}

/// `--parents` of a literal path: it has to exist.
fn require(tree: &Tree, planned: &Planned, literal: &Path) -> Result<(), FileError> {
    let mut there = false;
    planned.each(tree, &mut |item| {
        there |= item.path.starts_with(literal);
        Ok(())
    })?;
    if there { Ok(()) } else { Err(not_found(tree, &shown(&planned.source.real.join(literal)))) }
}

/// A real path and everything below it; `None` if there is nothing.
pub(super) fn plan_whole(tree: &Tree, real: &Path) -> Result<Option<Planned>, FileError> {
    let Some(entry) = tree.lookup(real)? else { return Ok(None) };
    let name = real.file_name().map(ToOwned::to_owned).unwrap_or_default();
    let source = Source { name, real: real.into(), entry };
    Ok(Some(Planned::new(tree, source, Arc::default())?))
}

impl Planned {
    fn new(tree: &Tree, source: Source, filter: Arc<Filter>) -> Result<Self, FileError> {
        let whole = filter.prefix.is_none() && filter.exclude.is_none();
        if whole && source.entry.attributes.is_dir() {
            tree.prepare(&source.real)?;
        }
        let (mut count, mut kept) = (0, Some(Vec::new()));
        walk(tree, &source, &filter, &mut |item| {
            count += 1;
            match &mut kept {
                Some(items) if items.len() < KEPT => items.push(item),
                Some(_) | None => kept = None,
            }
            Ok(())
        })?;
        Ok(Self { source, filter, count, kept })
    }

    /// Hands out the items, always the same: directories before what they hold, names sorted. The first is the
    /// source itself.
    pub(super) fn each(&self, tree: &Tree, visit: &mut Visit<'_>) -> Result<(), FileError> {
        match &self.kept {
            Some(items) => items.iter().cloned().try_for_each(visit),
            None => walk(tree, &self.source, &self.filter, visit),
        }
    }

    /// The same with the digests of files, and something else of everything else.
    pub(super) fn each_with_content(
        &self,
        tree: &Tree,
        visit: &mut dyn FnMut(&Item, &ContentDigest) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let mut waiting = Vec::new();
        self.each(tree, &mut |item| {
            waiting.push(item);
            if waiting.len() < AT_ONCE {
                return Ok(());
            }
            self.with_content(tree, &mut waiting, visit)
        })?;
        self.with_content(tree, &mut waiting, visit)
    }

    fn with_content(
        &self,
        tree: &Tree,
        items: &mut Vec<Item>,
        visit: &mut dyn FnMut(&Item, &ContentDigest) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let is_file = |item: &&Item| matches!(item.entry.attributes.kind, Kind::File { .. });
        let files: Vec<(PathBuf, &Entry)> = items
            .iter()
            .filter(is_file)
            .map(|item| (below(&self.source.real, &item.path), &item.entry))
            .collect();
        let mut digests = tree.digests(&files)?.into_iter();
        for item in items.iter() {
            let digest = if is_file(&item) { digests.next().unwrap_or_default() } else { Default::default() };
            visit(item, &digest)?;
        }
        items.clear();
        Ok(())
    }
}

/// What is done with an item.
type Visit<'a> = dyn FnMut(Item) -> Result<(), FileError> + 'a;

fn walk(tree: &Tree, source: &Source, filter: &Filter, visit: &mut Visit<'_>) -> Result<(), FileError> {
    visit(Item { path: PathBuf::new(), entry: source.entry.clone(), role: Role::Top })?;
    if !source.entry.attributes.is_dir() {
        return Ok(());
    }
    let mut walk = Walk { tree, filter, waiting: Vec::new(), visit };
    walk.directory(&source.real, Path::new(""), &WalkState::default(), &WalkState::default())
}

/// Which paths below a source are copied.
#[derive(Default)]
struct Filter {
    include: Option<Patterns>,
    exclude: Option<Patterns>,
    /// Nothing is included outside of this path or the directories above it.
    prefix: Option<PathBuf>,
    /// The prefix is the whole of what is included.
    is_literal: bool,
}

impl Filter {
    fn of(copy: &Copy) -> Result<Self, FileError> {
        let (_, kept) = split(copy);
        // The source itself, as a pattern, stands for everything in it.
        let kept = kept.filter(|kept| !kept.pattern.is_empty());
        let include = kept.as_ref().map(|kept| Patterns::new([&kept.pattern])).transpose()?;
        let exclude = if copy.exclude.is_empty() { None } else { Some(Patterns::new(&copy.exclude)?) };
        let is_literal = kept.as_ref().is_some_and(|kept| !has_wildcards(&kept.pattern));
        let prefix = kept.map(|kept| {
            let plain = |part: &&str| !part.contains(['*', '?', '[', '\\', '!']);
            kept.pattern.split('/').take_while(plain).collect()
        });
        Ok(Self { include, exclude, prefix, is_literal })
    }

    fn literal(&self) -> Option<&Path> {
        self.prefix.as_deref().filter(|_| self.is_literal)
    }

    /// Whether anything at or below a directory may be included.
    fn reaches(&self, path: &Path) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| prefix.starts_with(path) || path.starts_with(prefix))
    }
}

struct Walk<'a, 'v> {
    tree: &'a Tree,
    filter: &'a Filter,
    /// Directories above the present path that nothing selected yet.
    waiting: Vec<(PathBuf, Entry)>,
    visit: &'a mut Visit<'v>,
}

impl Walk<'_, '_> {
    fn directory(
        &mut self,
        real: &Path,
        path: &Path,
        included: &WalkState,
        excluded: &WalkState,
    ) -> Result<(), FileError> {
        let tree = self.tree;
        tree.each(real, &mut |name, entry| {
            let path = path.join(&name);
            let bytes = path.as_os_str().as_bytes();
            let include = self.filter.include.as_ref().map(|patterns| patterns.visit(included, bytes));
            let exclude = self.filter.exclude.as_ref().map(|patterns| patterns.visit(excluded, bytes));
            let chosen = include.as_ref().is_none_or(|visit| visit.excluded)
                && exclude.as_ref().is_none_or(|visit| !visit.excluded);
            let is_directory = entry.attributes.kind == Kind::Directory;
            if chosen {
                self.choose(&path, entry.clone())?;
            }
            let enter = exclude.as_ref().is_none_or(|visit| visit.enter) && self.filter.reaches(&path);
            if !is_directory || !enter {
                return Ok(());
            }
            let depth = self.waiting.len();
            if !chosen {
                self.waiting.push((path.clone(), entry));
            }
            let state = |visit: Option<graph::Visit>| visit.map(|visit| visit.state).unwrap_or_default();
            self.directory(&real.join(&name), &path, &state(include), &state(exclude))?;
            self.waiting.truncate(depth);
            Ok(())
        })
    }

    fn choose(&mut self, path: &Path, entry: Entry) -> Result<(), FileError> {
        for (path, entry) in self.waiting.drain(..) {
            (self.visit)(Item { path, entry, role: Role::Parent })?;
        }
        (self.visit)(Item { path: path.into(), entry, role: Role::Chosen })
    }
}
