//! Directories that steps keep between builds (`RUN --mount=type=cache`).

use std::path::{Path, PathBuf};

use oci::Digest;

use crate::disk::make_dir;
use crate::error::{At, Result};
use crate::lock::{Hold, Lock};
use crate::{Lease, Store};

/// Who may use a cache mount at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// All at once.
    #[default]
    Shared,
    /// Each its own: a second user gets another directory.
    Private,
    /// One after the other.
    Locked,
}

/// A cache mount in use. Dropping it lets others have it.
#[derive(Debug)]
pub struct CacheMount {
    dir: PathBuf,
    new: bool,
    _lease: Lease,
    _lock: Lock,
}

impl CacheMount {
    /// The directory.
    pub fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    /// Whether it was just made, so that owner, mode and first content are up to the caller.
    pub fn is_new(&self) -> bool {
        self.new
    }
}

impl Lease {
    /// Opens the cache mount of that id, making it where there is none. Waits only for `Locked` ones and for
    /// those that somebody holds locked.
    pub fn cache_mount(&self, id: &str, sharing: Sharing) -> Result<CacheMount> {
        let name = Digest::sha256(id);
        let mounts = self.store().at("mounts");
        match sharing {
            Sharing::Shared => self.open_mount(
                id,
                Lock::take(&lock_path(&mounts, name.hex(), 0), Hold::Shared)?,
                name.hex(),
                0,
            ),
            Sharing::Locked => self.open_mount(
                id,
                Lock::take(&lock_path(&mounts, name.hex(), 0), Hold::Exclusive)?,
                name.hex(),
                0,
            ),
            Sharing::Private => {
                let mut number = 0;
                loop {
                    if let Some(lock) =
                        Lock::attempt(&lock_path(&mounts, name.hex(), number), Hold::Exclusive)?
                    {
                        return self.open_mount(id, lock, name.hex(), number);
                    }
                    number += 1;
                }
            }
        }
    }

    fn open_mount(&self, id: &str, lock: Lock, name: &str, number: u32) -> Result<CacheMount> {
        let top = self.store().at("mounts").join(format!("{name}-{number}"));
        let dir = top.join("fs");
        make_dir(&top)?;
        // Two that open a shared one for the first time agree on who made it.
        let new = match std::fs::create_dir(&dir) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error).at(&dir),
        };
        if new {
            let note = top.join("id");
            std::fs::write(&note, id).at(&note)?;
        }
        Ok(CacheMount { dir, new, _lease: self.clone(), _lock: lock })
    }
}

fn lock_path(mounts: &Path, name: &str, number: u32) -> PathBuf {
    mounts.join(format!("{name}-{number}.lock"))
}

impl Store {
    /// Removes the cache mounts that nobody uses. Returns how many there were.
    pub fn remove_cache_mounts(&self) -> Result<usize> {
        let mounts = self.at("mounts");
        let mut removed = 0;
        for entry in std::fs::read_dir(&mounts).at(&mounts)? {
            let path = entry.at(&mounts)?.path();
            if !path.is_dir() {
                continue;
            }
            let lock_path = path.with_extension("lock");
            if let Some(lock) = Lock::attempt(&lock_path, Hold::Exclusive)? {
                self.discard(&path)?;
                lock.remove()?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
