//! Contexts in another place, for `verify`: copies that were made from the last name to the first, and that belong
//! to somebody else where this process may give files away.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use builder::error::Category;
use builder::request::LocalContext;
use builder::worker::{Permit, blocking};
use builder::{Categorised, Session};
use graph::ContextName;
use rustix::fs::{AtFlags, CWD, FileType, Timespec, Timestamps, XattrFlags};

use crate::failure::Failure;

/// Who owns the copies.
const OTHER: u32 = 4711;
/// No attribute of a file is longer, nor the list of their names (`XATTR_SIZE_MAX`).
const LONGEST_ATTRIBUTE: usize = 64 << 10;

/// Where a build reads local contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextPlace {
    /// Where they are.
    AsGiven,
    /// In a copy that vanishes with the build.
    Elsewhere,
}

/// Copies the directories among some contexts; the copies take their place.
pub async fn copy_all(
    session: &Session,
    contexts: &mut BTreeMap<ContextName, LocalContext>,
) -> Result<(), Failure> {
    for (name, context) in contexts {
        let LocalContext::Directory(from) = &*context else { continue };
        if *name == ContextName::BuildFile {
            continue;
        }
        let scratch = session.lease.scratch_dir();
        let scratch = scratch.map_err(|error| Failure::from_error(error.category(), &error))?;
        let (from, to) = (from.clone(), scratch.join("context"));
        let copy = to.clone();
        let copied = blocking(Permit::free(), move || copy_tree(&from, &copy));
        copied.await.map_err(|error| Failure::new(Category::Local, format!("copying a context: {error}")))?;
        *context = LocalContext::Directory(to);
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let found = fs::metadata(from).map_err(|error| at(from, &error))?;
    Copier { first_names: HashMap::new() }.directory(from, to, &found)
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

struct Copier {
    /// Where the first name of a file with several names was copied to.
    first_names: HashMap<(u64, u64), PathBuf>,
}

impl Copier {
    fn directory(&mut self, from: &Path, to: &Path, found: &Metadata) -> io::Result<()> {
        fs::create_dir(to).map_err(|error| at(to, &error))?;
        let mut names = fs::read_dir(from).and_then(Iterator::collect::<io::Result<Vec<DirEntry>>>);
        names.as_mut().map_err(|error| at(from, error))?.reverse();
        for name in names? {
            let (from, to) = (from.join(name.file_name()), to.join(name.file_name()));
            self.entry(&from, &to).map_err(|error| at(&from, &error))?;
        }
        attributes(from, to, found).map_err(|error| at(to, &error))
    }

    fn entry(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let found = fs::symlink_metadata(from)?;
        match FileType::from_raw_mode(found.mode()) {
            FileType::Directory => return self.directory(from, to, &found),
            FileType::Symlink => std::os::unix::fs::symlink(fs::read_link(from)?, to)?,
            FileType::RegularFile => {
                let identity = (found.dev(), found.ino());
                if let Some(first) = self.first_names.get(&identity) {
                    return fs::hard_link(first, to);
                }
                if found.nlink() > 1 {
                    self.first_names.insert(identity, to.to_owned());
                }
                fs::copy(from, to)?;
            }
            // No build takes these from a context.
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => return Ok(()),
        }
        attributes(from, to, &found)
    }
}

/// Everything of a file but its content and its owner, who becomes another one where that may be.
fn attributes(from: &Path, to: &Path, found: &Metadata) -> io::Result<()> {
    let _may_not = std::os::unix::fs::lchown(to, Some(OTHER), Some(OTHER));
    if !found.is_symlink() {
        fs::set_permissions(to, fs::Permissions::from_mode(found.mode() & 0o7777))?;
        extended(from, to)?;
    }
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps {
        last_access: time(found.atime(), found.atime_nsec()),
        last_modification: time(found.mtime(), found.mtime_nsec()),
    };
    Ok(rustix::fs::utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Extended attributes, as far as this process may set them.
fn extended(from: &Path, to: &Path) -> io::Result<()> {
    let (mut names, mut value) = (vec![0_u8; LONGEST_ATTRIBUTE], vec![0_u8; LONGEST_ATTRIBUTE]);
    let length = match rustix::fs::listxattr(from, &mut names) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let length = rustix::fs::getxattr(from, name, &mut value)?;
        let _may_not = rustix::fs::setxattr(to, name, &value[..length], XattrFlags::empty());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]

    use rustix::fs::Mode;

    use super::*;

    #[test]
    fn a_copy_differs_in_its_place_and_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("below")).unwrap();
        fs::write(from.join("below/file"), "text").unwrap();
        fs::hard_link(from.join("below/file"), from.join("second")).unwrap();
        fs::set_permissions(from.join("second"), fs::Permissions::from_mode(0o4751)).unwrap();
        std::os::unix::fs::symlink("nowhere", from.join("link")).unwrap();
        rustix::fs::mknodat(CWD, from.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let times = Timestamps {
            last_access: Timespec { tv_sec: 5, tv_nsec: 0 },
            last_modification: Timespec { tv_sec: 7, tv_nsec: 9 },
        };
        for path in ["link", "second", "below", "."] {
            rustix::fs::utimensat(CWD, from.join(path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
        copy_tree(&from, &to).unwrap();
        let file = fs::metadata(to.join("below/file")).unwrap();
        assert_eq!(
            (file.mode() & 0o7777, file.nlink(), fs::read(to.join("second")).unwrap()),
            (0o4751, 2, b"text".to_vec())
        );
        for path in ["link", "second", "below", "."] {
            let found = fs::symlink_metadata(to.join(path)).unwrap();
            assert_eq!((found.mtime(), found.mtime_nsec()), (7, 9), "{path}");
            let given_away = rustix::process::getuid().is_root();
            assert_eq!(found.uid() == OTHER, given_away, "{path}");
        }
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("nowhere"));
        assert!(fs::symlink_metadata(to.join("pipe")).is_err());
    }
}
