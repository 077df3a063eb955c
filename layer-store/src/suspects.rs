//! Blobs that another boot, or another machine, left unsynced.
//!
//! A blob is not synced when it gets its name: that would cost seconds for each GiB. A mark below `unsynced/`, made
//! before it has its name, holds the identity of the boot. The name of a blob says what it has to hold, so a blob with
//! the mark of another boot is read once, when it is wanted first: it is whole, or it goes.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use oci::{Digest, Hasher};

use crate::Store;
use crate::error::{At, Result};

/// Where the marks are.
pub(crate) const MARKS: &str = "unsynced";

/// Those blobs, by the place where they lie, with their marks.
#[derive(Debug, Default)]
pub(crate) struct Suspects(Mutex<HashMap<PathBuf, PathBuf>>);

impl Suspects {
    /// Reads the marks of other boots. Those of this one say nothing to who reads.
    pub(crate) fn read(root: &Path, boot: &str) -> Result<Self> {
        let mut found = HashMap::new();
        for (mark, digest) in marks(root)? {
            if std::fs::read_to_string(&mark).is_ok_and(|text| text == boot) {
                continue;
            }
            let blob = root.join("blobs").join(digest.algorithm().name()).join(digest.hex());
            match blob.exists() {
                true => drop(found.insert(blob, mark)),
                false => drop(std::fs::remove_file(mark)),
            }
        }
        Ok(Self(Mutex::new(found)))
    }
}

/// All marks, with the digests of their blobs.
fn marks(root: &Path) -> Result<Vec<(PathBuf, Digest)>> {
    let dir = root.join(MARKS);
    let mut marks = Vec::new();
    for entry in std::fs::read_dir(&dir).at(&dir)? {
        let entry = entry.at(&dir)?;
        let digest = entry.file_name().to_str().and_then(|name| name.replacen('-', ":", 1).parse().ok());
        marks.extend(digest.map(|digest| (entry.path(), digest)));
    }
    Ok(marks)
}

impl Store {
    /// Notes that a blob that is about to get its name is not synced.
    pub(crate) fn mark_blob(&self, digest: &Digest) -> Result<()> {
        let mark = self.at(MARKS).join(format!("{}-{}", digest.algorithm().name(), digest.hex()));
        std::fs::write(&mark, &self.0.boot).at(&mark)
    }

    /// The marks that this boot made.
    pub(crate) fn marked_blobs(&self) -> Result<Vec<PathBuf>> {
        let of_this_boot =
            |mark: &PathBuf| std::fs::read_to_string(mark).is_ok_and(|text| text == self.0.boot);
        Ok(marks(self.root())?.into_iter().map(|(mark, _)| mark).filter(of_this_boot).collect())
    }

    /// Whether a blob may be used that another boot could have left torn. One that is torn goes.
    pub(crate) fn trust_blob(&self, digest: &Digest) -> Result<()> {
        let path = self.blob_path(digest);
        let mut suspects = self.0.suspects.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mark) = suspects.get(&path) else { return Ok(()) };
        let whole = match File::open(&path) {
            Ok(mut file) => {
                let mut hasher = Hasher::new(digest.algorithm());
                std::io::copy(&mut file, &mut hasher).at(&path)?;
                hasher.finish() == *digest
            }
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(error).at(&path),
        };
        match whole {
            // It may still not be synced, but in this boot that is not seen.
            true => self.mark_blob(digest)?,
            false => {
                self.discard(&path)?;
                let _ = std::fs::remove_file(mark);
            }
        }
        suspects.remove(&path);
        Ok(())
    }
}
