//! The files of a tree, written into a directory of the host.
//!
//! Nothing in the destination is followed: every step down is by name in an open directory, and a
//! link that stands in the way is replaced. So no file of the tree can appear outside of it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use defence::Defence;
use layer_store::{Attributes, Entry, FirstNames, Kind, StackView, Store, give_to};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, fchmod, futimens, linkat,
    mkdirat, mknodat, openat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::error::TreeError;

/// Who owns what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Whoever runs this.
    Caller,
    /// As in the tree.
    Keep,
}

/// Writes the directory `from` of a tree into the directory `to`, which is made where it is absent.
/// Existing files are overwritten, others stay. `clamp`: the latest modification time, in seconds
/// since 1970. The paths of special files that could not be made are returned.
pub fn write_tree(
    store: &Store,
    view: &StackView,
    from: &Path,
    to: &Path,
    ownership: Ownership,
    clamp: Option<i64>,
) -> Result<Vec<PathBuf>, TreeError> {
    std::fs::create_dir_all(to).map_err(|source| TreeError::io(to, source))?;
    let root =
        openat(rustix::fs::CWD, to, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| TreeError::io(to, error))?;
    let found = view.resolve(from)?;
    let (real, entry) = found.ok_or_else(|| TreeError::io(from, std::io::ErrorKind::NotFound))?;
    if !entry.attributes.is_dir() {
        return Err(TreeError::io(from, std::io::ErrorKind::NotADirectory));
    }
    let names = store.first_names();
    let mut writer = Writer { store, view, ownership, clamp, root: &root, names, skipped: Vec::new() };
    writer.children(&real, &Place { directory: &root, path: PathBuf::new(), shown: to })?;
    Ok(writer.skipped)
}

struct Writer<'a> {
    store: &'a Store,
    view: &'a StackView,
    ownership: Ownership,
    clamp: Option<i64>,
    root: &'a OwnedFd,
    /// Where the first name of a file with several names was written.
    names: FirstNames,
    skipped: Vec<PathBuf>,
}

/// An open directory of the destination.
struct Place<'a> {
    directory: &'a OwnedFd,
    /// Relative to the top of the destination.
    path: PathBuf,
    /// The top, for messages.
    shown: &'a Path,
}

impl Place<'_> {
    fn failed(&self, name: &OsStr) -> impl Fn(Errno) -> TreeError {
        let path = self.shown.join(&self.path).join(name);
        move |error| TreeError::io(&path, error)
    }
}

