//! Walks one layer directory: what this layer changes, in the order of its archive.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Stat, statat};

use crate::attributes::Attributes;
use crate::error::{At, Result, StoreError};
use crate::marks::{Marks, is_whiteout};
use crate::sheet::Sheet;
use crate::tree::DEPTH_LIMIT;
use crate::truth::{self, Aside, file_type};
use crate::view::StackView;
use crate::{LayerId, Store};

/// One change that a layer makes.
pub(crate) enum Change<'a> {
    /// A name of the layers below is gone.
    Whiteout,
    /// A file is new or other than below.
    Entry {
        attributes: &'a Attributes,
        /// A directory that shows nothing of the layers below.
        opaque: bool,
        host: &'a Path,
        inode: u64,
        links: u64,
    },
}

type Visit<'a> = dyn FnMut(&Path, &Change<'_>) -> Result<()> + 'a;

/// A walk over one layer.
pub(crate) struct LayerWalk<'a> {
    sheet: Arc<Sheet>,
    alone: StackView,
    /// What the layer lies on, where opaque directories are to be told as deleted names.
    below: Option<&'a StackView>,
    root_too: bool,
}

impl<'a> LayerWalk<'a> {
    /// A walk that tells opaque directories as such, and the root directory first.
    pub(crate) fn with_marks(store: &Store, id: &LayerId) -> Result<Self> {
        Self::new(store, id, None, true)
    }

    /// A walk that tells opaque directories as deleted names of what lies below, and leaves the root out.
    pub(crate) fn explicit(store: &Store, id: &LayerId, below: &'a StackView) -> Result<Self> {
        Self::new(store, id, Some(below), false)
    }

    /// A walk over a layer that has no name yet, as [`LayerWalk::with_marks`].
    pub(crate) fn unnamed(host: PathBuf, aside: Aside, marks: Marks) -> Self {
        let sheet = Arc::new(Sheet::changing(host, Arc::new(aside)));
        Self { sheet, alone: StackView::of(Vec::new(), marks), below: None, root_too: true }
    }

    fn new(store: &Store, id: &LayerId, below: Option<&'a StackView>, root_too: bool) -> Result<Self> {
        let sheet = store.sheet(id)?.ok_or_else(|| StoreError::AbsentLayer { id: id.clone() })?;
        Ok(Self { sheet, alone: StackView::of(Vec::new(), store.marks()), below, root_too })
    }

    /// Visits every change: directories before what is in them, deleted names before their siblings, else
    /// sorted by bytes.
    pub(crate) fn run(&self, visit: &mut Visit<'_>) -> Result<()> {
        let root = Path::new("");
        let stat = self.stat(root)?;
        let opaque = self.alone.is_opaque(&self.sheet.host)?;
        if self.root_too {
            self.tell(root, &stat, opaque, visit)?;
        }
        self.everything(opaque, visit)
    }

    fn stat(&self, path: &Path) -> Result<Stat> {
        let host = self.sheet.host.join(path);
        statat(CWD, &host, AtFlags::SYMLINK_NOFOLLOW).at(&host)
    }

    fn tell(&self, path: &Path, stat: &Stat, opaque: bool, visit: &mut Visit<'_>) -> Result<()> {
        let host = self.sheet.host.join(path);
        let attributes = truth::read(&host, path, stat, &self.sheet.aside)?;
        let links = u64::from(stat.st_nlink as u32);
        let change =
            Change::Entry { attributes: &attributes, opaque, host: &host, inode: stat.st_ino, links };
        visit(path, &change)
    }

    /// Everything below the root. A directory is entered when it is told, on a stack of our own.
    fn everything(&self, hiding: bool, visit: &mut Visit<'_>) -> Result<()> {
        let mut open = vec![self.enter(PathBuf::new(), hiding, visit)?];
        while let Some(level) = open.last_mut() {
            let Some((name, stat)) = level.left.next() else {
                open.pop();
                continue;
            };
            let path = level.dir.join(name);
            let hiding = level.hiding;
            let is_dir = file_type(&stat) == FileType::Directory;
            let opaque = is_dir && self.alone.is_opaque(&self.sheet.host.join(&path))?;
            self.tell(&path, &stat, opaque, visit)?;
            if is_dir {
                open.push(self.enter(path, hiding || opaque, visit)?);
            }
        }
        Ok(())
    }

    /// Tells the deleted names of a directory and lists the others.
    fn enter(&self, dir: PathBuf, hiding: bool, visit: &mut Visit<'_>) -> Result<Level> {
        check_depth(&dir)?;
        let mut gone = BTreeSet::new();
        let mut there = BTreeMap::new();
        for name in names(&self.sheet.host.join(&dir))? {
            let stat = self.stat(&dir.join(&name))?;
            if is_whiteout(&stat) {
                gone.insert(name);
            } else {
                there.insert(name, stat);
            }
        }
        if let (true, Some(below)) = (hiding, self.below) {
            gone = below.names(&dir)?.into_iter().filter(|name| !there.contains_key(name)).collect();
        }
        for name in gone {
            visit(&dir.join(name), &Change::Whiteout)?;
        }
        Ok(Level { dir, hiding, left: there.into_iter() })
    }
}

/// A directory that a walk is in.
struct Level {
    dir: PathBuf,
    /// Whether nothing of the layers below shows here.
    hiding: bool,
    left: std::collections::btree_map::IntoIter<OsString, Stat>,
}

/// What no path of an image needs is refused before it costs too much.
pub(crate) fn check_depth(dir: &Path) -> Result<()> {
    if dir.iter().count() > DEPTH_LIMIT { Err(StoreError::path(dir, "is nested too deeply")) } else { Ok(()) }
}

/// The names in a host directory.
pub(crate) fn names(host: &Path) -> Result<Vec<OsString>> {
    let entries = std::fs::read_dir(host).at(host)?;
    entries.map(|entry| Ok(entry.at(host)?.file_name())).collect()
}
