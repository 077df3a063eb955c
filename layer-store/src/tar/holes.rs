//! Which files are written as sparse ones, and how their maps look.
//!
//! The content alone decides, never the blocks that a file system happens to keep: equal files must give
//! equal archives.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};

use super::BLOCK;
use super::writer::Records;
use crate::copy::{DataRanges, fill, is_zero};

/// Zeros count where a whole piece of this size has nothing else.
const PIECE: u64 = 1 << 20;
/// Files with fewer zeros than this are written whole, as every other tool writes them.
const WORTH_IT: u64 = 1 << 30;
/// Readers give up on longer maps.
const MOST_PARTS: usize = 1 << 20;

/// The parts of a file that are stored, as offset and length; the rest is zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) parts: Vec<(u64, u64)>,
    size: u64,
}

/// The parts of a file that is worth writing as a sparse one.
pub(super) fn parts(file: &File, size: u64) -> io::Result<Option<Parts>> {
    if size < WORTH_IT {
        return Ok(None);
    }
    let mut found = Parts { parts: Vec::new(), size };
    let mut buffer = vec![0u8; PIECE as usize];
    let mut done = 0;
    let mut reader = file;
    for range in DataRanges::of(file, size) {
        let (start, end) = range?;
        let mut at = (start / PIECE * PIECE).max(done);
        while at < end {
            let length = PIECE.min(size - at);
            reader.seek(SeekFrom::Start(at))?;
            let filled = fill(&mut reader, &mut buffer[..length as usize])?;
            if filled == 0 {
                break;
            }
            if !is_zero(&buffer[..filled]) {
                found.add(at, length);
            }
            at += length;
        }
        done = at;
    }
    let worth_it = size - found.stored() >= WORTH_IT && found.parts.len() < MOST_PARTS;
    Ok(worth_it.then_some(found))
}

impl Parts {
    fn add(&mut self, offset: u64, length: u64) {
        match self.parts.last_mut() {
            Some((start, known)) if *start + *known == offset => *known += length,
            Some(_) | None => self.parts.push((offset, length)),
        }
    }

    /// How many bytes are stored.
    pub(super) fn stored(&self) -> u64 {
        self.parts.iter().map(|(_, length)| length).sum()
    }

    /// The map that stands before the content, in whole blocks. A last part without length marks the end.
    pub(super) fn map(&self) -> Vec<u8> {
        let ends_in_zeros = self.parts.last().is_none_or(|(offset, length)| offset + length < self.size);
        let end = ends_in_zeros.then_some((self.size, 0));
        let all: Vec<(u64, u64)> = self.parts.iter().copied().chain(end).collect();
        let mut text = format!("{}\n", all.len());
        for (offset, length) in all {
            text += &format!("{offset}\n{length}\n");
        }
        let mut map = text.into_bytes();
        map.resize(map.len().next_multiple_of(BLOCK), 0);
        map
    }

    /// What the extended header says.
    pub(super) fn records(&self, name: &[u8]) -> Records {
        let record = |key: &str, value: &[u8]| (format!("GNU.sparse.{key}").into_bytes(), value.to_vec());
        vec![
            record("major", b"1"),
            record("minor", b"0"),
            record("name", name),
            record("realsize", self.size.to_string().as_bytes()),
        ]
    }
}