impl Writer<'_> {
    fn children(&mut self, real: &Path, place: &Place<'_>) -> Result<(), TreeError> {
        let view = self.view;
        for found in view.entries(real)? {
            let (name, entry) = found?;
            self.child(&real.join(&name), &name, &entry, place)?;
        }
        Ok(())
    }

    fn child(
        &mut self,
        real: &Path,
        name: &OsStr,
        entry: &Entry,
        place: &Place<'_>,
    ) -> Result<(), TreeError> {
        match &entry.attributes.kind {
            Kind::Directory => self.directory(real, name, &entry.attributes, place),
            Kind::File { .. } => self.file(real, name, entry, place),
            Kind::Symlink { target } => {
                clear(place, name)?;
                symlinkat(target, place.directory, name).map_err(place.failed(name))?;
                self.attributes_at(name, &entry.attributes, place)
            }
            Kind::Fifo => self.special(name, FileType::Fifo, 0, &entry.attributes, place),
            Kind::CharDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                self.special(name, FileType::CharacterDevice, device, &entry.attributes, place)
            }
            Kind::BlockDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                self.special(name, FileType::BlockDevice, device, &entry.attributes, place)
            }
            Kind::Socket => Ok(()),
        }
    }

    fn directory(
        &mut self,
        real: &Path,
        name: &OsStr,
        attributes: &Attributes,
        place: &Place<'_>,
    ) -> Result<(), TreeError> {
        let failed = place.failed(name);
        match mkdirat(place.directory, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) if is_directory(place, name) => {}
            Err(Errno::EXIST) => {
                clear(place, name)?;
                mkdirat(place.directory, name, Mode::RWXU).map_err(&failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if defence::stands(Defence::OutputsUnfollowed) {
            flags |= OFlags::NOFOLLOW;
        }
        let opened = openat(place.directory, name, flags, Mode::empty()).map_err(&failed)?;
        let inside = Place { directory: &opened, path: place.path.join(name), shown: place.shown };
        self.children(real, &inside)?;
        self.attributes_of(&opened, attributes, &failed)
    }

    fn file(&mut self, real: &Path, name: &OsStr, entry: &Entry, place: &Place<'_>) -> Result<(), TreeError> {
        let failed = place.failed(name);
        clear(place, name)?;
        if let Some(first) = self.names.of(entry, &place.path.join(name))? {
            return linkat(self.root, &first, place.directory, name, AtFlags::empty()).map_err(failed);
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let created = openat(place.directory, name, flags, Mode::RUSR | Mode::WUSR).map_err(&failed)?;
        let to = File::from(created);
        let from = self.view.open(real)?;
        self.store
            .copy_file(&from, &to)
            .map_err(|source| TreeError::io(&place.shown.join(&place.path).join(name), source))?;
        self.attributes_of(&OwnedFd::from(to), &entry.attributes, &failed)
    }

    /// A FIFO or device, where this process may make one.
    fn special(
        &mut self,
        name: &OsStr,
        kind: FileType,
        device: u64,
        attributes: &Attributes,
        place: &Place<'_>,
    ) -> Result<(), TreeError> {
        clear(place, name)?;
        match mknodat(place.directory, name, kind, Mode::from_raw_mode(attributes.mode), device) {
            Ok(()) => self.attributes_at(name, attributes, place),
            Err(Errno::PERM) => {
                self.skipped.push(place.path.join(name));
                Ok(())
            }
            Err(error) => Err(place.failed(name)(error)),
        }
    }

    /// Owner, mode and time, in the order in which one does not undo the other.
    fn attributes_of(
        &self,
        fd: &OwnedFd,
        attributes: &Attributes,
        failed: &impl Fn(Errno) -> TreeError,
    ) -> Result<(), TreeError> {
        if self.ownership == Ownership::Keep {
            give_to(fd.as_fd(), Path::new(""), attributes.uid, attributes.gid)?;
        }
        fchmod(fd, Mode::from_raw_mode(attributes.mode)).map_err(failed)?;
        futimens(fd, &self.times(attributes)).map_err(failed)
    }

    /// The same for what cannot be opened.
    fn attributes_at(
        &self,
        name: &OsStr,
        attributes: &Attributes,
        place: &Place<'_>,
    ) -> Result<(), TreeError> {
        let set = || {
            if self.ownership == Ownership::Keep {
                let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                match chownat(place.directory, name, Some(uid), Some(gid), flags) {
                    // In a user namespace without that id, a link or pipe can neither have nor keep it.
                    Ok(()) | Err(Errno::INVAL) => {}
                    Err(error) => return Err(error),
                }
            }
            utimensat(place.directory, name, &self.times(attributes), AtFlags::SYMLINK_NOFOLLOW)
        };
        set().map_err(place.failed(name))
    }

    fn times(&self, attributes: &Attributes) -> Timestamps {
        let (mut seconds, mut nanos) = (attributes.mtime.secs, attributes.mtime.nanos);
        if let Some(clamp) = self.clamp.filter(|clamp| seconds >= *clamp) {
            (seconds, nanos) = (clamp, 0);
        }
        let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
        Timestamps { last_access: time, last_modification: time }
    }
}

fn is_directory(place: &Place<'_>, name: &OsStr) -> bool {
    let flags = match defence::stands(Defence::OutputsUnfollowed) {
        true => AtFlags::SYMLINK_NOFOLLOW,
        false => AtFlags::empty(),
    };
    statat(place.directory.as_fd(), name, flags)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Removes what stands in the way, but no directory that holds something.
fn clear(place: &Place<'_>, name: &OsStr) -> Result<(), TreeError> {
    let flags = match is_directory(place, name) {
        true => AtFlags::REMOVEDIR,
        false => AtFlags::empty(),
    };
    match unlinkat(place.directory, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(place.failed(name)(error)),
    }
}
