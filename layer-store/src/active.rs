//! A layer that a step writes, through an overlay mount or on a copy of the tree, and what becomes of it.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Stat, statat};

use crate::attributes::{Attributes, Kind};
use crate::copied::Originals;
use crate::copy::DataRanges;
use crate::disk::{make_dir, remove_tree};
use crate::error::{At, Result, StoreError};
use crate::layers::{Meta, Origin};
use crate::marks::is_whiteout;
use crate::names::HostNames;
use crate::tree::{Tree, timestamps};
use crate::truth::{self, Aside, file_type, get_xattr, read_aside};
use crate::view::StackView;
use crate::walk::check_depth;
use crate::writer::root_attributes;
use crate::{KeptNode, LayerId, Lease, Snapshot};

/// What overlay has below an empty base.
const EMPTY: &str = "empty";

/// Directories that were needed while a step ran. Dropping it removes them.
#[derive(Debug)]
pub struct Spent {
    /// They lie below its directory, and go with it at the latest.
    _lease: Lease,
    dirs: Vec<PathBuf>,
}

impl Drop for Spent {
    fn drop(&mut self) {
        for dir in &self.dirs {
            // What is left goes with the lease.
            let _ = remove_tree(dir);
        }
    }
}

/// What a step writes upon a snapshot. It serves one step. Dropping it discards it.
#[derive(Debug)]
pub struct ActiveLayer {
    lease: Lease,
    dir: PathBuf,
    base: Snapshot,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// The directories of an overlay mount.
    Overlay { lower: Vec<PathBuf> },
    /// A copy of the whole tree.
    Copy(Originals),
}

/// What the root directory of a step is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActiveRoot {
    /// An overlay mount.
    Overlay {
        /// Read-only directories, bottom first; never empty.
        lower: Vec<PathBuf>,
        /// The directory that takes the changes.
        upper: PathBuf,
        /// The work directory of the mount.
        work: PathBuf,
    },
    /// One directory with everything in it.
    Directory(PathBuf),
}

impl Lease {
    /// Makes the directories for a mount on top of a snapshot.
    pub fn prepare(&self, base: &Snapshot) -> Result<ActiveLayer> {
        for id in &base.distinct().0 {
            self.hold(id)?;
        }
        let view = self.store().stack(base)?;
        let dir = self.scratch("active");
        for path in [dir.clone(), dir.join("fs"), dir.join("work")] {
            make_dir(&path)?;
        }
        let mut tree = Tree::open(&dir.join("fs"), self.store().marks())?;
        tree.directory(Path::new(""), &root_attributes(&view)?)?;
        tree.date_directories()?;
        let mut lower: Vec<PathBuf> = base.distinct().0.iter().map(|id| self.store().layer_dir(id)).collect();
        if lower.is_empty() {
            // Overlay wants something below.
            let empty = dir.join(EMPTY);
            make_dir(&empty)?;
            lower.push(empty);
        }
        Ok(ActiveLayer { lease: self.clone(), dir, base: base.clone(), form: Form::Overlay { lower } })
    }

    /// Copies the whole tree of a snapshot, for a step where overlayfs cannot be had. The layer that comes of
    /// it is the one that a mount gives, but for this: each name is a file of its own in the copy, so a step
    /// does not see which names of the snapshot were one file.
    pub fn copy(&self, base: &Snapshot) -> Result<ActiveLayer> {
        let view = self.store().stack(base)?;
        let dir = self.scratch("active");
        for path in [dir.clone(), dir.join("fs")] {
            make_dir(&path)?;
        }
        let mut active = ActiveLayer {
            lease: self.clone(),
            base: base.clone(),
            form: Form::Copy(Originals::default()),
            dir: dir.clone(),
        };
        active.form = Form::Copy(Originals::copy(
            &view,
            &dir.join("fs"),
            self.store().marks(),
            self.store().stopping(),
        )?);
        Ok(active)
    }
}

impl ActiveLayer {
    /// What to make the step's root directory of.
    pub fn root(&self) -> ActiveRoot {
        match &self.form {
            Form::Overlay { lower } => {
                ActiveRoot::Overlay { lower: lower.clone(), upper: self.upper(), work: self.work() }
            }
            Form::Copy(_) => ActiveRoot::Directory(self.upper()),
        }
    }

