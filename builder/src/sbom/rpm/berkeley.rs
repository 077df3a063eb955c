//! The file `Packages` of a hash of Berkeley DB, in the byte order of the machine that made it.
//!
//! Pages hold keys and values in turn; a long value is a chain of pages of its own.

use std::os::unix::fs::FileExt;

use super::{LONGEST, RpmError, damaged};

const MAGIC: u32 = 0x0006_1561;

/// In the first page: the number of the last.
const LAST_PAGE: usize = 32;
/// What a page begins with.
const PAGE_HEADER: usize = 26;
const NEXT_PAGE: usize = 16;
const ENTRIES: usize = 20;
const FREE: usize = 22;
const PAGE_TYPE: usize = 25;

/// Types of pages.
const HASH_UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const HASH: u8 = 13;

/// Types of values.
const IN_PAGE: u8 = 1;
const IN_CHAIN: u8 = 3;

/// The record that counts the others is a number.
const NUMBER: usize = 4;

/// The order of bytes in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    fn u16_at(self, bytes: &[u8], at: usize) -> Option<u16> {
        let two = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(two),
            Self::Big => u16::from_be_bytes(two),
        })
    }

    fn u32_at(self, bytes: &[u8], at: usize) -> Option<u32> {
        let four = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(four),
            Self::Big => u32::from_be_bytes(four),
        })
    }
}

/// The order in which a file is written that begins so, if it is a hash.
pub(super) fn order(start: &[u8]) -> Option<Order> {
    [Order::Little, Order::Big].into_iter().find(|order| order.u32_at(start, 12) == Some(MAGIC))
}

/// Visits the records.
pub(super) fn records(
    file: &impl FileExt,
    size: u64,
    start: &[u8],
    order: Order,
    visit: &mut dyn FnMut(&[u8]),
) -> Result<(), RpmError> {
    let page_size = order.u32_at(start, 20).filter(|size| (512..=65536).contains(size));
    let page_size = page_size.filter(|size| size.is_power_of_two()).ok_or(RpmError::Form)?;
    let pages = u32::try_from(size / u64::from(page_size)).map_err(|_| RpmError::Form)?;
    let last = order.u32_at(start, LAST_PAGE).filter(|last| *last < pages);
    last.ok_or_else(|| damaged("page", pages))?;
    let mut hash = Hash { file, order, page_size: page_size as usize, pages, left: pages };
    for number in 1..pages {
        let page = hash.page(number)?;
        if matches!(page[PAGE_TYPE], HASH | HASH_UNSORTED) {
            hash.values(&page, number, visit)?;
        }
    }
    Ok(())
}

struct Hash<'a, F> {
    file: &'a F,
    order: Order,
    page_size: usize,
    pages: u32,
    /// As many pages of chains may still be read, since each belongs to one.
    left: u32,
}

impl<F: FileExt> Hash<'_, F> {
    fn page(&self, number: u32) -> Result<Vec<u8>, RpmError> {
        if number >= self.pages {
            return Err(damaged("page", number));
        }
        let mut page = vec![0; self.page_size];
        self.file.read_exact_at(&mut page, u64::from(number) * self.page_size as u64)?;
        Ok(page)
    }

    fn values(&mut self, page: &[u8], number: u32, visit: &mut dyn FnMut(&[u8])) -> Result<(), RpmError> {
        let wrong = || damaged("page", number);
        let place = |entry: usize| self.order.u16_at(page, PAGE_HEADER + 2 * entry).map(usize::from);
        let entries = self.order.u16_at(page, ENTRIES).map_or(0, usize::from);
        // Entries are written from the end of the page on: each ends where the one before begins.
        let places = (0..entries).map(place).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
        for pair in places.chunks_exact(2) {
            let value = page.get(pair[1]..pair[0]).ok_or_else(wrong)?;
            match value.first() {
                Some(&IN_PAGE) if value.len() > 1 + NUMBER => visit(&value[1..]),
                Some(&IN_PAGE) => {}
                Some(&IN_CHAIN) => {
                    let first = self.order.u32_at(value, 4).ok_or_else(wrong)?;
                    let length = self.order.u32_at(value, 8).ok_or_else(wrong)?;
                    visit(&self.chain(first, length)?);
                }
                Some(_) | None => return Err(wrong()),
            }
        }
        Ok(())
    }

    /// A value of some length, from a page on.
    fn chain(&mut self, first: u32, length: u32) -> Result<Vec<u8>, RpmError> {
        let (mut number, mut bytes) = (first, Vec::new());
        let length = length as usize;
        if length as u64 > LONGEST {
            return Err(damaged("page", first));
        }
        while bytes.len() < length {
            let wrong = || damaged("page", number);
            self.left = self.left.checked_sub(1).ok_or_else(wrong)?;
            let page = self.page(number)?;
            let end = PAGE_HEADER + self.order.u16_at(&page, FREE).map_or(0, usize::from);
            let part = page.get(PAGE_HEADER..end).ok_or_else(wrong)?;
            if page[PAGE_TYPE] != OVERFLOW || part.is_empty() {
                return Err(wrong());
            }
            bytes.extend_from_slice(&part[..part.len().min(length - bytes.len())]);
            number = self.order.u32_at(&page, NEXT_PAGE).ok_or_else(wrong)?;
        }
        Ok(bytes)
    }
}
