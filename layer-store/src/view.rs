//! The merged tree of a snapshot, read from the layer directories without a mount.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use defence::Defence;
use rustix::fs::{AtFlags, CWD, FileType, Mode as Bits, OFlags, Stat, openat, statat};
use rustix::io::Errno;

use crate::attributes::{Entry, Kind};
use crate::error::{At, Result, StoreError};
use crate::marks::{Marks, is_whiteout};
use crate::names::{HostNames, Merged as MergedNames};
use crate::sheet::{Sheet, is_opaque};
use crate::truth::{self, file_type};
use crate::walk::check_depth;
use crate::{LayerId, Snapshot, Store};

/// As many links as Linux follows in one path.
const LINK_LIMIT: usize = 40;

/// The merged tree of a snapshot. Paths are inside its root, with or without a leading slash; symbolic
/// links resolve inside the root only. Clones are cheap.
#[derive(Clone, Debug)]
pub struct StackView {
    sheets: Arc<Vec<Arc<Sheet>>>,
    opaque: Arc<OsString>,
}

/// What a visitor wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Go on.
    Continue,
    /// Go on without what is below this directory.
    SkipChildren,
}

/// A name of the merged tree: the layers that have a part in it, top first. Only directories have several.
struct Merged {
    parts: Vec<usize>,
    stat: Stat,
}

impl Store {
    /// Opens the merged tree of a snapshot.
    pub fn stack(&self, snapshot: &Snapshot) -> Result<StackView> {
        let sheet = |id: &LayerId| self.sheet(id)?.ok_or_else(|| StoreError::AbsentLayer { id: id.clone() });
        let sheets = snapshot.0.iter().map(sheet).collect::<Result<Vec<_>>>()?;
        Ok(StackView::of(sheets, self.marks()))
    }
}

impl StackView {
    pub(crate) fn of(sheets: Vec<Arc<Sheet>>, marks: Marks) -> Self {
        Self { sheets: Arc::new(sheets), opaque: Arc::new(marks.opaque()) }
    }

    pub(crate) fn with(&self, sheet: Sheet) -> Self {
        let mut sheets = (*self.sheets).clone();
        sheets.push(Arc::new(sheet));
        Self { sheets: Arc::new(sheets), opaque: self.opaque.clone() }
    }

    /// Its layers, bottom first.
    pub(crate) fn sheets(&self) -> &[Arc<Sheet>] {
        &self.sheets
    }

    pub(crate) fn is_opaque(&self, host: &Path) -> Result<bool> {
        is_opaque(host, &self.opaque)
    }

    /// Looks a path up: links in its parents are followed, its last component is not.
    pub fn lookup(&self, path: &Path) -> Result<Option<Entry>> {
        let real = self.resolve_parents(path)?;
        self.entry(&real)
    }

    /// Looks a path up and follows its last component, too. Also gives the real path.
    pub fn resolve(&self, path: &Path) -> Result<Option<(PathBuf, Entry)>> {
        let real = self.follow(path, true)?;
        Ok(self.entry(&real)?.map(|entry| (real, entry)))
    }

    /// The real path of a name: the links in its parents are followed as far as they exist.
    pub fn resolve_parents(&self, path: &Path) -> Result<PathBuf> {
        self.follow(path, false)
    }

    /// The entries of a directory, sorted by bytes. The path must be real. An absent directory has none.
    pub fn read_dir(&self, dir: &Path) -> Result<Vec<(OsString, Entry)>> {
        self.entries(dir)?.collect()
    }

