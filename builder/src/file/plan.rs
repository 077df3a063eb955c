//! What one source of a copy consists of, in the order in which it is copied. The same list is
//! hashed for the cache key and executed, so that both see the same files.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use graph::{Copy, Patterns, WalkState};
use layer_store::{Entry, Kind};

use super::FileError;
use super::error::shown;
use super::missing::not_found;
use super::sources::{Source, has_wildcards, sources, split};
use super::tree::Tree;

/// A source with everything that is copied of it.
pub(super) struct Planned {
    pub(super) source: Source,
    /// Directories before what they hold, names sorted. The first is the source itself.
    pub(super) items: Vec<Item>,
}

/// One path to copy.
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

/// The sources of a copy and all that is copied of them.
pub(super) fn plan(tree: &Tree, copy: &Copy) -> Result<Vec<Planned>, FileError> {
    let filter = Filter::of(copy)?;
    let planned: Vec<Planned> = sources(tree, copy)?
        .into_iter()
        .map(|source| items(tree, source, &filter))
        .collect::<Result<_, _>>()?;
    if let (Some(literal), true) = (filter.literal(), copy.required) {
        require(tree, &planned, literal)?;
    }
    Ok(planned)
}

/// `--parents` of a literal path: it has to exist.
fn require(tree: &Tree, planned: &[Planned], literal: &Path) -> Result<(), FileError> {
    for Planned { source, items } in planned {
        if !items.iter().any(|item| item.path.starts_with(literal)) {
            return Err(not_found(tree, &shown(&source.real.join(literal))));
        }
    }
    Ok(())
}

/// A real path and everything below it; `None` if there is nothing.
pub(super) fn plan_whole(tree: &Tree, real: &Path) -> Result<Option<Planned>, FileError> {
    let Some(entry) = tree.lookup(real)? else { return Ok(None) };
    let name = real.file_name().map(ToOwned::to_owned).unwrap_or_default();
    let source = Source { name, real: real.into(), entry };
    Ok(Some(items(tree, source, &Filter::default())?))
}

fn items(tree: &Tree, source: Source, filter: &Filter) -> Result<Planned, FileError> {
    let top = Item { path: PathBuf::new(), entry: source.entry.clone(), role: Role::Top };
    let mut walk = Walk { tree, filter, waiting: Vec::new(), items: vec![top] };
    if source.entry.attributes.is_dir() {
        if filter.prefix.is_none() && filter.exclude.is_none() {
            tree.prepare(&source.real)?;
        }
        walk.directory(&source.real, Path::new(""), &WalkState::default(), &WalkState::default())?;
    }
    Ok(Planned { items: walk.items, source })
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

struct Walk<'a> {
    tree: &'a Tree,
    filter: &'a Filter,
    /// Directories above the present path that nothing selected yet.
    waiting: Vec<(PathBuf, Entry)>,
    items: Vec<Item>,
}

impl Walk<'_> {
    fn directory(
        &mut self,
        real: &Path,
        path: &Path,
        included: &WalkState,
        excluded: &WalkState,
    ) -> Result<(), FileError> {
        for (name, entry) in self.tree.read_dir(real)? {
            let path = path.join(&name);
            let bytes = path.as_os_str().as_bytes();
            let include = self.filter.include.as_ref().map(|patterns| patterns.visit(included, bytes));
            let exclude = self.filter.exclude.as_ref().map(|patterns| patterns.visit(excluded, bytes));
            let chosen = include.as_ref().is_none_or(|visit| visit.excluded)
                && exclude.as_ref().is_none_or(|visit| !visit.excluded);
            let is_directory = entry.attributes.kind == Kind::Directory;
            if chosen {
                self.choose(&path, entry.clone());
            }
            let enter = exclude.as_ref().is_none_or(|visit| visit.enter) && self.filter.reaches(&path);
            if !is_directory || !enter {
                continue;
            }
            let depth = self.waiting.len();
            if !chosen {
                self.waiting.push((path.clone(), entry));
            }
            let state = |visit: Option<graph::Visit>| visit.map(|visit| visit.state).unwrap_or_default();
            self.directory(&real.join(&name), &path, &state(include), &state(exclude))?;
            self.waiting.truncate(depth);
        }
        Ok(())
    }

    fn choose(&mut self, path: &Path, entry: Entry) {
        let parents = self.waiting.drain(..);
        self.items.extend(parents.map(|(path, entry)| Item { path, entry, role: Role::Parent }));
        self.items.push(Item { path: path.into(), entry, role: Role::Chosen });
    }
}
