//! Blobs that another boot, or another machine, left unsynced.
//!
//! A blob is not synced when it gets its name: that would cost seconds for each GiB. A mark below `unsynced/<boot>/` is
//! made before it has its name. The name of a blob says what it has to hold, so a blob with the mark of another boot is
//! read once, when it is wanted first: it is whole, or it goes.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use oci::Digest;

use crate::Store;
use crate::blobs::digest_of;
use crate::disk::make_dir;
use crate::error::{At, Result};

/// Where the marks are, in a directory for each boot.
pub(crate) const MARKS: &str = "unsynced";

/// Those blobs, by the place where they lie, with their marks.
#[derive(Debug, Default)]
pub(crate) struct Suspects(Mutex<HashMap<PathBuf, PathBuf>>);

impl Suspects {
    /// Reads the marks of other boots. Those of this one say nothing to who reads.
    pub(crate) fn read(root: &Path, boot: &str) -> Result<Self> {
        let mut found = HashMap::new();
        let own = directory(root, boot);
        for dir in entries(&root.join(MARKS))?.into_iter().filter(|dir| *dir != own) {
            for (mark, digest) in marks(&dir)? {
                let blob = root.join("blobs").join(digest.algorithm().name()).join(digest.hex());
                match blob.exists() {
                    true => drop(found.insert(blob, mark)),
                    false => drop(std::fs::remove_file(mark)),
                }
            }
            // Only an empty one goes.
            let _ = std::fs::remove_dir(dir);
        }
        Ok(Self(Mutex::new(found)))
    }
}

/// Where the marks of a boot are. The kernel may not tell which it is; then all are one.
fn directory(root: &Path, boot: &str) -> PathBuf {
    root.join(MARKS).join(if boot.is_empty() { "unknown" } else { boot })
}

fn mark_name(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().name(), digest.hex())
}

/// The marks in a directory, with the digests of their blobs.
fn marks(dir: &Path) -> Result<Vec<(PathBuf, Digest)>> {
    let digest = |mark: &PathBuf| mark.file_name()?.to_str()?.replacen('-', ":", 1).parse().ok();
    Ok(entries(dir)?.into_iter().filter_map(|mark| digest(&mark).map(|digest| (mark, digest))).collect())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    match std::fs::read_dir(dir) {
        Ok(found) => found.map(|entry| entry.map(|entry| entry.path()).at(dir)).collect(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error).at(dir),
    }
}

impl Store {
    /// Notes that a blob that is about to get its name is not synced.
    pub(crate) fn mark_blob(&self, digest: &Digest) -> Result<()> {
        let dir = directory(self.root(), &self.0.boot);
        let mark = dir.join(mark_name(digest));
        match File::create(&mark) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_dir(&dir)?;
                File::create(&mark).at(&mark).map(drop)
            }
            made => made.at(&mark).map(drop),
        }
    }

    /// The marks that this boot made.
    pub(crate) fn marked_blobs(&self) -> Result<Vec<PathBuf>> {
        entries(&directory(self.root(), &self.0.boot))
    }

    /// Whether a blob may be used that another boot could have left torn. One that is torn goes.
    pub(crate) fn trust_blob(&self, digest: &Digest) -> Result<()> {
        let path = self.blob_path(digest);
        let mut suspects = self.0.suspects.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mark) = suspects.get(&path) else { return Ok(()) };
        // One that is not there needs no proof.
        let whole = !std::fs::exists(&path).at(&path)? || digest_of(&path, digest.algorithm())? == *digest;
        match whole {
            // It may still not be synced, but in this boot that is not seen.
            true => self.mark_blob(digest)?,
            false => self.discard(&path)?,
        }
        let _ = std::fs::remove_file(mark);
        suspects.remove(&path);
        Ok(())
    }
}