    /// The same, one after the other: a directory may have millions.
    pub fn entries(&self, dir: &Path) -> Result<Entries<'_>> {
        let dir = plain(dir);
        let children = match self.merged(&dir)? {
            None => None,
            Some(merged) if file_type(&merged.stat) != FileType::Directory => {
                return Err(StoreError::path(&dir, "is not a directory"));
            }
            Some(merged) => Some(self.children(dir, merged.parts)),
        };
        Ok(Entries(children))
    }

    /// Opens a regular file for reading. The path must be real.
    pub fn open(&self, path: &Path) -> Result<File> {
        let path = plain(path);
        let merged = self.merged(&path)?.ok_or_else(|| StoreError::path(&path, "does not exist"))?;
        if file_type(&merged.stat) != FileType::RegularFile {
            return Err(StoreError::path(&path, "is not a regular file"));
        }
        let host = self.host(&path, &merged);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(CWD, &host, flags, Bits::empty()).map(File::from).at(&host)
    }

    /// Reads a small file, following links. `None` where there is no such regular file; longer than
    /// `limit` is an error.
    pub fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        if !defence::stands(Defence::ReadInside) {
            let host = self.host_path(&self.resolve_parents(path)?)?;
            return std::fs::read(&host).at(&host).map(Some);
        }
        let Some((real, entry)) = self.resolve(path)? else { return Ok(None) };
        let Kind::File { size } = entry.attributes.kind else { return Ok(None) };
        let limit = if defence::stands(Defence::ReadBounded) { limit } else { u64::MAX };
        if size > limit {
            return Err(StoreError::path(&real, "is too long"));
        }
        let mut bytes = Vec::new();
        self.open(&real)?.take(limit).read_to_end(&mut bytes).at(&real)?;
        Ok(Some(bytes))
    }

    /// Visits everything below a directory, not the directory itself: parents before children, sorted by
    /// bytes. The visitor gets paths from the root of the tree.
    pub fn walk(&self, dir: &Path, visit: &mut dyn FnMut(&Path, &Entry) -> Result<Walk>) -> Result<()> {
        let mut walk = self.tree(dir)?;
        while let Some((path, entry)) = walk.advance()? {
            if visit(&path, &entry)? == Walk::SkipChildren {
                walk.skip_children();
            }
        }
        Ok(())
    }

    /// The same as [`StackView::walk`], for who takes one after the other.
    pub fn tree(&self, dir: &Path) -> Result<TreeWalk<'_>> {
        let dir = plain(dir);
        let open = match self.merged(&dir)? {
            Some(merged) if file_type(&merged.stat) == FileType::Directory => {
                vec![self.children(dir, merged.parts)]
            }
            Some(_) | None => Vec::new(),
        };
        Ok(TreeWalk { view: self, open, entering: None })
    }

    /// Where the file of a real path lies below `layers/`.
    pub fn host_path(&self, path: &Path) -> Result<PathBuf> {
        let path = plain(path);
        let merged = self.merged(&path)?.ok_or_else(|| StoreError::path(&path, "does not exist"))?;
        Ok(self.host(&path, &merged))
    }

    /// Where the file of an entry lies that a walk found at a real path.
    pub fn host_of(&self, path: &Path, entry: &Entry) -> PathBuf {
        self.sheets.get(entry.identity.0).map_or_else(PathBuf::new, |sheet| sheet.host.join(path))
    }

    fn host(&self, path: &Path, merged: &Merged) -> PathBuf {
        merged.parts.first().map_or_else(PathBuf::new, |top| self.sheets[*top].host.join(path))
    }

    /// The entry of a real path.
    pub(crate) fn entry(&self, path: &Path) -> Result<Option<Entry>> {
        self.merged(path)?.map(|merged| self.entry_of(path, &merged)).transpose()
    }

    fn entry_of(&self, path: &Path, merged: &Merged) -> Result<Entry> {
        let top = merged.parts.first().copied().unwrap_or(0);
        let sheet = &self.sheets[top];
        let attributes = truth::read(&sheet.host.join(path), path, &merged.stat, &sheet.aside)?;
        Ok(Entry {
            attributes,
            identity: (top, merged.stat.st_ino),
            links: u64::from(merged.stat.st_nlink as u32),
        })
    }

    fn root(&self) -> Result<Option<Merged>> {
        let Some(top) = self.sheets.last() else { return Ok(None) };
        let stat = statat(CWD, &top.host, AtFlags::SYMLINK_NOFOLLOW).at(&top.host)?;
        let mut parts = Vec::with_capacity(self.sheets.len());
        for (layer, sheet) in self.sheets.iter().enumerate().rev() {
            parts.push(layer);
            if sheet.hides_all(&self.opaque)? {
                break;
            }
        }
        Ok(Some(Merged { parts, stat }))
    }

    /// Finds a real path: every parent must be a directory, no link is followed.
    fn merged(&self, path: &Path) -> Result<Option<Merged>> {
        let mut merged = self.root()?;
        let mut so_far = PathBuf::new();
        for name in path {
            let Some(dir) = merged else { return Ok(None) };
            if file_type(&dir.stat) != FileType::Directory {
                return Ok(None);
            }
            so_far.push(name);
            merged = self.part(&dir.parts, &so_far)?;
        }
        Ok(merged)
    }

    /// What the given layers, top first, make of one path whose parent they share.
    fn part(&self, layers: &[usize], path: &Path) -> Result<Option<Merged>> {
        let mut found: Option<Merged> = None;
        for &layer in layers {
            let sheet = &self.sheets[layer];
            if !sheet.may_hold(path, &self.opaque)? {
                continue;
            }
            let host = sheet.host.join(path);
            let stat = match statat(CWD, &host, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => continue,
                Err(error) => return Err(error).at(&host),
            };
            if is_whiteout(&stat) {
                break;
            }
            let is_dir = file_type(&stat) == FileType::Directory;
            match &mut found {
                Some(_) if !is_dir => break,
                Some(merged) => merged.parts.push(layer),
                None => found = Some(Merged { parts: vec![layer], stat }),
            }
            if !is_dir || self.is_opaque(&host)? {
                break;
            }
        }
        Ok(found)
    }

    fn children(&self, dir: PathBuf, parts: Vec<usize>) -> Children<'_> {
        let lists = parts.iter().map(|layer| HostNames::of(&self.sheets[*layer].host.join(&dir)));
        Children { view: self, names: MergedNames::new(lists), holders: Vec::new(), dir, parts }
    }

    /// The names in a directory, sorted; none where there is no such directory. The path must be real.
    pub(crate) fn names(&self, dir: &Path) -> Result<impl Iterator<Item = Result<OsString>> + '_> {
        let mut children = match self.merged(dir)? {
            Some(merged) if file_type(&merged.stat) == FileType::Directory => {
                Some(self.children(dir.to_owned(), merged.parts))
            }
            Some(_) | None => None,
        };
        Ok(std::iter::from_fn(move || children.as_mut()?.next().transpose())
            .map(|child| child.map(|(name, _)| name)))
    }

    /// Follows links inside the root. Names that do not exist are kept as they are.
    fn follow(&self, path: &Path, last_too: bool) -> Result<PathBuf> {
        let mut real = PathBuf::new();
        let mut todo: Vec<OsString> = parts(path);
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == ".." {
                real.pop();
                continue;
            }
            let next = real.join(&name);
            if todo.is_empty() && !last_too {
                return Ok(next);
            }
            let merged = self.merged(&next)?;
            let Some(merged) = merged.filter(|merged| file_type(&merged.stat) == FileType::Symlink) else {
                real = next;
                continue;
            };
            links += 1;
            if links > LINK_LIMIT {
                return Err(StoreError::path(path, "leads through too many symbolic links"));
            }
            let host = self.host(&next, &merged);
            let target = std::fs::read_link(&host).at(&host)?;
            if target.as_os_str().as_bytes().first() == Some(&b'/') {
                real = PathBuf::new();
            }
            todo.extend(parts(&target));
        }
        Ok(real)
    }
}

