//! Small moves on the host file system: whole documents, synced directories, names given once.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{At, Result, StoreError};

/// Whether a name was free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// It was, and is ours now.
    Ours,
    /// Somebody was faster.
    Theirs,
}

/// Whether a directory was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    Now,
    Before,
}

/// Creates a private directory, unless it is there.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    make_new_dir(path).map(drop)
}

/// The same, and says whether it was there.
pub(crate) fn make_new_dir(path: &Path) -> Result<Made> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(Made::Now),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Made::Before),
        Err(error) => Err(error).at(path),
    }
}

/// Reads a file; `None` where there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at(path),
    }
}

/// Reads a JSON document; `None` where there is no file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| StoreError::Json { path: path.to_owned(), source })
}

pub(crate) fn to_json<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|source| StoreError::Json { path: path.to_owned(), source })
}

/// Whether a write must survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    Yes,
    No,
}

/// Puts a whole file in place; readers see the old or the new one, never half of one.
pub(crate) fn replace(path: &Path, scratch: &Path, bytes: &[u8], durable: Durable) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(scratch).at(scratch)?;
    let written =
        file.write_all(bytes).and_then(|()| if durable == Durable::Yes { file.sync_all() } else { Ok(()) });
    if let Err(error) = written.and_then(|()| std::fs::rename(scratch, path)) {
        std::fs::remove_file(scratch).ok();
        return Err(error).at(path);
    }
    if durable == Durable::Yes { sync_parent(path) } else { Ok(()) }
}

/// Gives a file or directory its final name, unless that is taken.
pub(crate) fn give_name(from: &Path, to: &Path) -> Result<Named> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Named::Ours),
        Err(Errno::EXIST) => Ok(Named::Theirs),
        Err(Errno::INVAL | Errno::NOSYS) => give_name_plainly(from, to),
        Err(error) => Err(error).at(to),
    }
}

/// For file systems without `RENAME_NOREPLACE`: a directory never replaces a full one, a link never replaces.
fn give_name_plainly(from: &Path, to: &Path) -> Result<Named> {
    let taken = |error: &std::io::Error| {
        matches!(
            error.kind(),
            ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory
        )
    };
    let done = if from.is_dir() {
        std::fs::rename(from, to)
    } else {
        std::fs::hard_link(from, to).and_then(|()| std::fs::remove_file(from))
    };
    match done {
        Ok(()) => Ok(Named::Ours),
        Err(error) if taken(&error) => Ok(Named::Theirs),
        Err(error) => Err(error).at(to),
    }
}

/// Syncs the directory that holds a path.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent).and_then(|dir| dir.sync_all()).at(parent)
}

/// Removes a file or a whole tree, never following links. Absent is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    let removed = if metadata.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).at(path),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// The identity of this boot, or an empty text where the kernel does not tell.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}
