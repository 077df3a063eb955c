//! Blobs: immutable bytes under their digest.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use defence::Defence;
use oci::{Algorithm, Descriptor, Digest, Hasher};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};

use crate::disk::{Named, give_name, make_dir};
use crate::error::{At, Result, StoreError};
use crate::lock::{Hold, Lock};
use crate::{Lease, Store};

/// No document of an image is longer than this.
const DOCUMENT_LIMIT: u64 = 64 << 20;
/// A use is noted again after that time.
const NOTED: Duration = Duration::from_secs(5 * 60);
/// What was used within that time may still be wanted by a living process that holds no layer for it.
const WANTED: Duration = Duration::from_secs(10 * 60);

/// Whether a living process may rely on a blob that it saw.
pub(crate) fn may_be_wanted(metadata: &Metadata) -> bool {
    used_within(metadata, WANTED)
}

/// A time in the future counts as now.
fn used_within(metadata: &Metadata, span: Duration) -> bool {
    let used = metadata.accessed().unwrap_or(SystemTime::UNIX_EPOCH);
    used.elapsed().map_or(true, |age| age < span)
}

impl Store {
    /// Whether the blob is here, with that size.
    pub fn has_blob(&self, blob: &Descriptor) -> bool {
        self.is_here(&blob.digest, blob.size)
    }

    fn is_here(&self, digest: &Digest, size: u64) -> bool {
        let path = self.blob_path(digest);
        self.trust_blob(digest).is_ok()
            && std::fs::symlink_metadata(&path).is_ok_and(|metadata| {
                metadata.is_file() && metadata.len() == size && self.note_blob_use(&path, &metadata)
            })
    }

    /// Notes when a blob was used, for collections beside living processes; whether it is still there.
    fn note_blob_use(&self, path: &Path, metadata: &Metadata) -> bool {
        if used_within(metadata, NOTED) {
            return true;
        }
        // A collection that has looked at it already takes it first.
        let _collecting = Lock::take(&self.at("locks/collect"), Hold::Shared);
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let same = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: now, last_modification: same };
        utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Opens a blob.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<File>> {
        self.trust_blob(digest)?;
        let path = self.blob_path(digest);
        match File::open(&path) {
            Ok(file) => {
                let metadata = file.metadata().at(&path)?;
                // What is open can be read, also where it has gone.
                self.note_blob_use(&path, &metadata);
                Ok(Some(file))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at(&path),
        }
    }

    /// Reads a small document and compares it with its digest. A damaged one is absent.
    pub fn read_blob(&self, blob: &Descriptor) -> Result<Option<Bytes>> {
        let Some(file) = self.open_blob(&blob.digest)? else { return Ok(None) };
        let path = self.blob_path(&blob.digest);
        let mut bytes = Vec::new();
        file.take(DOCUMENT_LIMIT.min(blob.size.saturating_add(1))).read_to_end(&mut bytes).at(&path)?;
        let found = bytes.len() as u64;
        let mut hasher = Hasher::new(blob.digest.algorithm());
        hasher.update(&bytes);
        let whole = found == blob.size && hasher.finish() == blob.digest;
        Ok(whole.then(|| bytes.into()))
    }
}

impl Store {
    /// Gives bytes their name, unless the same have it. They are synced with the layers ([`Store::seal`]).
    pub(crate) fn name_blob(&self, from: &Path, digest: &Digest, size: u64) -> Result<Named> {
        let target = self.blob_path(digest);
        make_dir(target.parent().unwrap_or(self.root()))?;
        self.mark_blob(digest)?;
        let mut named = give_name(from, &target)?;
        if named == Named::Theirs && !self.is_here(digest, size) {
            // What stands there is damaged: the right bytes take its place.
            std::fs::rename(from, &target).at(&target)?;
            named = Named::Ours;
        }
        Ok(named)
    }
}

/// The digest of a file as it is.
pub(crate) fn digest_of(path: &Path, algorithm: Algorithm) -> Result<Digest> {
    let mut hasher = Hasher::new(algorithm);
    let mut file = File::open(path).at(path)?;
    std::io::copy(&mut file, &mut hasher).at(path)?;
    Ok(hasher.finish())
}

pub(crate) fn expect(expected: &Digest, found: Digest) -> Result<()> {
    if *expected == found || !defence::stands(Defence::ContentVerified) {
        Ok(())
    } else {
        Err(StoreError::Mismatch { expected: expected.clone(), found })
    }
}

impl Lease {
    /// Starts a blob.
    pub fn blob(&self) -> Result<BlobWriter> {
        self.blob_of(Algorithm::Sha256)
    }

