//! Walks one layer directory: what this layer changes, in the order of its archive.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Stat, statat};

use crate::ahead::{Found, LookAhead, Room};
use crate::attributes::Attributes;
use crate::error::{At, Result, StoreError};
use crate::marks::{Marks, is_whiteout};
use crate::names::{HostNames, may_be_mark};
use crate::sheet::Sheet;
use crate::tree::DEPTH_LIMIT;
use crate::truth::{Aside, file_type};
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
        /// What is in a file, if the walk reads and the file is small.
        content: Option<&'a [u8]>,
    },
}

/// Whether a walk reads small files as it comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    Read,
    Leave,
}

type Visit<'a> = dyn FnMut(&Path, &Change<'_>) -> Result<()> + 'a;

/// A walk over one layer.
pub(crate) struct LayerWalk<'a> {
    sheet: Arc<Sheet>,
    marks: Marks,
    /// What the layer lies on, where opaque directories are to be told as deleted names.
    below: Option<&'a StackView>,
    root_too: bool,
    contents: Contents,
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
    pub(crate) fn unnamed(host: PathBuf, aside: Arc<Aside>, marks: Marks) -> Self {
        let sheet = Arc::new(Sheet::changing(host, aside));
        Self { sheet, marks, below: None, root_too: true, contents: Contents::Leave }
    }

    fn new(store: &Store, id: &LayerId, below: Option<&'a StackView>, root_too: bool) -> Result<Self> {
        let sheet = store.sheet(id)?.ok_or_else(|| StoreError::AbsentLayer { id: id.clone() })?;
        Ok(Self { sheet, marks: store.marks(), below, root_too, contents: Contents::Leave })
    }

    /// The same walk, which reads small files as it comes by or leaves them.
    pub(crate) fn with_contents(self, contents: Contents) -> Self {
        Self { contents, ..self }
    }

    /// Visits every change: directories before what is in them, deleted names before their siblings, else
    /// sorted by bytes.
    pub(crate) fn run(&self, visit: &mut Visit<'_>) -> Result<()> {
        let room = match self.contents {
            Contents::Read => Some(Room::new()),
            Contents::Leave => None,
        };
        let ahead = LookAhead { sheet: &self.sheet, opaque: self.marks.opaque(), room };
        let Some(root) = ahead.look(PathBuf::new(), FileType::Directory)? else { return Ok(()) };
        if self.root_too {
            tell(&root, visit)?;
        }
        self.everything(&ahead, root.opaque, visit)
    }

    fn stat(&self, path: &Path) -> Result<Stat> {
        let host = self.sheet.host.join(path);
        statat(CWD, &host, AtFlags::SYMLINK_NOFOLLOW).at(&host)
    }

    /// Everything below the root. A directory is entered when it is told, on a stack of our own.
    fn everything(&self, ahead: &LookAhead<'_>, hiding: bool, visit: &mut Visit<'_>) -> Result<()> {
        let mut open = vec![self.enter(PathBuf::new(), hiding, visit)?];
        while let Some(level) = open.last_mut() {
            let Some(found) = level.ready.next() else {
                level.ready = ahead.next_files(&level.dir, &mut level.left)?.into_iter();
                if level.ready.len() == 0 {
                    open.pop();
                }
                continue;
            };
            tell(&found, visit)?;
            ahead.done(&found);
            if file_type(&found.stat) == FileType::Directory {
                let hiding = level.hiding || found.opaque;
                open.push(self.enter(found.path, hiding, visit)?);
            }
        }
        Ok(())
    }

    /// Tells the deleted names of a directory, so that the others are left.
    fn enter(&self, dir: PathBuf, hiding: bool, visit: &mut Visit<'_>) -> Result<Level> {
        check_depth(&dir)?;
        let host = self.sheet.host.join(&dir);
        let mut left = HostNames::of(&host);
        match (hiding, self.below) {
            (true, Some(below)) => {
                let mut there = self.present(&dir).peekable();
                for name in below.names(&dir)? {
                    let name = name?;
                    while there.next_if(|one| one.as_ref().is_ok_and(|one| *one < name)).is_some() {}
                    match there.peek() {
                        Some(Err(_)) => drop(there.next().transpose()?),
                        Some(Ok(one)) if *one == name => {}
                        Some(Ok(_)) | None => visit(&dir.join(name), &Change::Whiteout)?,
                    }
                }
            }
            (true, None) | (false, _) if left.may_hold_marks()? => {
                for found in HostNames::of(&host) {
                    let (name, kind) = found?;
                    let path = dir.join(name);
                    if may_be_mark(kind) && is_whiteout(&self.stat(&path)?) {
                        visit(&path, &Change::Whiteout)?;
                    }
                }
            }
            (true, None) | (false, _) => {}
        }
        Ok(Level { dir, hiding, left, ready: Vec::new().into_iter() })
    }

    /// The names that a directory of the layer holds, but for deleted ones.
    fn present<'b>(&'b self, dir: &'b Path) -> impl Iterator<Item = Result<OsString>> + 'b {
        HostNames::of(&self.sheet.host.join(dir)).filter_map(move |found| {
            let is_there = |(name, kind): (OsString, FileType)| {
                let gone = may_be_mark(kind) && is_whiteout(&self.stat(&dir.join(&name))?);
                Ok((!gone).then_some(name))
            };
            found.and_then(is_there).transpose()
        })
    }
}

/// A directory that a walk is in.
struct Level {
    dir: PathBuf,
    /// Whether nothing of the layers below shows here.
    hiding: bool,
    left: HostNames,
    /// Those that were looked up and are not told yet.
    ready: std::vec::IntoIter<Found>,
}

fn tell(found: &Found, visit: &mut Visit<'_>) -> Result<()> {
    let change = Change::Entry {
        attributes: &found.attributes,
        opaque: found.opaque,
        host: &found.host,
        inode: found.stat.st_ino,
        links: u64::from(found.stat.st_nlink as u32),
        content: found.content.as_deref(),
    };
    visit(&found.path, &change)
}

/// What no path of an image needs is refused before it costs too much.
pub(crate) fn check_depth(dir: &Path) -> Result<()> {
    if dir.iter().count() > DEPTH_LIMIT { Err(StoreError::path(dir, "is nested too deeply")) } else { Ok(()) }
}
