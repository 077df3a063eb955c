//! Leases: the proof that a process lives, the list of what it uses, and its unfinished things.

use std::collections::{BTreeSet, HashSet};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::disk::{make_dir, remove_tree};
use crate::error::{At, Result};
use crate::ids::random_hex;
use crate::lock::{Hold, Lock};
use crate::partial::Parts;
use crate::{LayerId, Store};

/// What a process makes and uses lives as long as its lease. Clones share it; the last drop releases it.
#[derive(Clone, Debug)]
pub struct Lease(pub(crate) Arc<Held>);

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) store: Store,
    tmp: PathBuf,
    lock: Mutex<Option<Lock>>,
    counter: AtomicU64,
    layers: Mutex<BTreeSet<LayerId>>,
    began: SystemTime,
}

/// Whether a layer was in use by the same lease before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holding {
    News,
    Already,
}

impl Store {
    /// Starts a lease.
    pub fn lease(&self) -> Result<Lease> {
        // Not while a collection marks what is in use.
        let _collecting = Lock::take(&self.at("locks/collect"), Hold::Shared)?;
        let name = random_hex();
        let tmp = self.at("tmp").join(&name);
        let lock = Lock::take(&self.at("leases").join(&name), Hold::Exclusive)?;
        make_dir(&tmp)?;
        Ok(Lease(Arc::new(Held {
            store: self.clone(),
            tmp,
            lock: Mutex::new(Some(lock)),
            counter: AtomicU64::new(0),
            layers: Mutex::default(),
            began: SystemTime::now(),
        })))
    }
}

impl Lease {
    /// The store it belongs to.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// When it began.
    pub fn began(&self) -> SystemTime {
        self.0.began
    }

    /// A new path for something unfinished. Everything below it vanishes with the lease.
    pub(crate) fn scratch(&self, what: &str) -> PathBuf {
        let number = self.0.counter.fetch_add(1, Ordering::Relaxed);
        self.0.tmp.join(format!("{what}-{number}"))
    }

    /// A new directory for whatever the caller needs for a while; it vanishes with the lease.
    pub fn scratch_dir(&self) -> Result<PathBuf> {
        let path = self.scratch("dir");
        make_dir(&path)?;
        Ok(path)
    }

    /// Says that this process uses a layer, so that no collection takes it.
    pub fn hold(&self, id: &LayerId) -> Result<()> {
        self.take_hold(id).map(|_| ())
    }

    pub(crate) fn take_hold(&self, id: &LayerId) -> Result<Holding> {
        let mut layers = self.0.layers.lock().unwrap_or_else(PoisonError::into_inner);
        if layers.contains(id) {
            return Ok(Holding::Already);
        }
        // A collection that has counted already takes what it takes before this one is noted.
        let _collecting = Lock::take(&self.store().at("locks/collect"), Hold::Shared)?;
        self.note(id)?;
        layers.insert(id.clone());
        Ok(Holding::News)
    }

    /// The layers that this process made or uses.
    pub(crate) fn held(&self) -> Vec<LayerId> {
        self.0.layers.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Writes it where collections look.
    fn note(&self, id: &LayerId) -> Result<()> {
        let guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lock) = guard.as_ref() else { return Ok(()) };
        let path = self.0.store.at("leases");
        let end = lock.file().metadata().at(&path)?.len();
        lock.file().write_all_at(format!("{id}\n").as_bytes(), end).at(&path)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = remove_tree(&self.tmp);
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(lock) = lock {
            let _ = lock.remove();
        }
    }
}

/// Removes leases whose owner is dead, with all they left unfinished.
pub(crate) fn sweep_dead(store: &Store) -> Result<()> {
    for (path, lock) in leases(store)? {
        let (Some(lock), Some(name)) = (lock, path.file_name()) else { continue };
        let _ = store.discard(&store.at("tmp").join(name));
        let _ = lock.remove();
    }
    store.sweep_partial(Parts::Forgotten)?;
    sweep_tmp(store)
}

/// Removes what is under no lease: what was moved out of sight, and documents that were never put in place.
fn sweep_tmp(store: &Store) -> Result<()> {
    let dir = store.at("tmp");
    for entry in std::fs::read_dir(&dir).at(&dir)? {
        let entry = entry.at(&dir)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let dead = if name.starts_with("gone-") {
            true
        } else if name.starts_with("file-") {
            is_old(&entry)
        } else {
            !store.at("leases").join(&name).exists()
        };
        if dead {
            let _ = remove_tree(&entry.path());
        }
    }
    Ok(())
}

/// Whether a scratch file is older than any write takes.
fn is_old(entry: &std::fs::DirEntry) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > Duration::from_secs(3600)))
}

/// The layers that living processes use; `None`: no process uses the store.
pub(crate) fn held_by_the_living(store: &Store) -> Result<Option<HashSet<LayerId>>> {
    let mut held = None;
    for (path, lock) in leases(store)? {
        match lock {
            None => held.get_or_insert_with(HashSet::new).extend(noted(&path)?),
            Some(lock) => lock.remove()?,
        }
    }
    Ok(held)
}

/// What a lease says that its process uses. One that was released meanwhile says nothing.
fn noted(path: &Path) -> Result<Vec<LayerId>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).at(path),
    }
}

/// Every lease file, with its lock where the owner is dead.
fn leases(store: &Store) -> Result<Vec<(PathBuf, Option<Lock>)>> {
    let dir = store.at("leases");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&dir).at(&dir)? {
        let path = entry.at(&dir)?.path();
        let lock = attempt_existing(&path)?;
        found.push((path, lock));
    }
    Ok(found)
}

fn attempt_existing(path: &Path) -> Result<Option<Lock>> {
    // A lease that was released between the listing and now would be created anew here: it is then
    // dead like the others, and removed.
    Lock::attempt(path, Hold::Exclusive)
}