    /// Starts a blob that will be named with another hash function.
    pub fn blob_of(&self, algorithm: Algorithm) -> Result<BlobWriter> {
        let path = self.scratch("blob");
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).at(&path)?;
        Ok(BlobWriter::new(
            self.clone(),
            file,
            path,
            Hasher::new(algorithm),
            0,
            Ending::Remove { _lock: None },
        ))
    }

    /// Stores a small document.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::sha256(bytes);
        let path = self.store().blob_path(&digest);
        match std::fs::read(&path) {
            Ok(found) if found == bytes && self.store().is_here(&digest, found.len() as u64) => {
                return Ok(digest);
            }
            // Damaged: the right bytes take its place.
            Ok(_) => self.store().discard(&path)?,
            Err(_) => {}
        }
        let mut writer = self.blob()?;
        writer.write_all(bytes).at(&writer.path)?;
        Ok(writer.commit()?.0)
    }
}

/// A blob that is being written. Dropping it discards it, or leaves it for who goes on with it.
pub struct BlobWriter {
    lease: Lease,
    file: File,
    pub(crate) path: PathBuf,
    hasher: Hasher,
    size: u64,
    pub(crate) ending: Ending,
}

/// What becomes of the file when its writer is dropped.
pub(crate) enum Ending {
    /// It goes; locked until then, where others could want it.
    Remove { _lock: Option<Lock> },
    /// It stays for the next; locked until then.
    Keep(Lock),
    /// It has its name.
    Named,
}

impl BlobWriter {
    pub(crate) fn new(
        lease: Lease,
        file: File,
        path: PathBuf,
        hasher: Hasher,
        size: u64,
        ending: Ending,
    ) -> Self {
        Self { lease, file, path, hasher, size, ending }
    }

    /// What is here so far: a state of the hash function that has seen it, and how many bytes it is.
    pub fn had(&self) -> (Hasher, u64) {
        (self.hasher.clone(), self.size)
    }

    /// Reads what is here so far.
    pub fn read_had(&self) -> Result<impl Read + Send + use<>> {
        Ok(File::open(&self.path).at(&self.path)?.take(self.size))
    }

    /// Names the blob, if it is what the descriptor promised.
    pub fn commit_as(mut self, expected: &Descriptor) -> Result<()> {
        self.last();
        self.prove(expected)?;
        self.publish(&expected.digest)
    }

    /// Whether it is what the descriptor promised. Nothing may be written after this.
    pub(crate) fn prove(&mut self, expected: &Descriptor) -> Result<()> {
        let algorithm = expected.digest.algorithm();
        let (found, size) = self.finish();
        if size != expected.size {
            return Err(StoreError::Length {
                digest: expected.digest.clone(),
                expected: expected.size,
                found: size,
            });
        }
        if found.algorithm() == algorithm {
            expect(&expected.digest, found)
        } else {
            expect(&expected.digest, digest_of(&self.path, algorithm)?)
        }
    }

    /// Names the blob by what was written.
    pub fn commit(mut self) -> Result<(Digest, u64)> {
        self.last();
        let (digest, size) = self.finish();
        self.publish(&digest)?;
        Ok((digest, size))
    }

    /// From here on nobody goes on with it: it is named, or it was the wrong bytes.
    pub(crate) fn last(&mut self) {
        self.ending = match std::mem::replace(&mut self.ending, Ending::Named) {
            Ending::Keep(lock) => Ending::Remove { _lock: Some(lock) },
            other @ (Ending::Remove { .. } | Ending::Named) => other,
        };
    }

    fn finish(&mut self) -> (Digest, u64) {
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(Algorithm::Sha256));
        (hasher.finish(), self.size)
    }

    fn publish(&mut self, digest: &Digest) -> Result<()> {
        let store = self.lease.store().clone();
        if store.is_here(digest, self.size) {
            return Ok(());
        }
        if store.name_blob(&self.path, digest, self.size)? == Named::Ours {
            self.ending = Ending::Named;
        }
        Ok(())
    }
}

impl std::fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobWriter")
            .field("path", &self.path)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        let goes = match &self.ending {
            Ending::Remove { .. } => true,
            Ending::Keep(_) => self.size == 0,
            Ending::Named => false,
        };
        if goes {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
