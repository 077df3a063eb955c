//! Extended attributes of context entries.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{fgetxattr, flistxattr};
use rustix::io::Errno;

const MOST: usize = 64 * 1024;

/// The attributes of an open file or directory that belong into an image. What cannot be read does
/// not exist: file systems without attributes are common.
pub(super) fn read(fd: BorrowedFd<'_>) -> BTreeMap<OsString, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut names = [0u8; 1024];
    let names = match flistxattr(fd, &mut names[..]) {
        Ok(length) => names[..length].to_vec(),
        Err(Errno::RANGE) => long_list(fd),
        Err(_) => return found,
    };
    for name in names.split(|&byte| byte == 0).filter(|name| kept(name)) {
        let mut value = vec![0u8; MOST];
        if let Ok(length) = fgetxattr(fd, OsStr::from_bytes(name), &mut value[..]) {
            value.truncate(length);
            found.insert(OsStr::from_bytes(name).to_owned(), value);
        }
    }
    found
}

fn long_list(fd: BorrowedFd<'_>) -> Vec<u8> {
    let mut names = vec![0u8; MOST];
    let length = flistxattr(fd, &mut names[..]).unwrap_or(0);
    names.truncate(length);
    names
}

/// `user.*` and file capabilities; labels, access lists and what tools of this machine leave behind
/// (this store's own attributes among them) stay outside.
fn kept(name: &[u8]) -> bool {
    name == b"security.capability"
        || (name.starts_with(b"user.")
            && !name.starts_with(b"user.rbuild.")
            && !name.starts_with(b"user.overlay."))
}
