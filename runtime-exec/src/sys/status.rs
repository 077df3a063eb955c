//! File attributes in the form in which the kernel hands them to programs.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What `stat` and its kin tell of an open file.
pub(crate) fn stat(file: BorrowedFd<'_>) -> io::Result<libc::stat> {
    // SAFETY: all-zero bytes are a valid `stat`; the call fills it; the path is an empty C string.
    unsafe {
        let mut found: libc::stat = mem::zeroed();
        match libc::fstatat(file.as_raw_fd(), c"".as_ptr(), &raw mut found, libc::AT_EMPTY_PATH) {
            0 => Ok(found),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// What `statx` tells of an open file, with the caller's flags about freshness and its mask.
pub(crate) fn statx(file: BorrowedFd<'_>, flags: i32, mask: u32) -> io::Result<libc::statx> {
    // SAFETY: all-zero bytes are a valid `statx`; the call fills it; the path is an empty C string.
    unsafe {
        let mut found: libc::statx = mem::zeroed();
        let flags = flags | libc::AT_EMPTY_PATH;
        match libc::statx(file.as_raw_fd(), c"".as_ptr(), flags, mask, &raw mut found) {
            0 => Ok(found),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// The kernel's own bytes of a structure that it filled.
pub(crate) fn stat_bytes(found: &libc::stat) -> &[u8] {
    // SAFETY: the structure is of plain numbers, and was zeroed before it was filled, so that each of
    // its bytes has a value.
    unsafe { std::slice::from_raw_parts((&raw const *found).cast(), mem::size_of::<libc::stat>()) }
}

/// The same for `statx`.
pub(crate) fn statx_bytes(found: &libc::statx) -> &[u8] {
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts((&raw const *found).cast(), mem::size_of::<libc::statx>()) }
}
