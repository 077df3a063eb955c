//! A copy of the tree of a snapshot for a step to write on, and what of it is a change afterwards.
//!
//! Each name is copied as a file of its own, since overlayfs, too, gives a name a file of its own once it is
//! written. What the kernel says of each copy is noted: a file that shows the same afterwards was not touched.
//! Copies that were not touched are removed, names that are gone get their mark, and what is left is what
//! overlayfs would have left in an upper directory.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode as Bits, OFlags, Statx, StatxFlags, StatxTimestamp, XattrFlags,
    lremovexattr, lsetxattr, mknodat, openat, statx, utimensat,
};
use rustix::io::Errno;

use crate::attributes::{Attributes, Entry, Kind, Time};
use crate::copy::copy_file;
use crate::disk::{make_dir, remove_tree};
use crate::error::{At, Result};
use crate::kept::KeptNode;
use crate::marks::{Marks, is_whiteout};
use crate::names::HostNames;
use crate::stop::Stop;
use crate::tree::{Tree, timestamps};
use crate::truth::{Aside, file_type};
use crate::view::{StackView, Walk};
use crate::walk::check_depth;
use crate::{Lease, Snapshot};

/// A copy of a part of a tree, to be mounted where overlayfs cannot show it. Dropping it removes it.
#[derive(Debug)]
pub struct CopiedPart {
    dir: PathBuf,
    host: PathBuf,
}

impl Lease {
    /// Copies what a path of a snapshot leads to, links followed inside its root; `None`: to nothing.
    pub fn copy_part(&self, snapshot: &Snapshot, path: &Path) -> Result<Option<CopiedPart>> {
        let view = self.store().stack(snapshot)?;
        let Some((real, entry)) = view.resolve(path)? else { return Ok(None) };
        let dir = self.scratch("part");
        make_dir(&dir)?;
        let part = CopiedPart { host: dir.join(&real), dir };
        Originals::copy_part(&view, &part.dir, self.store().marks(), &real, &entry, self.store().stopping())?;
        Ok(Some(part))
    }
}

impl CopiedPart {
    /// Where the copy lies.
    pub fn path(&self) -> &Path {
        &self.host
    }
}

impl Drop for CopiedPart {
    fn drop(&mut self) {
        let _ = remove_tree(&self.dir);
    }
}

/// What the kernel said of each copy when it was made, by path.
#[derive(Debug, Default)]
pub(crate) struct Originals {
    noted: HashMap<PathBuf, Noted>,
    /// True attributes of copies that cannot carry them.
    aside: Aside,
}

/// What tells one file from another, and an untouched one from one that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Noted {
    inode: u64,
    /// An inode number may serve again; where the file system tells no birth, this is 0.
    born: (i64, u32),
    /// Changes with content and attributes, and cannot be set. Of a directory it counts for nothing.
    changed: (i64, u32),
}

impl Noted {
    fn of(host: &Path) -> Result<Self> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        Ok(Self::from(&statx(CWD, host, AtFlags::SYMLINK_NOFOLLOW, wanted).at(host)?))
    }

    fn is_file_of(&self, other: &Self) -> bool {
        (self.inode, self.born) == (other.inode, other.born)
    }
}

impl From<&Statx> for Noted {
    fn from(found: &Statx) -> Self {
        let time = |time: StatxTimestamp| (time.tv_sec, time.tv_nsec);
        let told = found.stx_mask & StatxFlags::BTIME.bits() != 0;
        Self {
            inode: found.stx_ino,
            born: if told { time(found.stx_btime) } else { (0, 0) },
            changed: time(found.stx_ctime),
        }
    }
}

impl Originals {
    /// Copies a tree into an empty directory.
    pub(crate) fn copy(view: &StackView, to: &Path, marks: Marks, stop: &Stop) -> Result<Self> {
        let mut tree = Tree::open(to, marks)?;
        tree.directory(Path::new(""), &crate::writer::root_attributes(view)?)?;
        let mut copied = Vec::new();
        view.walk(Path::new(""), &mut |path, entry| {
            copy_entry(view, &mut tree, path, entry, stop)?;
            copied.push(path.to_owned());
            Ok(Walk::Continue)
        })?;
        tree.date_directories()?;
        let mut noted = HashMap::with_capacity(copied.len());
        for path in copied {
            if tree.stat(&path)?.is_some() {
                let found = Noted::of(&to.join(&path))?;
                noted.insert(path, found);
            }
        }
        let latest = noted.values().map(|noted: &Noted| noted.changed).max();
        if let (Some(latest), Some(beside)) = (latest, to.parent()) {
            outlive(latest, &beside.join("clock"))?;
        }
        Ok(Self { noted, aside: tree.aside })
    }

    /// Copies one path of a tree, real and with everything below it, at the place that it has in the tree.
    fn copy_part(
        view: &StackView,
        to: &Path,
        marks: Marks,
        path: &Path,
        entry: &Entry,
        stop: &Stop,
    ) -> Result<()> {
        let mut tree = Tree::open(to, marks)?;
        tree.parents(path, &mut |dir| crate::writer::implied_directory(view, dir))?;
        copy_entry(view, &mut tree, path, entry, stop)?;
        view.walk(path, &mut |path, entry| {
            copy_entry(view, &mut tree, path, entry, stop)?;
            Ok(Walk::Continue)
        })?;
        tree.date_directories()
    }

