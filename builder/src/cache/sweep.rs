//! Removing what no entry of a layout leads to. All of it is blocking.
//!
//! Who writes puts blobs before the entry that leads to them. So every writer holds a shared lock for as long as
//! it writes, and blobs are removed only by one that is alone.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use oci::{Descriptor, Digest, ImageDocument};
use rustix::fs::{FlockOperation, flock};

use super::directory;
use super::error::CacheError;
use crate::export::blob_path;

/// Held while blobs are written to a layout.
#[derive(Debug)]
pub(super) struct Writing(File);

/// What came of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swept {
    /// Every blob that is left is led to.
    Clean,
    /// Another process writes there: nothing was removed.
    InUse,
}

impl Writing {
    /// Begins to write; the directory is made where it is absent.
    pub(super) fn begin(directory: &Path) -> Result<Self, CacheError> {
        let blobs = directory.join("blobs");
        let failed = |error| CacheError::io(&blobs, error);
        std::fs::create_dir_all(&blobs).map_err(failed)?;
        let lock = File::open(&blobs).map_err(failed)?;
        while let Err(error) = flock(&lock, FlockOperation::LockShared) {
            if error != rustix::io::Errno::INTR {
                return Err(failed(error.into()));
            }
        }
        Ok(Self(lock))
    }

    /// Ends writing and removes what no entry leads to, whatever its tag.
    pub(super) fn sweep(self, directory: &Path) -> Result<Swept, CacheError> {
        match flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Swept::InUse),
            Err(error) => return Err(CacheError::io(directory, error.into())),
        }
        let mut named = BTreeSet::new();
        for entry in directory::all_entries(directory)? {
            follow(directory, &entry, &mut named);
        }
        let named: BTreeSet<String> = named.iter().map(blob_path).collect();
        let blobs = directory.join("blobs");
        for algorithm in list(&blobs)? {
            for blob in list(&blobs.join(&algorithm))? {
                let path = format!("blobs/{algorithm}/{blob}");
                if !named.contains(&path) {
                    let path = directory.join(path);
                    std::fs::remove_file(&path).map_err(|error| CacheError::io(&path, error))?;
                }
            }
        }
        Ok(Swept::Clean)
    }
}

fn list(directory: &Path) -> Result<Vec<String>, CacheError> {
    let failed = |error| CacheError::io(directory, error);
    let names = std::fs::read_dir(directory).map_err(failed)?;
    names.map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned())).collect()
}

/// Notes a document with all that it leads to. One that cannot be read leads nowhere.
fn follow(directory: &Path, entry: &Descriptor, named: &mut BTreeSet<Digest>) {
    if !named.insert(entry.digest.clone()) || !(entry.media_type.is_manifest() || entry.media_type.is_index())
    {
        return;
    }
    let Ok(raw) = directory::read(directory, entry) else { return };
    match ImageDocument::parse(Some(&entry.media_type), raw) {
        Ok(ImageDocument::Manifest(manifest)) => {
            let parsed = manifest.parsed();
            named.extend(parsed.layers.iter().chain([&parsed.config]).map(|blob| blob.digest.clone()));
        }
        Ok(ImageDocument::Index(index)) => {
            index.parsed().manifests.iter().for_each(|entry| follow(directory, entry, named));
        }
        Err(_) => {}
    }
}
