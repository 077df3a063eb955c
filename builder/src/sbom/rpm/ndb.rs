//! The file `Packages.db` of SUSE's database. Numbers are little-endian.
//!
//! Pages of slots come first; each slot names the blocks of a record, which begin with a head.

use std::os::unix::fs::FileExt;

use super::{LONGEST, RpmError, damaged};

pub(super) const MAGIC: &[u8] = b"RpmP";
const SLOT_MAGIC: &[u8] = b"Slot";
const HEAD_MAGIC: &[u8] = b"BlbS";

const PAGE: u64 = 4096;
/// Slots, blocks and heads have one size; the header of the file has that of two.
const UNIT: usize = 16;
const HEADER_UNITS: usize = 2;

/// Visits the records.
pub(super) fn records(file: &impl FileExt, size: u64, visit: &mut dyn FnMut(&[u8])) -> Result<(), RpmError> {
    let mut header = [0; UNIT * HEADER_UNITS];
    file.read_exact_at(&mut header, 0)?;
    let slot_pages = u64::from(u32_at(&header, 12));
    if slot_pages * PAGE > size {
        return Err(damaged("page", slot_pages));
    }
    // No two records share a block.
    let mut left = size;
    let mut page = [0; PAGE as usize];
    for number in 0..slot_pages {
        file.read_exact_at(&mut page, number * PAGE)?;
        let header_units = if number == 0 { HEADER_UNITS } else { 0 };
        for slot in page.chunks_exact(UNIT).skip(header_units) {
            if !slot.starts_with(SLOT_MAGIC) {
                return Err(damaged("page", number));
            }
            if u32_at(slot, 8) != 0 {
                visit(&record(file, slot, &mut left)?);
            }
        }
    }
    Ok(())
}

/// The record that a slot names.
fn record(file: &impl FileExt, slot: &[u8], left: &mut u64) -> Result<Vec<u8>, RpmError> {
    let wrong = || damaged("block", u32_at(slot, 8));
    let offset = u64::from(u32_at(slot, 8)) * UNIT as u64;
    let mut head = [0; UNIT];
    file.read_exact_at(&mut head, offset)?;
    let length = u64::from(u32_at(&head, 12));
    if !head.starts_with(HEAD_MAGIC) || head[4..8] != slot[4..8] || length > LONGEST {
        return Err(wrong());
    }
    *left = left.checked_sub(length + UNIT as u64).ok_or_else(wrong)?;
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| wrong())?];
    file.read_exact_at(&mut bytes, offset + UNIT as u64)?;
    Ok(bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