    /// Files of the root directory that cannot carry their true owners themselves.
    pub fn kept_nodes(&self) -> Result<Vec<KeptNode>> {
        match &self.form {
            Form::Overlay { .. } => self.lease.store().kept_nodes(&self.base),
            Form::Copy(originals) => originals.kept_nodes(&self.upper()),
        }
    }

    /// The directory that takes the changes.
    pub fn upper(&self) -> PathBuf {
        self.dir.join("fs")
    }

    /// The work directory of an overlay mount.
    pub fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// Where to write the true attributes of what the step made and the file system refuses to keep:
    /// a line for each, as in the `attrs` document of a layer.
    pub fn attributes_file(&self) -> PathBuf {
        self.dir.join("attrs")
    }

    /// Moves away what only the mount needed, which must be gone. Removing it costs a file system about as much as
    /// a short step takes, and nobody has to wait for that.
    pub fn spend(&self) -> Result<Spent> {
        let mut spent = Spent { _lease: self.lease.clone(), dirs: Vec::new() };
        for dir in [self.work(), self.empty()] {
            let away = self.lease.scratch("spent");
            match std::fs::rename(&dir, &away) {
                Ok(()) => spent.dirs.push(away),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).at(&dir),
            }
        }
        Ok(spent)
    }

    fn empty(&self) -> PathBuf {
        self.dir.join(EMPTY)
    }

    /// Makes a layer of what the step wrote. The mount must be gone. What is the same below is dropped:
    /// unchanged copies, marks for names that are not there, opaque marks that hide nothing. A time is a
    /// change like any other, of a directory too: a later step sees it.
    pub fn commit(self) -> Result<LayerId> {
        drop(self.spend()?);
        let view = self.lease.store().stack(&self.base)?;
        let marks = self.lease.store().marks();
        let reported = self.aside()?;
        let aside = match &self.form {
            Form::Overlay { .. } => reported.unwrap_or_default(),
            Form::Copy(originals) => {
                on_a_long_stack(|| originals.leave_changes(&self.upper(), &view, marks, reported))?
            }
        };
        let opaque = marks.opaque();
        let mut pass = Normalise { upper: self.upper(), base: view, opaque, aside, hides: false };
        pass.directory(Path::new(""), true)?;
        let hides = pass.hides.then(|| self.base.clone());
        let meta = Meta { origin: Origin::Step, hides, ..Meta::default() };
        let id = LayerId::random();
        let mut aside = pass.aside;
        aside.retain(|path, _| statat(CWD, self.upper().join(path), AtFlags::SYMLINK_NOFOLLOW).is_ok());
        if aside.is_empty() {
            remove_tree(&self.attributes_file())?;
        }
        self.lease.publish(&self.dir, &id, &meta, &aside)?;
        Ok(id)
    }

    /// What the supervisor of the step's users wrote down, where there was one.
    fn aside(&self) -> Result<Option<Aside>> {
        let path = self.attributes_file();
        match std::fs::read(&path) {
            Ok(text) => read_aside(&text).map(Some).ok_or_else(|| StoreError::path(&path, "is damaged")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at(&path),
        }
    }
}

impl Drop for ActiveLayer {
    fn drop(&mut self) {
        let _ = remove_tree(&self.dir);
    }
}

/// Drops from an upper directory what is the same below.
struct Normalise {
    upper: PathBuf,
    base: StackView,
    opaque: OsString,
    /// What the upper directory could not keep.
    aside: Aside,
    hides: bool,
}

impl Normalise {
    /// `merges`: the lower directory of the same path shows through. Says whether anything is left.
    fn directory(&mut self, dir: &Path, merges: bool) -> Result<bool> {
        check_depth(dir)?;
        match dir.iter().count() {
            SHALLOW => on_a_long_stack(|| self.names_of(dir, merges)),
            _ => self.names_of(dir, merges),
        }
    }

