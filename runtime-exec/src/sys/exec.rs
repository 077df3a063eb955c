//! Replacing this process by a program.

use std::ffi::{CString, c_char};
use std::io;
use std::ptr;

/// Executes the file at `path`; returns only with an error. Keeps the order of `env`.
pub(crate) fn execve(path: &CString, args: &[CString], env: &[CString]) -> io::Error {
    let args = pointers(args);
    let env = pointers(env);
    // SAFETY: all three are C strings or null-terminated arrays of them, and outlive the call, which
    // only reads them.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
}
