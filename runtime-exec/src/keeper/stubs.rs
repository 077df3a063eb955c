//! Removing the mount points that were made for a step.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use defence::Defence;
use rustix::fs::{AtFlags, FileType, OFlags, Stat, fstat, statat, unlinkat};

use crate::step::resolve::{Kind, Stub, change_time, open_real, set_times};

/// Removes what is still as it was made, newest first. What the step used stays, and so do the
/// times of directories that lose an entry.
pub(super) fn remove(root: BorrowedFd<'_>, stubs: &[Stub]) {
    for stub in stubs.iter().rev() {
        // A stub that cannot be removed is one that the step moved or put to use.
        let _ = remove_one(root, stub);
    }
}

fn remove_one(root: BorrowedFd<'_>, stub: &Stub) -> rustix::io::Result<()> {
    let Some(name) = stub.path.file_name() else { return Ok(()) };
    let parent = open_real(root, stub.path.parent().unwrap_or(Path::new("")), OFlags::DIRECTORY)?;
    let found = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if !untouched(&found, stub) && defence::stands(Defence::StubsUntouched) {
        return Ok(());
    }
    let before = fstat(&parent)?;
    let flags = match stub.kind {
        Kind::Directory => AtFlags::REMOVEDIR,
        Kind::File => AtFlags::empty(),
    };
    unlinkat(&parent, name, flags)?;
    set_times(parent.as_fd(), &before)
}

/// A directory changes as entries come and go; that it is empty is left to the kernel to say.
fn untouched(found: &Stat, stub: &Stub) -> bool {
    let kind = FileType::from_raw_mode(found.st_mode);
    let same = found.st_ino == stub.inode;
    match stub.kind {
        Kind::Directory => {
            same && kind == FileType::Directory
                && found.st_mode & 0o7777 == 0o755
                && (found.st_uid, found.st_gid) == (0, 0)
        }
        Kind::File => {
            same && kind == FileType::RegularFile && found.st_size == 0 && change_time(found) == stub.changed
        }
    }
}
