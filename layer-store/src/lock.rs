//! Locks that die with their holder: `flock` on files that the holder may remove.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{At, Result};

/// Shared or exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    Shared,
    Exclusive,
}

/// A held lock. Dropping it releases it.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Waits for the lock.
    pub(crate) fn take(path: &Path, hold: Hold) -> Result<Self> {
        loop {
            if let Some(lock) = attempt(path, hold, Wait::Yes)? {
                return Ok(lock);
            }
        }
    }

    /// Takes the lock if nobody else holds it.
    pub(crate) fn attempt(path: &Path, hold: Hold) -> Result<Option<Self>> {
        attempt(path, hold, Wait::No)
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Removes the file, then releases the lock.
    pub(crate) fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path).at(&self.path)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Yes,
    No,
}

/// `None`: somebody holds it, or the file was removed meanwhile and a waiter must try again.
fn attempt(path: &Path, hold: Hold, wait: Wait) -> Result<Option<Lock>> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .at(path)?;
        let operation = match (hold, wait) {
            (Hold::Shared, Wait::Yes) => FlockOperation::LockShared,
            (Hold::Shared, Wait::No) => FlockOperation::NonBlockingLockShared,
            (Hold::Exclusive, Wait::Yes) => FlockOperation::LockExclusive,
            (Hold::Exclusive, Wait::No) => FlockOperation::NonBlockingLockExclusive,
        };
        match flock(&file, operation) {
            Ok(()) => {}
            Err(Errno::INTR) => continue,
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error).at(path),
        }
        if still_there(&file, path)? {
            return Ok(Some(Lock { file, path: path.to_owned() }));
        }
    }
}

/// Whether the path still names the file that was locked.
fn still_there(file: &File, path: &Path) -> Result<bool> {
    let held = file.metadata().at(path)?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok(named.dev() == held.dev() && named.ino() == held.ino()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at(path),
    }
}