    /// The copies whose true owners lie beside them.
    pub(crate) fn kept_nodes(&self, copy: &Path) -> Result<Vec<KeptNode>> {
        let node = |(path, truth): (&PathBuf, &crate::truth::Truth)| {
            let host = copy.join(path);
            let found = crate::active::stat(&host)?;
            let (uid, gid) = truth.owner(found.st_uid, found.st_gid);
            let born = Some(Noted::of(&host)?.born).filter(|born| *born != (0, 0));
            Ok(KeptNode { inode: found.st_ino, uid, gid, born })
        };
        self.aside.iter().map(node).collect()
    }

    /// Makes an upper directory of a copy that a step wrote on. Returns what it cannot carry of its files:
    /// what was `reported`, else what is known of the copies that are still there.
    pub(crate) fn leave_changes(
        &self,
        copy: &Path,
        view: &StackView,
        marks: Marks,
        reported: Option<Aside>,
    ) -> Result<Aside> {
        let known = |path: &PathBuf| -> Result<bool> {
            let host = copy.join(path);
            let original = self.noted.get(path);
            Ok(host.symlink_metadata().is_ok() && same_file(original, &Noted::of(&host)?))
        };
        let aside = match reported {
            Some(reported) => reported,
            None => {
                let mut aside = Aside::new();
                for (path, truth) in &self.aside {
                    if known(path)? {
                        aside.insert(path.clone(), truth.clone());
                    }
                }
                aside
            }
        };
        let pass = Pass { originals: self, copy, view, marks };
        pass.directory(Path::new(""))?;
        Ok(aside)
    }
}

fn same_file(original: Option<&Noted>, now: &Noted) -> bool {
    original.is_some_and(|original| original.is_file_of(now))
}

fn copy_entry(view: &StackView, tree: &mut Tree, path: &Path, entry: &Entry, stop: &Stop) -> Result<()> {
    stop.check().at(path)?;
    let attributes = &entry.attributes;
    match &attributes.kind {
        Kind::Directory => tree.directory(path, attributes),
        Kind::File { .. } => {
            let host = view.host_of(path, entry);
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let from = File::from(openat(CWD, &host, flags, Bits::empty()).at(&host)?);
            tree.file(path, attributes, &mut |to| copy_file(&from, to, stop).at(path))
        }
        Kind::Symlink { .. }
        | Kind::Fifo
        | Kind::CharDevice { .. }
        | Kind::BlockDevice { .. }
        | Kind::Socket => tree.special(path, attributes),
    }
}

/// Waits until a change would show another time than the copies have: clocks of file systems tick slowly.
fn outlive(latest: (i64, u32), probe: &Path) -> Result<()> {
    loop {
        File::create_new(probe).at(probe)?;
        let now = Noted::of(probe)?.changed;
        std::fs::remove_file(probe).at(probe)?;
        if now > latest {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// One pass over a copy.
struct Pass<'a> {
    originals: &'a Originals,
    copy: &'a Path,
    view: &'a StackView,
    marks: Marks,
}

impl Pass<'_> {
    /// Goes through a directory that both trees have.
    fn directory(&self, dir: &Path) -> Result<()> {
        check_depth(dir)?;
        let host = self.copy.join(dir);
        let before = crate::active::stat(&host)?;
        // Copies have none; a step that makes one would hide what is below.
        match lremovexattr(&host, self.marks.opaque()) {
            Ok(()) | Err(Errno::NODATA | Errno::PERM | Errno::NOTSUP) => {}
            Err(error) => return Err(error).at(&host),
        }
        let mut before_step = self.view.names(dir)?.peekable();
        for found in HostNames::of(&host) {
            let (name, _) = found?;
            while let Some(gone) = before_step.next_if(|one| one.as_ref().is_ok_and(|one| *one < name)) {
                self.gone(&dir.join(gone?))?;
            }
            before_step.next_if(|one| one.as_ref().is_ok_and(|one| *one == name));
            self.name(&dir.join(name))?;
        }
        for gone in before_step {
            self.gone(&dir.join(gone?))?;
        }
        let time = Time { secs: before.st_mtime, nanos: u32::try_from(before.st_mtime_nsec).unwrap_or(0) };
        utimensat(CWD, &host, &timestamps(time), AtFlags::SYMLINK_NOFOLLOW).at(&host)
    }

    fn name(&self, path: &Path) -> Result<()> {
        let host = self.copy.join(path);
        let now = Noted::of(&host)?;
        let original = self.originals.noted.get(path);
        let found = crate::active::stat(&host)?;
        let is_dir = file_type(&found) == FileType::Directory;
        match original {
            Some(original) if is_dir && original.is_file_of(&now) => self.directory(path),
            _ if is_dir => self.replaced(path, &host),
            Some(original) if *original == now => std::fs::remove_file(&host).at(&host),
            // A step made what is a mark to us, and means nothing in an image.
            _ if is_whiteout(&found) => {
                std::fs::remove_file(&host).at(&host)?;
                self.gone(path)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A directory of the step's own hides one that was there before.
    fn replaced(&self, path: &Path, host: &Path) -> Result<()> {
        let below = self.view.entry(path)?.map(|entry| entry.attributes);
        if !below.is_some_and(|below| below.is_dir()) {
            return Ok(());
        }
        lsetxattr(host, self.marks.opaque(), b"y", XattrFlags::empty()).at(host)
    }

    fn gone(&self, path: &Path) -> Result<()> {
        let below = self.view.entry(path)?.map(|entry| entry.attributes);
        // Sockets are not copied.
        if below.is_none_or(|below| matches!(below, Attributes { kind: Kind::Socket, .. })) {
            return Ok(());
        }
        let host = self.copy.join(path);
        mknodat(CWD, &host, self.marks.whiteout(), Bits::empty(), 0).at(&host)
    }
}
