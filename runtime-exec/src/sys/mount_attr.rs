//! `mount_setattr`: attributes of a mount or of a whole tree of mounts.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// No writes through the mount.
pub(crate) const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
/// Set-user-id bits have no effect.
pub(crate) const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
/// Device nodes have no effect.
pub(crate) const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
/// Nothing can be executed.
pub(crate) const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// How far attributes reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The mount itself.
    ThisOnly,
    /// It and all below it.
    Tree,
}
pub(crate) use Reach::{ThisOnly, Tree};

/// Adds `attributes` to the mount behind `mount`.
pub(crate) fn set(mount: BorrowedFd<'_>, attributes: u64, reach: Reach) -> io::Result<()> {
    let change = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH
        | match reach {
            Reach::ThisOnly => 0,
            Reach::Tree => libc::AT_RECURSIVE,
        };
    // SAFETY: the path is an empty C string, `change` is a valid `mount_attr` of the size given, and
    // both outlive the call, which only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
