//! Blobs of which a part is here. What a process that was killed has of a download lies below
//! `partial/`, under the digest that it is to have, and the next process goes on with it.
//!
//! The file is locked by who writes it. Nothing of it counts before the whole has its digest.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci::{Descriptor, Digest, Hasher};

use crate::blobs::{BlobWriter, Ending};
use crate::error::{At, Result};
use crate::lock::{Hold, Lock};
use crate::{Lease, Store};

/// A part that nobody went on with for so long goes when the store is opened.
const FORGOTTEN: Duration = Duration::from_secs(7 * 24 * 3600);

impl Lease {
    /// Starts a blob whose digest is known, or goes on with what is here of it: [`BlobWriter::had`] tells
    /// how much that is. Dropped before it is committed, it leaves its part for the next. Where another
    /// process writes the same blob now, this one is like any.
    pub fn known_blob(&self, blob: &Descriptor) -> Result<BlobWriter> {
        let path = self.store().partial_path(&blob.digest);
        let Some(lock) = Lock::attempt(&path, Hold::Exclusive)? else {
            return self.blob_of(blob.digest.algorithm());
        };
        let mut file = OpenOptions::new().read(true).write(true).open(&path).at(&path)?;
        let mut hasher = Hasher::new(blob.digest.algorithm());
        let mut size = file.metadata().at(&path)?.len();
        if size > blob.size || hashed(&mut file, size, &mut hasher).is_err() {
            hasher = Hasher::new(blob.digest.algorithm());
            size = 0;
            file.set_len(0).at(&path)?;
        }
        file.seek(SeekFrom::Start(size)).at(&path)?;
        Ok(BlobWriter::new(self.clone(), file, path, hasher, size, Ending::Keep(lock)))
    }
}

fn hashed(file: &mut File, size: u64, hasher: &mut Hasher) -> std::io::Result<()> {
    match std::io::copy(&mut file.take(size), hasher)? {
        read if read == size => Ok(()),
        _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A whole blob for a place outside of the store. Dropped, it stays below `partial/` for the next process
/// that wants it, or goes where another one was writing the same.
#[derive(Debug)]
pub struct StagedBlob(BlobWriter);

impl BlobWriter {
    /// Ends a blob that is not to be among those of the store, if it is what the descriptor promised.
    pub fn stage_as(mut self, expected: &Descriptor) -> Result<StagedBlob> {
        match self.prove(expected) {
            Ok(()) => Ok(StagedBlob(self)),
            Err(error) => {
                self.last();
                Err(error)
            }
        }
    }
}

impl StagedBlob {
    /// Opens it for reading.
    pub fn open(&self) -> Result<File> {
        File::open(&self.0.path).at(&self.0.path)
    }

    /// Puts it in the place of a file, whose mode it takes. It is given back where that file is on another
    /// file system.
    pub fn move_over(mut self, place: &Path) -> Result<Option<Self>> {
        let mode = std::fs::symlink_metadata(place).at(place)?.permissions();
        match std::fs::rename(&self.0.path, place) {
            Ok(()) => {
                self.0.ending = Ending::Named;
                std::fs::set_permissions(place, mode).at(place)?;
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::CrossesDevices => Ok(Some(self)),
            Err(error) => Err(error).at(place),
        }
    }

    /// Removes it: nobody needs it any more.
    pub fn discard(mut self) {
        self.0.last();
    }
}

impl Store {
    fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.at("partial").join(format!("{}-{}", digest.algorithm().name(), digest.hex()))
    }

    /// Removes what is here of a blob that is not whole, unless somebody writes it.
    pub fn forget_partial(&self, digest: &Digest) -> Result<()> {
        let path = self.partial_path(digest);
        match path.exists() {
            true => Lock::attempt(&path, Hold::Exclusive)?.map_or(Ok(()), Lock::remove),
            false => Ok(()),
        }
    }

    /// Removes the parts that nobody writes, all or the old ones; how many bytes they had.
    pub(crate) fn sweep_partial(&self, which: Parts) -> Result<u64> {
        let dir = self.at("partial");
        let mut bytes = 0;
        for entry in std::fs::read_dir(&dir).at(&dir)? {
            let entry = entry.at(&dir)?;
            let Ok(metadata) = entry.metadata() else { continue };
            let old = metadata.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > FORGOTTEN));
            let goes = match which {
                Parts::All => true,
                Parts::Forgotten => old,
            };
            if goes && let Some(lock) = Lock::attempt(&entry.path(), Hold::Exclusive)? {
                bytes += metadata.len();
                lock.remove()?;
            }
        }
        Ok(bytes)
    }
}

/// Which parts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    All,
    Forgotten,
}
