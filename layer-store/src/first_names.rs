//! Files with several names, by the name that came first.
//!
//! Such files may be millions: programs that install by links make trees of them, and layers of this store share files.
//! So a table of fixed entries is put aside: device, inode, and where the name lies; names lie in another place.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::spill::{Spill, SpillWriter};
use crate::{Entry, Store};

/// Which name of a file came first, for as many files as there are.
#[derive(Debug)]
pub struct FirstNames {
    store: Store,
    table: Spill,
    /// How many entries the table has room for: a power of two.
    slots: u64,
    used: u64,
    names: SpillWriter,
}

/// Two numbers that name a file, and one more than the place of its name; zero: there is none.
const ENTRY: usize = 24;

/// So many entries are read at once.
const NEAR: u64 = 8;

/// The least room of a table.
const SMALLEST: u64 = 1 << 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    file: (u64, u64),
    name: u64,
}

impl Store {
    /// Without any file.
    pub fn first_names(&self) -> FirstNames {
        FirstNames {
            store: self.clone(),
            table: self.spill(),
            slots: 0,
            used: 0,
            names: self.spill().writer(),
        }
    }
}

impl FirstNames {
    /// The name that came before with the file of an entry, as [`FirstNames::first`] says it; none for a file that has
    /// one name alone. All entries are to be of one view or context.
    pub fn of(&mut self, entry: &Entry, name: &Path) -> Result<Option<PathBuf>> {
        let (place, inode) = entry.identity;
        if entry.links > 1 { self.first((place as u64, inode), name) } else { Ok(None) }
    }

    /// The name that came before with this file (two numbers that no other file has). Where none did, this one is
    /// the first from now on.
    pub fn first(&mut self, file: (u64, u64), name: &Path) -> Result<Option<PathBuf>> {
        if self.used * 2 >= self.slots {
            self.grow()?;
        }
        let (slot, found) = find(&self.table, self.slots, file)?;
        if let Some(found) = found {
            return self.read_name(found.name - 1).map(Some);
        }
        let new = Row { file, name: self.names.position() + 1 };
        let name = name.as_os_str().as_bytes();
        self.names.write(&(name.len() as u32).to_le_bytes())?;
        self.names.write(name)?;
        self.table.write_at(slot * ENTRY as u64, &new.bytes())?;
        self.used += 1;
        Ok(None)
    }

    fn read_name(&mut self, at: u64) -> Result<PathBuf> {
        let mut length = [0; 4];
        self.names.read_back(at, &mut length)?;
        let mut name = vec![0; u32::from_le_bytes(length) as usize];
        self.names.read_back(at + 4, &mut name)?;
        Ok(PathBuf::from(OsString::from_vec(name)))
    }

    fn grow(&mut self) -> Result<()> {
        let slots = (self.slots * 2).max(SMALLEST);
        let table = self.store.spill();
        let piece = vec![0; SMALLEST as usize * ENTRY];
        for _ in 0..slots / SMALLEST {
            table.append(&piece)?;
        }
        let mut piece = piece;
        for number in 0..self.slots / SMALLEST {
            self.table.read_at(number * piece.len() as u64, &mut piece)?;
            for entry in piece.chunks_exact(ENTRY).filter_map(Row::read) {
                let (slot, _) = find(&table, slots, entry.file)?;
                table.write_at(slot * ENTRY as u64, &entry.bytes())?;
            }
        }
        (self.table, self.slots) = (table, slots);
        Ok(())
    }
}

/// Where a file is in a table or has its place, and what is there.
fn find(table: &Spill, slots: u64, file: (u64, u64)) -> Result<(u64, Option<Row>)> {
    let mut slot = place(file) & (slots - 1);
    let mut near = [0; ENTRY * NEAR as usize];
    loop {
        let count = NEAR.min(slots - slot);
        let near = &mut near[..count as usize * ENTRY];
        table.read_at(slot * ENTRY as u64, near)?;
        for entry in near.chunks_exact(ENTRY) {
            match Row::read(entry) {
                None => return Ok((slot, None)),
                Some(entry) if entry.file == file => return Ok((slot, Some(entry))),
                Some(_) => slot += 1,
            }
        }
        slot &= slots - 1;
    }
}

/// Inodes follow each other, so they are scattered.
fn place((one, other): (u64, u64)) -> u64 {
    let mixed = (other ^ one.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

impl Row {
    fn read(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let entry = Self { file: (number(0)?, number(8)?), name: number(16)? };
        (entry.name > 0).then_some(entry)
    }

    fn bytes(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        for (at, number) in [self.file.0, self.file.1, self.name].into_iter().enumerate() {
            bytes[at * 8..][..8].copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}