/// The names in a directory, one after the other.
struct Children<'a> {
    view: &'a StackView,
    dir: PathBuf,
    /// The layers that have a part in it, top first.
    parts: Vec<usize>,
    names: MergedNames<HostNames>,
    /// Which of the parts have a name.
    holders: Vec<usize>,
}

impl Children<'_> {
    fn next(&mut self) -> Result<Option<(OsString, Merged)>> {
        while let Some(name) = self.names.next(&mut self.holders)? {
            let layers: Vec<usize> = self.holders.iter().map(|nth| self.parts[*nth]).collect();
            if let Some(child) = self.view.part(&layers, &self.dir.join(&name))? {
                return Ok(Some((name, child)));
            }
        }
        Ok(None)
    }
}

/// The entries of a directory.
pub struct Entries<'a>(Option<Children<'a>>);

impl Iterator for Entries<'_> {
    type Item = Result<(OsString, Entry)>;

    fn next(&mut self) -> Option<Self::Item> {
        let children = self.0.as_mut()?;
        let next = children.next().transpose()?;
        Some(next.and_then(|(name, child)| {
            let entry = children.view.entry_of(&children.dir.join(&name), &child)?;
            Ok((name, entry))
        }))
    }
}

/// A walk below a directory: parents before children, sorted by bytes.
pub struct TreeWalk<'a> {
    view: &'a StackView,
    open: Vec<Children<'a>>,
    /// The directory that was told last.
    entering: Option<(PathBuf, Vec<usize>)>,
}

impl TreeWalk<'_> {
    /// The next path, from the root of the tree.
    pub fn advance(&mut self) -> Result<Option<(PathBuf, Entry)>> {
        if let Some((dir, parts)) = self.entering.take() {
            check_depth(&dir)?;
            self.open.push(self.view.children(dir, parts));
        }
        while let Some(children) = self.open.last_mut() {
            let Some((name, child)) = children.next()? else {
                self.open.pop();
                continue;
            };
            let path = children.dir.join(name);
            let entry = self.view.entry_of(&path, &child)?;
            if file_type(&child.stat) == FileType::Directory {
                self.entering = Some((path.clone(), child.parts));
            }
            return Ok(Some((path, entry)));
        }
        Ok(None)
    }

    /// Goes on without what is below the directory that was told last.
    pub fn skip_children(&mut self) {
        self.entering = None;
    }
}

/// The components of a path, last first, without `.` and root.
fn parts(path: &Path) -> Vec<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
}

/// A real path without its leading slash; `..` never leads out of the root.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for name in parts(path).into_iter().rev() {
        if name == ".." {
            plain.pop();
        } else {
            plain.push(name);
        }
    }
    plain
}
