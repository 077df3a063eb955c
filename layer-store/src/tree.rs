//! The one door to a directory tree that foreign names are written into.
//!
//! Every name is a clean relative path; its parent is opened without following any link, and the last
//! component is only ever created, never opened through. Each inode is created once, in its final place.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use defence::Defence;
use rustix::fs::{
    AtFlags, CWD, Dev, FileType, Mode as Bits, OFlags, ResolveFlags, Stat, Timespec, Timestamps, linkat,
    makedev, mkdirat, mknodat, openat, openat2, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::attributes::{Attributes, Kind, Time};
use crate::error::{At, Result, StoreError};
use crate::give::{Made, Target, give};
use crate::marks::{Marks, is_whiteout};
use crate::place::Place;
use crate::truth::{ACL_DEFAULT, Aside, KeptKind, Truth, file_type};

/// Longest path inside a layer, in bytes; the rest of `PATH_MAX` is for the store's own directories.
const PATH_LIMIT: usize = 3584;

/// As many directories in each other as the store follows; walks are recursive.
pub(crate) const DEPTH_LIMIT: usize = 512;

/// Makes a path relative and plain: no root, no `.`, no `..`.
pub(crate) fn clean(path: &Path) -> Result<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir if !defence::stands(Defence::NamesClean) => plain.push(".."),
            Component::ParentDir | Component::Prefix(_) => {
                return Err(StoreError::path(path, "the name leads out of its directory"));
            }
        }
    }
    let bytes = plain.as_os_str().as_bytes();
    let deep = plain.iter().count() > DEPTH_LIMIT && defence::stands(Defence::DepthBounded);
    if bytes.len() > PATH_LIMIT || bytes.contains(&0) || deep {
        return Err(StoreError::path(path, "the name cannot be kept"));
    }
    Ok(plain)
}

/// What stands at a path of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Whiteout,
    Directory,
    Other,
}

/// What a missing parent directory is to look like.
pub(crate) type Imply<'a> = dyn FnMut(&Path) -> Result<Attributes> + 'a;

/// A tree that is being written.
#[derive(Debug)]
pub(crate) struct Tree {
    host: PathBuf,
    root: Arc<OwnedFd>,
    last: Option<(PathBuf, Arc<OwnedFd>)>,
    marks: Marks,
    pub(crate) aside: Aside,
    times: BTreeMap<PathBuf, Time>,
    /// What new files may have by themselves.
    made: Made,
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Tree {
    /// Opens an existing, empty directory as the root of a tree.
    pub(crate) fn open(host: &Path, marks: Marks) -> Result<Self> {
        let root = openat(CWD, host, DIRECTORY | OFlags::RDONLY, Bits::empty()).at(host)?;
        Ok(Self {
            host: host.to_owned(),
            root: Arc::new(root),
            last: None,
            marks,
            aside: Aside::new(),
            times: BTreeMap::new(),
            made: Made::Bare,
        })
    }

    pub(crate) fn host(&self) -> &Path {
        &self.host
    }

    /// The directory of a path and its last name.
    fn parent<'a>(&mut self, path: &'a Path) -> std::result::Result<(Arc<OwnedFd>, &'a OsStr), Errno> {
        let name = path.file_name().ok_or(Errno::ISDIR)?;
        let dir = path.parent().unwrap_or(Path::new(""));
        if dir.as_os_str().is_empty() {
            return Ok((self.root.clone(), name));
        }
        if let Some((known, fd)) = &self.last
            && known == dir
        {
            return Ok((fd.clone(), name));
        }
        let fd = Arc::new(open_beneath(&self.root, dir)?);
        self.last = Some((dir.to_owned(), fd.clone()));
        Ok((fd, name))
    }

