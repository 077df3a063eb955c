//! Directories that steps keep between builds (`RUN --mount=type=cache`).

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use defence::Defence;
use oci::Digest;

use crate::disk::make_dir;
use crate::error::{At, Result};
use crate::lock::{Hold, Lock};
use crate::{Lease, Store};

/// Beside a mount's directory: where steps had it. Its time is that of the last use.
const TARGETS: &str = "targets";

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

    /// Notes where a step has it, and that it is used now.
    pub fn note_target(&self, target: &str) -> Result<()> {
        let path = self.dir.with_file_name(TARGETS);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).at(&path)?;
        let mut known = String::new();
        file.read_to_string(&mut known).at(&path)?;
        if !known.lines().any(|one| one == target) && !target.contains('\n') {
            file.write_all(format!("{target}\n").as_bytes()).at(&path)?;
        }
        file.set_modified(SystemTime::now()).at(&path)
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
        let name = match defence::stands(Defence::CacheNamesHashed) {
            true => Digest::sha256(id).hex().to_owned(),
            false => id.to_owned(),
        };
        let mounts = self.store().at("mounts");
        match sharing {
            Sharing::Shared => {
                self.open_mount(id, Lock::take(&lock_path(&mounts, &name, 0), Hold::Shared)?, &name, 0)
            }
            Sharing::Locked => {
                self.open_mount(id, Lock::take(&lock_path(&mounts, &name, 0), Hold::Exclusive)?, &name, 0)
            }
            Sharing::Private => {
                let mut number = 0;
                loop {
                    if let Some(lock) = Lock::attempt(&lock_path(&mounts, &name, number), Hold::Exclusive)? {
                        return self.open_mount(id, lock, &name, number);
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

/// A cache mount that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptMount {
    /// The id that names it.
    pub id: String,
    /// How it starts out, where that is unusual: mode, owner, seed.
    pub variant: Option<String>,
    /// Where steps had it.
    pub targets: Vec<String>,
    /// Unix time of its last use.
    pub used: i64,
    /// Bytes that it takes on disk.
    pub bytes: u64,
    /// Its directory.
    pub path: PathBuf,
}

impl Store {
    /// The cache mounts that are kept, sorted by id.
    pub fn cache_mounts(&self) -> Result<Vec<KeptMount>> {
        let mounts = self.at("mounts");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&mounts).at(&mounts)? {
            let path = entry.at(&mounts)?.path();
            if !path.is_dir() {
                continue;
            }
            // One that was never finished has no name; it can go like the others.
            let name = std::fs::read_to_string(path.join("id")).unwrap_or_default();
            let (id, variant) = match name.split_once('\0') {
                Some((id, variant)) => (id.to_owned(), Some(variant.replace('\0', " "))),
                None => (name, None),
            };
            let note = path.join(TARGETS);
            let targets = std::fs::read_to_string(&note).unwrap_or_default();
            let used = std::fs::metadata(&note).or_else(|_| std::fs::metadata(&path)).at(&path)?.mtime();
            let bytes = crate::usage::du(&path, &mut HashSet::new());
            let targets = targets.lines().map(str::to_owned).collect();
            found.push(KeptMount { id, variant, targets, used, bytes, path });
        }
        found.sort_by(|one, other| (&one.id, &one.path).cmp(&(&other.id, &other.path)));
        Ok(found)
    }

    /// Removes all cache mounts that nobody uses. Returns how many there were.
    pub fn remove_cache_mounts(&self) -> Result<usize> {
        let mut removed = 0;
        for mount in self.cache_mounts()? {
            removed += usize::from(self.remove_cache_mount(&mount)?);
        }
        Ok(removed)
    }

    /// Removes a cache mount; whether it went: one that is in use stays.
    pub fn remove_cache_mount(&self, mount: &KeptMount) -> Result<bool> {
        let Some(lock) = Lock::attempt(&mount.path.with_extension("lock"), Hold::Exclusive)? else {
            return Ok(false);
        };
        self.discard(&mount.path)?;
        lock.remove()?;
        Ok(true)
    }
}