    fn names_of(&mut self, dir: &Path, merges: bool) -> Result<bool> {
        let host = self.upper.join(dir);
        let before = stat(&host)?;
        let (mut left, mut dropped) = (false, false);
        for found in HostNames::of(&host) {
            let path = dir.join(found?.0);
            if self.keep(&path, merges)? {
                left = true;
            } else {
                dropped = true;
            }
        }
        if dropped && left {
            // Dropping changed the time of the directory.
            let nanos = u32::try_from(before.st_mtime_nsec).unwrap_or(0);
            let time = crate::Time { secs: before.st_mtime, nanos };
            rustix::fs::utimensat(CWD, &host, &timestamps(time), AtFlags::SYMLINK_NOFOLLOW).at(&host)?;
        }
        Ok(left)
    }

    /// Decides about one name of the upper directory.
    fn keep(&mut self, path: &Path, merges: bool) -> Result<bool> {
        let host = self.upper.join(path);
        let upper = stat(&host)?;
        let below = if merges { self.base.entry(path)? } else { None };
        if is_whiteout(&upper) {
            if below.is_none() {
                std::fs::remove_file(&host).at(&host)?;
            }
            return Ok(below.is_some());
        }
        let below = below.map(|entry| entry.attributes);
        if file_type(&upper) == FileType::Directory {
            return self.keep_directory(path, &host, &upper, below.filter(Attributes::is_dir));
        }
        let Some(below) = below else { return Ok(true) };
        let alike = upper.st_nlink == 1 && self.same_file(path, &host, &upper, &below)?;
        if alike {
            std::fs::remove_file(&host).at(&host)?;
        }
        Ok(!alike)
    }

    fn keep_directory(
        &mut self,
        path: &Path,
        host: &Path,
        upper: &Stat,
        below: Option<Attributes>,
    ) -> Result<bool> {
        let mark = get_xattr(host, &self.opaque)?;
        let opaque = mark.as_deref() == Some(b"y");
        if mark.is_some() && (below.is_none() || !opaque) {
            rustix::fs::lremovexattr(host, &self.opaque).at(host)?;
        }
        let merges = below.is_some() && !opaque;
        self.hides |= below.is_some() && opaque;
        let attributes = truth::read(host, path, upper, &self.aside)?;
        let left = self.directory(path, merges)?;
        let Some(below) = below.filter(|_| merges) else { return Ok(true) };
        let alike = attributes == below;
        if alike && !left {
            std::fs::remove_dir(host).at(host)?;
        }
        Ok(left || !alike)
    }

    fn same_file(&self, path: &Path, host: &Path, upper: &Stat, below: &Attributes) -> Result<bool> {
        let attributes = truth::read(host, path, upper, &self.aside)?;
        if attributes != *below {
            return Ok(false);
        }
        match attributes.kind {
            Kind::File { size: 0 } => Ok(true),
            Kind::File { size } => {
                let lower = self.base.open(path)?;
                let upper = File::open(host).at(host)?;
                same_content(&upper, &lower, size).at(host)
            }
            Kind::Directory
            | Kind::Symlink { .. }
            | Kind::Fifo
            | Kind::CharDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Socket => Ok(true),
        }
    }
}

/// How deep the pass goes on the stack it is called on: a thread costs as much as reading some directories.
const SHALLOW: usize = 32;

/// The pass is recursive, and a step may nest directories as deep as the path limit allows.
fn on_a_long_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, work).at("a new thread")?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub(crate) fn stat(host: &Path) -> Result<Stat> {
    statat(CWD, host, AtFlags::SYMLINK_NOFOLLOW).at(host)
}

/// Compares two files of one length. What is a hole in both is not read.
fn same_content(one: &File, other: &File, size: u64) -> std::io::Result<bool> {
    const PIECE: u64 = 64 << 10;
    let mut ranges = DataRanges::of(one, size).collect::<std::io::Result<Vec<_>>>()?;
    let others = DataRanges::of(other, size).collect::<std::io::Result<Vec<_>>>()?;
    if others != ranges {
        ranges.extend(others);
    }
    let (mut left, mut right) = (vec![0u8; PIECE as usize], vec![0u8; PIECE as usize]);
    for (start, end) in ranges {
        let mut at = start;
        while at < end {
            let length = PIECE.min(end - at) as usize;
            one.read_exact_at(&mut left[..length], at)?;
            other.read_exact_at(&mut right[..length], at)?;
            if left[..length] != right[..length] {
                return Ok(false);
            }
            at += length as u64;
        }
    }
    Ok(true)
}
