//! Copies file content: shared blocks, in-kernel copies, and holes instead of zeros.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{copy_file_range, ftruncate, ioctl_ficlone, seek};
use rustix::io::{Errno, retry_on_intr};

use crate::Store;
use crate::error::{At, Result, StoreError};
use crate::stop::Stop;

const BUFFER: usize = 128 << 10;
/// What is copied before the next look at whether to stop.
const AT_ONCE: usize = 16 << 20;
/// Runs of zeros shorter than this are written, longer ones become holes.
const HOLE: usize = 64 << 10;

/// The parts of a file that hold data, as start and end.
pub(crate) struct DataRanges<'a> {
    file: &'a File,
    at: u64,
    size: u64,
}

impl<'a> DataRanges<'a> {
    pub(crate) fn of(file: &'a File, size: u64) -> Self {
        Self { file, at: 0, size }
    }
}

impl Iterator for DataRanges<'_> {
    type Item = io::Result<(u64, u64)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.size {
            return None;
        }
        let start = match seek(self.file, rustix::fs::SeekFrom::Data(self.at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return None,
            // The file system knows no holes.
            Err(Errno::INVAL | Errno::NOTSUP) => self.at,
            Err(error) => {
                self.at = self.size;
                return Some(Err(error.into()));
            }
        };
        let end = seek(self.file, rustix::fs::SeekFrom::Hole(start)).unwrap_or(self.size).min(self.size);
        self.at = end.max(start + 1);
        (start < self.size).then_some(Ok((start, end)))
    }
}

impl Store {
    /// Copies a whole file into an empty one: shared blocks where that can be, holes kept.
    pub fn copy_file(&self, from: &File, to: &File) -> io::Result<()> {
        copy_file(from, to, self.stopping())
    }
}

/// Copies a whole file into an empty one.
pub(crate) fn copy_file(from: &File, to: &File, stop: &Stop) -> io::Result<()> {
    let size = from.metadata()?.len();
    if size <= HOLE as u64 {
        return copy_small(from, to, size as usize);
    }
    if ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let mut end_of_data = 0;
    for range in DataRanges::of(from, size) {
        let (start, end) = range?;
        copy_range(from, to, start, end, stop)?;
        end_of_data = end;
    }
    if end_of_data < size { Ok(ftruncate(to, size)?) } else { Ok(()) }
}

/// A file in which no hole is worth keeping: read and written as a whole, which costs less calls than anything
/// that shares.
fn copy_small(from: &File, mut to: &File, size: usize) -> io::Result<()> {
    // One more byte shows the end without another call.
    let mut bytes = Vec::with_capacity(size + 1);
    loop {
        let before = bytes.len();
        let count = retry_on_intr(|| rustix::io::pread(from, spare_capacity(&mut bytes), before as u64))?;
        if count == 0 || (bytes.len() >= size && bytes.len() < bytes.capacity()) {
            return to.write_all(&bytes);
        }
        bytes.reserve(1);
    }
}

fn copy_range(from: &File, to: &File, start: u64, end: u64, stop: &Stop) -> io::Result<()> {
    let (mut read_at, mut write_at) = (start, start);
    while read_at < end {
        stop.check()?;
        let wanted = usize::try_from(end - read_at).unwrap_or(usize::MAX).min(AT_ONCE);
        match copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), wanted) {
            // The file became shorter.
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::IO) => {
                return copy_range_by_hand(from, to, read_at, end, stop);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_range_by_hand(mut from: &File, mut to: &File, start: u64, end: u64, stop: &Stop) -> io::Result<()> {
    from.seek(SeekFrom::Start(start))?;
    to.seek(SeekFrom::Start(start))?;
    let mut left = end - start;
    while left > 0 {
        stop.check()?;
        match io::copy(&mut from.take(left.min(AT_ONCE as u64)), &mut to)? {
            // The file became shorter.
            0 => return Ok(()),
            count => left -= count,
        }
    }
    Ok(())
}

/// Copies a stream into an empty file; long runs of zeros become holes. Returns the length.
pub(crate) fn copy_reader(from: &mut dyn Read, to: &File, path: &Path) -> Result<u64> {
    let mut buffer = vec![0u8; BUFFER];
    let mut size = 0u64;
    loop {
        let filled = fill(from, &mut buffer).map_err(|source| StoreError::Stream { source })?;
        for piece in buffer[..filled].chunks(HOLE) {
            write_piece(to, piece).at(path)?;
        }
        size += filled as u64;
        if filled < buffer.len() {
            break;
        }
    }
    if size > 0 {
        ftruncate(to, size).at(path)?;
    }
    Ok(size)
}

fn write_piece(mut to: &File, piece: &[u8]) -> io::Result<()> {
    if piece.len() == HOLE && is_zero(piece) {
        to.seek(SeekFrom::Current(HOLE as i64))?;
        Ok(())
    } else {
        to.write_all(piece)
    }
}

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|piece| piece.iter().fold(0, |all, byte| all | byte) == 0)
}

/// Reads until the buffer is full or the stream ends.
pub(crate) fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
