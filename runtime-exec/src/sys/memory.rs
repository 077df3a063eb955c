//! Reading and writing the memory of another process.

use std::ffi::c_void;
use std::io;

/// Smallest page of any machine: what is mapped is so to the end of such a page.
const PAGE: u64 = 4096;

/// Reads up to `buffer.len()` bytes at `address`; fewer where what follows is not mapped.
pub(crate) fn read(process: i32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = pages(address, buffer.len() as u64);
    // SAFETY: `local` describes `buffer`, which the call writes; the other vector's addresses are the
    // other process's and are checked by the kernel.
    let count = unsafe {
        libc::process_vm_readv(
            process,
            &raw const local,
            1,
            remote.as_ptr(),
            remote.len() as libc::c_ulong,
            0,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Writes all of `bytes` at `address`.
pub(crate) fn write(process: i32, address: u64, bytes: &[u8]) -> io::Result<()> {
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: pointer(address), iov_len: bytes.len() };
    // SAFETY: `local` describes `bytes`, which the call only reads; the address of the other vector is
    // the other process's and is checked by the kernel.
    let count = unsafe { libc::process_vm_writev(process, &raw const local, 1, &raw const remote, 1, 0) };
    match usize::try_from(count) {
        Ok(count) if count == bytes.len() => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

fn pointer(address: u64) -> *mut c_void {
    std::ptr::without_provenance_mut(address as usize)
}

/// A range in pieces that end with pages: what the kernel reads is counted in whole pieces.
fn pages(address: u64, length: u64) -> Vec<libc::iovec> {
    let end = address.saturating_add(length);
    let mut pieces = Vec::new();
    let mut at = address;
    while at < end {
        let next = (at / PAGE + 1).saturating_mul(PAGE).min(end);
        pieces.push(libc::iovec { iov_base: pointer(at), iov_len: (next - at) as usize });
        at = next;
    }
    pieces
}
