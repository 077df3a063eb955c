//! Bytes that are needed for a while: in memory while they are few, else in a file that has no name.
//!
//! The file lies in the store, not in memory that a limit counts, and is gone with its last user.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::Store;
use crate::error::{At, Result};
use crate::ids::random_hex;

/// So many bytes stay in memory.
const IN_MEMORY: usize = 4 << 20;

/// Bytes that only grow, to be read and changed at any place.
#[derive(Debug)]
pub struct Spill {
    directory: PathBuf,
    bytes: RwLock<Bytes>,
}

#[derive(Debug)]
enum Bytes {
    Memory(Vec<u8>),
    File { file: File, length: u64 },
}

impl Store {
    /// A place for bytes that nobody needs after this process.
    pub fn spill(&self) -> Spill {
        Spill { directory: self.at("tmp"), bytes: RwLock::new(Bytes::Memory(Vec::new())) }
    }
}

impl Spill {
    /// Adds bytes at the end, and says where they are.
    pub fn append(&self, new: &[u8]) -> Result<u64> {
        let mut bytes = self.bytes.write().unwrap_or_else(PoisonError::into_inner);
        if let Bytes::Memory(all) = &*bytes
            && all.len() + new.len() > IN_MEMORY
        {
            let file = nameless(&self.directory)?;
            file.write_all_at(all, 0).at(&self.directory)?;
            *bytes = Bytes::File { length: all.len() as u64, file };
        }
        match &mut *bytes {
            Bytes::Memory(all) => {
                let at = all.len() as u64;
                all.extend_from_slice(new);
                Ok(at)
            }
            Bytes::File { file, length } => {
                let at = *length;
                file.write_all_at(new, at).at(&self.directory)?;
                *length += new.len() as u64;
                Ok(at)
            }
        }
    }

    /// Replaces bytes that were appended.
    pub fn write_at(&self, at: u64, new: &[u8]) -> Result<()> {
        match &mut *self.bytes.write().unwrap_or_else(PoisonError::into_inner) {
            Bytes::Memory(all) => {
                let place = range(at, new.len()).and_then(|range| all.get_mut(range)).ok_or_else(beyond);
                place.map(|place| place.copy_from_slice(new)).at(&self.directory)
            }
            Bytes::File { file, .. } => file.write_all_at(new, at).at(&self.directory),
        }
    }

    /// Fills `buffer` from there on.
    pub fn read_at(&self, at: u64, buffer: &mut [u8]) -> Result<()> {
        match &*self.bytes.read().unwrap_or_else(PoisonError::into_inner) {
            Bytes::Memory(all) => {
                let place = range(at, buffer.len()).and_then(|range| all.get(range)).ok_or_else(beyond);
                place.map(|place| buffer.copy_from_slice(place)).at(&self.directory)
            }
            Bytes::File { file, .. } => file.read_exact_at(buffer, at).at(&self.directory),
        }
    }
}

/// Bytes that are written one after the other, in large pieces.
#[derive(Debug)]
pub struct SpillWriter {
    spill: Spill,
    waiting: Vec<u8>,
    /// How many bytes the spill has.
    written: u64,
}

/// So many bytes are written at once.
const PIECE: usize = 256 << 10;

impl Spill {
    /// For bytes that come in small pieces. The spill must be empty.
    pub fn writer(self) -> SpillWriter {
        SpillWriter { spill: self, waiting: Vec::new(), written: 0 }
    }
}

impl SpillWriter {
    /// Adds bytes at the end.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() < PIECE { Ok(()) } else { self.flush() }
    }

    /// How many bytes there are.
    pub fn position(&self) -> u64 {
        self.written + self.waiting.len() as u64
    }

    /// Makes everything readable.
    pub fn flush(&mut self) -> Result<()> {
        self.spill.append(&self.waiting)?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Fills `buffer` from there on; what was not flushed cannot be read.
    pub fn read_at(&self, at: u64, buffer: &mut [u8]) -> Result<()> {
        self.spill.read_at(at, buffer)
    }

    /// The same of whatever was written.
    pub fn read_back(&mut self, at: u64, buffer: &mut [u8]) -> Result<()> {
        if at + buffer.len() as u64 > self.written {
            self.flush()?;
        }
        self.read_at(at, buffer)
    }

    /// What was written.
    pub fn finish(mut self) -> Result<Spill> {
        self.flush()?;
        Ok(self.spill)
    }
}

fn range(at: u64, length: usize) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(at).ok()?;
    Some(start..start.checked_add(length)?)
}

fn beyond() -> std::io::Error {
    std::io::ErrorKind::UnexpectedEof.into()
}

/// A file without a name, in a directory.
fn nameless(directory: &Path) -> Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match openat(CWD, directory, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(File::from(file)),
        // Not every file system has such files.
        Err(_) => {
            let path = directory.join(format!("spill-{}", random_hex()));
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
            let file = file.at(&path)?;
            std::fs::remove_file(&path).at(&path)?;
            Ok(file)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_where_they_were_put_in_memory_and_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let spill =
            Spill { directory: directory.path().into(), bytes: RwLock::new(Bytes::Memory(Vec::new())) };
        let piece = |number: usize| vec![(number % 251) as u8; IN_MEMORY / 8 + 1];
        let places: Vec<u64> = (0..20).map(|number| spill.append(&piece(number)).unwrap()).collect();
        spill.write_at(places[2] + 1, b"changed").unwrap();
        spill.write_at(places[17] + 1, b"changed").unwrap();
        for (number, place) in places.iter().enumerate() {
            let mut wanted = piece(number);
            if number == 2 || number == 17 {
                wanted[1..8].copy_from_slice(b"changed");
            }
            let mut found = vec![0; wanted.len()];
            spill.read_at(*place, &mut found).unwrap();
            assert!(found == wanted, "{number}");
        }
        let mut more = [0; 2];
        assert!(spill.read_at(places[19] + piece(0).len() as u64 - 1, &mut more).is_err());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