    pub(crate) fn stat(&mut self, path: &Path) -> Result<Option<Stat>> {
        if path.as_os_str().is_empty() {
            return rustix::fs::fstat(&*self.root).map(Some).at(path);
        }
        let found = self.parent(path).and_then(|(dir, name)| statat(&*dir, name, AtFlags::SYMLINK_NOFOLLOW));
        match found {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error).at(path),
        }
    }

    /// The same for who only looks.
    pub(crate) fn look(&self, path: &Path) -> Result<Option<Stat>> {
        let (dir, name) = match (path.parent(), path.file_name()) {
            (Some(dir), Some(name)) if !dir.as_os_str().is_empty() => match open_beneath(&self.root, dir) {
                Ok(dir) => (Arc::new(dir), name),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(error) => return Err(error).at(path),
            },
            (_, Some(name)) => (self.root.clone(), name),
            (_, None) => return rustix::fs::fstat(&*self.root).map(Some).at(path),
        };
        match statat(&*dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error).at(path),
        }
    }

    pub(crate) fn find(&mut self, path: &Path) -> Result<Found> {
        Ok(match self.stat(path)? {
            None => Found::Nothing,
            Some(stat) if is_whiteout(&stat) => Found::Whiteout,
            Some(stat) if file_type(&stat) == FileType::Directory => Found::Directory,
            Some(_) => Found::Other,
        })
    }

    /// Creates the directories above a path that this tree lacks.
    pub(crate) fn parents(&mut self, path: &Path, imply: &mut Imply<'_>) -> Result<()> {
        let dir = path.parent().unwrap_or(Path::new(""));
        if dir.as_os_str().is_empty() || self.parent(path).is_ok() {
            return Ok(());
        }
        let mut so_far = PathBuf::new();
        for name in dir {
            so_far.push(name);
            match self.find(&so_far)? {
                Found::Directory => {}
                Found::Nothing | Found::Whiteout => {
                    let attributes = imply(&so_far)?;
                    self.directory(&so_far, &attributes)?;
                }
                Found::Other => {
                    return Err(StoreError::path(&so_far, "is not a directory, yet names below it follow"));
                }
            }
        }
        Ok(())
    }

    /// Creates a directory, or gives an existing one new attributes.
    pub(crate) fn directory(&mut self, path: &Path, attributes: &Attributes) -> Result<()> {
        let found = self.find(path)?;
        if matches!(found, Found::Whiteout | Found::Other) {
            self.remove(path)?;
        }
        if found != Found::Directory {
            let (dir, name) = self.parent(path).at(path)?;
            mkdirat(&*dir, name, Bits::RWXU).at(path)?;
        }
        let fd = if path.as_os_str().is_empty() {
            openat(&*self.root, ".", DIRECTORY | OFlags::RDONLY, Bits::empty()).at(path)?
        } else {
            let (dir, name) = self.parent(path).at(path)?;
            openat(&*dir, name, DIRECTORY | OFlags::RDONLY, Bits::empty()).at(path)?
        };
        let target = Target::Open { fd: fd.as_fd(), host: &self.host.join(path) };
        let made = if found == Found::Directory { Made::Before } else { self.made };
        give(&target, attributes, Truth::default(), made)?;
        if attributes.xattrs.contains_key(OsStr::new(ACL_DEFAULT)) {
            self.made = Made::BelowAccessList;
        }
        if matches!(found, Found::Whiteout | Found::Other) {
            self.opaque(path)?;
        }
        self.times.insert(path.to_owned(), attributes.mtime);
        Ok(())
    }

    /// Creates a regular file; `fill` writes its content.
    pub(crate) fn file(
        &mut self,
        path: &Path,
        attributes: &Attributes,
        fill: &mut dyn FnMut(&File) -> Result<()>,
    ) -> Result<()> {
        self.create_file(path, attributes, Truth::default(), fill)
    }

    fn create_file(
        &mut self,
        path: &Path,
        attributes: &Attributes,
        truth: Truth,
        fill: &mut dyn FnMut(&File) -> Result<()>,
    ) -> Result<()> {
        self.place(path)?.create(attributes, truth, fill)
    }

    /// Makes room for a regular file: what stood there is gone, and its parent is open.
    pub(crate) fn place(&mut self, path: &Path) -> Result<Place> {
        if defence::stands(Defence::FilesNew) {
            self.remove(path)?;
        }
        let (dir, name) = self.parent(path).at(path)?;
        Ok(Place { dir, name: name.to_owned(), host: self.host.join(path), made: self.made })
    }

    /// Creates a symbolic link, a pipe or a device, or what stands for one. Sockets are passed over.
    pub(crate) fn special(&mut self, path: &Path, attributes: &Attributes) -> Result<()> {
        let (kind, dev, kept): (FileType, Dev, _) = match &attributes.kind {
            Kind::Symlink { target } => return self.symlink(path, attributes, target),
            Kind::Fifo => (FileType::Fifo, 0, KeptKind::Fifo),
            Kind::CharDevice { major, minor } => {
                let kept = KeptKind::CharDevice { major: *major, minor: *minor };
                (FileType::CharacterDevice, makedev(*major, *minor), kept)
            }
            Kind::BlockDevice { major, minor } => {
                let kept = KeptKind::BlockDevice { major: *major, minor: *minor };
                (FileType::BlockDevice, makedev(*major, *minor), kept)
            }
            Kind::Socket => return Ok(()),
            Kind::File { .. } | Kind::Directory => return Err(StoreError::path(path, "is no special file")),
        };
        self.remove(path)?;
        let (dir, name) = self.parent(path).at(path)?;
        // A character device 0:0 would be overlay's mark for a deleted name.
        let is_mark = kind == FileType::CharacterDevice && dev == 0;
        let made = if is_mark && defence::stands(Defence::MarksDefused) {
            Err(Errno::PERM)
        } else {
            mknodat(&*dir, name, kind, Bits::RUSR | Bits::WUSR, dev)
        };
        match made {
            Ok(()) => self.finish_special(path, attributes),
            Err(Errno::PERM | Errno::INVAL | Errno::NOTSUP) => {
                let truth = Truth { kind: Some(kept), ..Truth::default() };
                self.create_file(path, attributes, truth, &mut |_| Ok(()))
            }
            Err(error) => Err(error).at(path),
        }
    }

    fn symlink(&mut self, path: &Path, attributes: &Attributes, target: &Path) -> Result<()> {
        self.remove(path)?;
        let (dir, name) = self.parent(path).at(path)?;
        symlinkat(target, &*dir, name).at(path)?;
        self.finish_special(path, attributes)
    }

    fn finish_special(&mut self, path: &Path, attributes: &Attributes) -> Result<()> {
        let (dir, name) = self.parent(path).at(path)?;
        let target = Target::Named { dir: dir.as_fd(), name, host: &self.host.join(path) };
        let truth = give(&target, attributes, Truth::default(), self.made)?;
        if !truth.is_empty() {
            self.aside.insert(path.to_owned(), truth);
        }
        let flags = match defence::stands(Defence::TimesUnfollowed) {
            true => AtFlags::SYMLINK_NOFOLLOW,
            false => AtFlags::empty(),
        };
        utimensat(&*dir, name, &timestamps(attributes.mtime), flags).at(path)
    }

    /// Gives a file of this tree a second name.
    pub(crate) fn hardlink(&mut self, path: &Path, existing: &Path) -> Result<()> {
        if path == existing {
            return Ok(());
        }
        match self.find(existing)? {
            Found::Other => {}
            Found::Nothing | Found::Whiteout | Found::Directory => {
                return Err(StoreError::path(existing, "is no file that a hard link can lead to"));
            }
        }
        self.remove(path)?;
        let (from, old) = self.parent(existing).at(existing)?;
        let (to, new) = self.parent(path).at(path)?;
        linkat(&*from, old, &*to, new, AtFlags::empty()).at(path)?;
        if let Some(truth) = self.aside.get(existing).cloned() {
            self.aside.insert(path.to_owned(), truth);
        }
        Ok(())
    }

    /// Hides what layers below hold under that name; what this tree holds stays.
    pub(crate) fn whiteout(&mut self, path: &Path) -> Result<()> {
        match self.find(path)? {
            Found::Whiteout | Found::Other => Ok(()),
            Found::Directory => self.opaque(path),
            Found::Nothing => {
                let (dir, name) = self.parent(path).at(path)?;
                mknodat(&*dir, name, self.marks.whiteout(), Bits::empty(), 0).at(path)
            }
        }
    }

    /// Hides everything that layers below hold in that directory.
    pub(crate) fn opaque(&mut self, path: &Path) -> Result<()> {
        let host = self.host.join(path);
        rustix::fs::lsetxattr(&host, self.marks.opaque(), b"y", rustix::fs::XattrFlags::empty()).at(&host)
    }

    /// Removes what this tree holds under a name, with all below it.
    pub(crate) fn remove(&mut self, path: &Path) -> Result<()> {
        match self.find(path)? {
            Found::Nothing => Ok(()),
            Found::Whiteout | Found::Other => {
                let (dir, name) = self.parent(path).at(path)?;
                unlinkat(&*dir, name, AtFlags::empty()).at(path)?;
                self.aside.remove(path);
                Ok(())
            }
            Found::Directory => {
                self.last = None;
                std::fs::remove_dir_all(self.host.join(path)).at(path)?;
                forget_below(&mut self.aside, path);
                forget_below(&mut self.times, path);
                Ok(())
            }
        }
    }

    /// Dates the directories. Called once, when nothing more is created.
    pub(crate) fn date_directories(&mut self) -> Result<()> {
        for (path, time) in std::mem::take(&mut self.times) {
            let host = self.host.join(&path);
            utimensat(CWD, &host, &timestamps(time), AtFlags::SYMLINK_NOFOLLOW).at(&host)?;
        }
        Ok(())
    }
}

