//! Sparse files: where the stored bytes belong.

use std::io::Read;

use super::BLOCK;
use super::header::{Header, number};
use super::pax::Reason;

/// A map longer than this is hostile.
const ENTRIES: usize = 1 << 20;

/// Which parts of a file an archive stores, in order; the rest is zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SparseMap {
    pub(super) parts: Vec<(u64, u64)>,
    pub(super) size: u64,
}

impl SparseMap {
    /// A file that is stored whole.
    pub(super) fn whole(size: u64) -> Self {
        Self { parts: vec![(0, size)], size }
    }

    /// Checks what an archive claims: in order, without overlap, and as long as what is stored.
    pub(super) fn checked(numbers: &[u64], size: u64, stored: u64) -> Result<Self, Reason> {
        if !numbers.len().is_multiple_of(2) || i64::try_from(size).is_err() {
            return Err("malformed sparse map");
        }
        let (mut end, mut total) = (0u64, 0u64);
        let mut parts = Vec::new();
        for pair in numbers.chunks_exact(2) {
            let (offset, length) = (pair[0], pair[1]);
            if offset < end {
                return Err("sparse parts overlap");
            }
            end = offset.checked_add(length).ok_or("malformed sparse map")?;
            total = total.checked_add(length).ok_or("malformed sparse map")?;
            if length > 0 {
                parts.push((offset, length));
            }
        }
        if end > size {
            return Err("a sparse part lies behind the end of its file");
        }
        if total != stored {
            return Err("the sparse map and the size of the entry disagree");
        }
        Ok(Self { parts, size })
    }
}

/// The four places of an old GNU header, and the blocks that go on with them.
pub(super) fn read_old_gnu(header: &Header, from: &mut dyn Read) -> Result<(Vec<u64>, u64), OldGnuError> {
    let block = &header.0;
    let real_size = number(&block[483..495]).and_then(|size| u64::try_from(size).ok());
    let real_size = real_size.ok_or(OldGnuError::Malformed("malformed size of a sparse file"))?;
    let mut numbers = Vec::new();
    take_places(&block[386..482], &mut numbers)?;
    let mut more = block[482] != 0;
    while more {
        let mut next = [0u8; BLOCK];
        from.read_exact(&mut next).map_err(OldGnuError::Io)?;
        take_places(&next[..504], &mut numbers)?;
        more = next[504] != 0;
    }
    Ok((numbers, real_size))
}

pub(super) enum OldGnuError {
    Malformed(Reason),
    Io(std::io::Error),
}

fn take_places(places: &[u8], numbers: &mut Vec<u64>) -> Result<(), OldGnuError> {
    for place in places.chunks_exact(24) {
        if place[0] == 0 && place[12] == 0 {
            break;
        }
        let field = |field: &[u8]| number(field).and_then(|value| u64::try_from(value).ok());
        let (Some(offset), Some(length)) = (field(&place[..12]), field(&place[12..])) else {
            return Err(OldGnuError::Malformed("malformed sparse map"));
        };
        numbers.extend([offset, length]);
    }
    if numbers.len() > 2 * ENTRIES {
        return Err(OldGnuError::Malformed("a sparse map without end"));
    }
    Ok(())
}

/// The map at the start of the data of a PAX 1.0 sparse file. Also tells how many bytes it took.
pub(super) fn read_pax_1(from: &mut dyn Read, stored: u64) -> Result<(Vec<u64>, u64), OldGnuError> {
    let mut lines = Lines { from, block: [0; BLOCK], at: BLOCK, taken: 0, stored };
    let count = lines.number()?;
    if count > ENTRIES as u64 {
        return Err(OldGnuError::Malformed("a sparse map without end"));
    }
    let mut numbers = Vec::new();
    for _ in 0..2 * count {
        numbers.push(lines.number()?);
    }
    Ok((numbers, lines.taken))
}

struct Lines<'a> {
    from: &'a mut dyn Read,
    block: [u8; BLOCK],
    at: usize,
    taken: u64,
    stored: u64,
}

impl Lines<'_> {
    fn number(&mut self) -> Result<u64, OldGnuError> {
        let mut text = Vec::new();
        loop {
            if self.at == BLOCK {
                if self.taken + BLOCK as u64 > self.stored.next_multiple_of(BLOCK as u64) {
                    return Err(OldGnuError::Malformed("malformed sparse map"));
                }
                self.from.read_exact(&mut self.block).map_err(OldGnuError::Io)?;
                self.taken += BLOCK as u64;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            if byte == b'\n' {
                break;
            }
            text.push(byte);
            if text.len() > 20 {
                break;
            }
        }
        super::pax::number(&text).ok_or(OldGnuError::Malformed("malformed sparse map"))
    }
}
