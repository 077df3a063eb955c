//! Empties a directory of the host. Nothing in it is followed.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::error::TreeError;

/// Removes everything in a directory, and not the directory. One that is absent is empty.
pub(super) fn clear_directory(path: &Path) -> Result<(), TreeError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat(rustix::fs::CWD, path, flags, Mode::empty()) {
        Ok(directory) => empty(&directory, path),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(TreeError::io(path, error)),
    }
}

fn empty(directory: &OwnedFd, path: &Path) -> Result<(), TreeError> {
    let failed = |error: Errno| TreeError::io(path, error);
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.iter().try_for_each(|name| remove(directory, name, path))
}

fn remove(directory: &OwnedFd, name: &CStr, path: &Path) -> Result<(), TreeError> {
    let inside = path.join(OsStr::from_bytes(name.to_bytes()));
    let failed = |error: Errno| TreeError::io(&inside, error);
    match unlinkat(directory.as_fd(), name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(failed(error)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(directory.as_fd(), name, flags, Mode::empty()).map_err(failed)?;
    empty(&opened, &inside)?;
    unlinkat(directory.as_fd(), name, AtFlags::REMOVEDIR).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_go_and_what_they_lead_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (full, other) = (dir.path().join("full"), dir.path().join("other"));
        std::fs::create_dir_all(full.join("a/b")).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::fs::write(full.join("a/b/c"), "c").unwrap();
        std::fs::write(other.join("kept"), "kept").unwrap();
        std::os::unix::fs::symlink(&other, full.join("a/link")).unwrap();
        clear_directory(&full).unwrap();
        assert_eq!(std::fs::read_dir(&full).unwrap().count(), 0);
        assert!(other.join("kept").exists());
        clear_directory(&dir.path().join("absent")).unwrap();
        assert!(clear_directory(&other.join("kept")).is_err());
    }
}