/// Forgets a path and all below it, which follow it at once.
pub(crate) fn forget_below<T>(map: &mut BTreeMap<PathBuf, T>, path: &Path) {
    let known = map.range(path.to_owned()..).map(|(known, _)| known);
    let gone: Vec<PathBuf> = known.take_while(|known| known.starts_with(path)).cloned().collect();
    gone.iter().for_each(|known| drop(map.remove(known)));
}

pub(crate) fn timestamps(time: Time) -> Timestamps {
    let spec = Timespec { tv_sec: time.secs, tv_nsec: time.nanos.into() };
    Timestamps { last_access: spec, last_modification: spec }
}

/// Opens a directory below another one, following no link at all.
fn open_beneath(root: &OwnedFd, path: &Path) -> std::result::Result<OwnedFd, Errno> {
    let resolve = match defence::stands(Defence::PathsBeneath) {
        true => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        false => ResolveFlags::empty(),
    };
    match openat2(root, path, DIRECTORY | OFlags::PATH, Bits::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => walk_beneath(root, path),
        other => other,
    }
}

/// The same, name by name, for kernels and sandboxes without `openat2`.
fn walk_beneath(root: &OwnedFd, path: &Path) -> std::result::Result<OwnedFd, Errno> {
    let mut fd = openat(root, ".", DIRECTORY | OFlags::PATH, Bits::empty())?;
    for name in path {
        fd = openat(&fd, name, DIRECTORY | OFlags::PATH, Bits::empty())?;
    }
    Ok(fd)
}
