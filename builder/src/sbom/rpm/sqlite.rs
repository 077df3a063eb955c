//! The table `Packages` of a database in SQLite's file format. Numbers are big-endian.
//!
//! A table is a tree of pages. What does not fit a page goes on in a chain of others. Each page belongs to one
//! place, so that a file of some size can ask for no more than twice its bytes.

use std::os::unix::fs::FileExt;

use super::{LONGEST, RpmError, damaged};

pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";

/// The first page begins with the header of the file.
const FILE_HEADER: usize = 100;
/// No page has less room.
const LEAST_USABLE: usize = 480;
const SCHEMA: u32 = 1;
const INTERIOR: u8 = 5;
const LEAF: u8 = 13;

/// Columns of the schema, and of the table.
const OBJECT_NAME: usize = 1;
const ROOT_PAGE: usize = 3;
const BLOB: usize = 1;

/// Visits the records.
pub(super) fn records(
    file: &impl FileExt,
    size: u64,
    start: &[u8; FILE_HEADER],
    visit: &mut dyn FnMut(&[u8]),
) -> Result<(), RpmError> {
    let page_size = match u16::from_be_bytes([start[16], start[17]]) {
        1 => 65536,
        size if size >= 512 && size.is_power_of_two() => usize::from(size),
        _ => return Err(RpmError::Form),
    };
    // Each page may end with bytes that are somebody else's.
    let usable = page_size - usize::from(start[20]);
    if usable < LEAST_USABLE {
        return Err(RpmError::Form);
    }
    let mut tables = Tables { file, page_size, usable, pages: size / page_size as u64, left: size * 2 };
    let mut root = None;
    tables.rows(SCHEMA, &mut |row| {
        if column(row, OBJECT_NAME) == Some(b"Packages") {
            root = column(row, ROOT_PAGE).and_then(number);
        }
        Some(())
    })?;
    let root = root.ok_or(RpmError::Form)?;
    tables.rows(root, &mut |row| column(row, BLOB).map(&mut *visit))
}

struct Tables<'a, F> {
    file: &'a F,
    page_size: usize,
    usable: usize,
    pages: u64,
    /// As many bytes may still be asked for.
    left: u64,
}

impl<F: FileExt> Tables<'_, F> {
    fn spend(&mut self, bytes: usize, page: u32) -> Result<(), RpmError> {
        self.left = self.left.checked_sub(bytes as u64).ok_or_else(|| damaged("page", page))?;
        Ok(())
    }

    fn page(&mut self, number: u32) -> Result<Vec<u8>, RpmError> {
        let before = u64::from(number).checked_sub(1).filter(|before| *before < self.pages);
        let before = before.ok_or_else(|| damaged("page", number))?;
        self.spend(self.page_size, number)?;
        let mut page = vec![0; self.page_size];
        self.file.read_exact_at(&mut page, before * self.page_size as u64)?;
        Ok(page)
    }

    /// Visits the rows of a table; `None` from the visitor means that a row is damaged.
    fn rows(&mut self, root: u32, visit: &mut dyn FnMut(&[u8]) -> Option<()>) -> Result<(), RpmError> {
        let mut pending = vec![root];
        while let Some(number) = pending.pop() {
            let page = self.page(number)?;
            let wrong = || damaged("page", number);
            let start = if number == SCHEMA { FILE_HEADER } else { 0 };
            let count = usize::from(u16_at(&page, start + 3).ok_or_else(wrong)?);
            let pointers = match page[start] {
                INTERIOR => start + 12,
                LEAF => start + 8,
                _ => return Err(wrong()),
            };
            if page[start] == INTERIOR {
                pending.push(u32_at(&page, start + 8).ok_or_else(wrong)?);
            }
            // From the last to the first, since what was pushed last is visited first.
            for cell in (0..count).rev() {
                let cell = usize::from(u16_at(&page, pointers + 2 * cell).ok_or_else(wrong)?);
                if page[start] == INTERIOR {
                    pending.push(u32_at(&page, cell).ok_or_else(wrong)?);
                } else {
                    visit(&self.payload(&page, cell, number)?).ok_or_else(wrong)?;
                }
            }
            if pending.len() as u64 > self.pages {
                return Err(wrong());
            }
        }
        Ok(())
    }

    /// The bytes of a row, from its page and the chain of pages behind it.
    fn payload(&mut self, page: &[u8], cell: usize, number: u32) -> Result<Vec<u8>, RpmError> {
        let wrong = || damaged("page", number);
        let (length, at) = varint(page, cell).ok_or_else(wrong)?;
        let (_row, at) = varint(page, at).ok_or_else(wrong)?;
        let length = usize::try_from(length).ok().filter(|length| *length as u64 <= LONGEST);
        let length = length.ok_or_else(wrong)?;
        let local = self.local(length);
        self.spend(local, number)?;
        let mut payload = page.get(at..at + local).ok_or_else(wrong)?.to_vec();
        let mut next = if local < length { u32_at(page, at + local) } else { None };
        while payload.len() < length {
            let page = self.page(next.ok_or_else(wrong)?)?;
            let take = (length - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(&page[4..4 + take]);
            next = u32_at(&page, 0);
        }
        Ok(payload)
    }

    /// How much of a row stands in its own page.
    fn local(&self, length: usize) -> usize {
        let (most, least) = (self.usable - 35, (self.usable - 12) * 32 / 255 - 23);
        let rest = least + length.saturating_sub(least) % (self.usable - 4);
        match (length <= most, rest <= most) {
            (true, _) => length,
            (false, true) => rest,
            (false, false) => least,
        }
    }
}

/// A value of a row: the types of all stand before the first.
fn column(row: &[u8], wanted: usize) -> Option<&[u8]> {
    let (types, mut at) = varint(row, 0)?;
    let types = usize::try_from(types).ok()?;
    let mut value = types;
    for column in 0.. {
        if at >= types {
            return None;
        }
        let (kind, next) = varint(row, at)?;
        let length = match kind {
            0 | 8..=11 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            12.. => (kind - 12) / 2,
        };
        let end = value.checked_add(usize::try_from(length).ok()?)?;
        if column == wanted {
            return row.get(value..end);
        }
        (at, value) = (next, end);
    }
    None
}

fn number(bytes: &[u8]) -> Option<u32> {
    let whole = bytes.iter().try_fold(0_u64, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte)));
    u32::try_from(whole?).ok()
}

/// Seven bits a byte, the highest first; a ninth byte counts whole.
fn varint(bytes: &[u8], start: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for at in 0..9 {
        let byte = *bytes.get(start + at)?;
        if at == 8 {
            return Some((value << 8 | u64::from(byte), start + 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, start + at + 1));
        }
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|two| u16::from_be_bytes(*two))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}
