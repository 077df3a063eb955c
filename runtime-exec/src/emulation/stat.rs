//! The calls that tell attributes.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::State;
use super::caller::{Caller, Links};
use super::files::errno;
use super::record::{KeptKind, Record};
use crate::sys::notify::Answer;
use crate::sys::status;

/// Flags of `statx` that are about freshness.
const FRESHNESS: u32 = (libc::AT_STATX_FORCE_SYNC | libc::AT_STATX_DONT_SYNC) as u32;

impl State {
    /// `stat`, `lstat`.
    pub(super) fn stat_path(&self, caller: &Caller<'_>, links: Links) -> Result<Answer, Errno> {
        let file = caller.file_at_path(links);
        self.stat(caller, file, caller.argument(1))
    }

    /// `fstat`.
    pub(super) fn stat_file(&self, caller: &Caller<'_>) -> Result<Answer, Errno> {
        self.stat(caller, caller.file(caller.word(0) as i32), caller.argument(1))
    }

    /// `newfstatat`.
    pub(super) fn stat_at(&self, caller: &Caller<'_>) -> Result<Answer, Errno> {
        self.stat(caller, file_at(caller, caller.word(3)), caller.argument(2))
    }

    /// Where nothing is recorded, or something is wrong, the kernel's own answer is the right one.
    fn stat(&self, caller: &Caller<'_>, file: Result<OwnedFd, Errno>, to: u64) -> Result<Answer, Errno> {
        let Ok(file) = file else { return Ok(Answer::Continue) };
        let Some(record) = self.record(file.as_fd())? else { return Ok(Answer::Continue) };
        let mut found = status::stat(file.as_fd()).map_err(|error| errno(&error))?;
        (found.st_uid, found.st_gid) = record.owner((found.st_uid, found.st_gid));
        if let Some((kind, (major, minor))) = special(&record, found.st_mode, found.st_size == 0) {
            found.st_mode = found.st_mode & !libc::S_IFMT | kind;
            found.st_rdev = libc::makedev(major, minor);
        }
        caller.write(to, status::stat_bytes(&found))?;
        Ok(Answer::Value(0))
    }

    /// `statx`.
    pub(super) fn statx(&self, caller: &Caller<'_>) -> Result<Answer, Errno> {
        let (flags, mask, to) = (caller.word(2), caller.word(3), caller.argument(4));
        let Ok(file) = file_at(caller, flags) else { return Ok(Answer::Continue) };
        let Some(record) = self.record(file.as_fd())? else { return Ok(Answer::Continue) };
        let found = status::statx(file.as_fd(), (flags & FRESHNESS) as i32, mask | libc::STATX_BASIC_STATS);
        let mut found = found.map_err(|error| errno(&error))?;
        (found.stx_uid, found.stx_gid) = record.owner((found.stx_uid, found.stx_gid));
        let mode = u32::from(found.stx_mode);
        if let Some((kind, (major, minor))) = special(&record, mode, found.stx_size == 0) {
            found.stx_mode = (mode & !libc::S_IFMT | kind) as u16;
            (found.stx_rdev_major, found.stx_rdev_minor) = (major, minor);
        }
        caller.write(to, status::statx_bytes(&found))?;
        Ok(Answer::Value(0))
    }
}

/// The file of a call whose arguments begin with directory and path.
pub(super) fn file_at(caller: &Caller<'_>, flags: u32) -> Result<OwnedFd, Errno> {
    let links = match flags & libc::AT_SYMLINK_NOFOLLOW as u32 {
        0 => Links::Follow,
        _ => Links::Leave,
    };
    let directory = caller.word(0) as i32;
    if flags & libc::AT_EMPTY_PATH as u32 != 0 {
        let nothing = caller.argument(1) == 0;
        let path = if nothing { c"".to_owned() } else { caller.text(caller.argument(1))? };
        return match (path.is_empty(), directory) {
            (true, libc::AT_FDCWD) => caller.place_of(directory, c".".to_owned())?.open(links),
            (true, _) => caller.file(directory),
            (false, _) => caller.place_of(directory, path)?.open(links),
        };
    }
    caller.place(directory, caller.argument(1))?.open(links)
}

/// Type and device numbers of the special file for which a file stands.
fn special(record: &Record, mode: u32, empty: bool) -> Option<(u32, (u32, u32))> {
    let stands = mode & libc::S_IFMT == libc::S_IFREG && empty;
    record.kind.filter(|_| stands).map(|kind| match kind {
        KeptKind::Fifo => (libc::S_IFIFO, (0, 0)),
        KeptKind::CharDevice { major, minor } => (libc::S_IFCHR, (major, minor)),
        KeptKind::BlockDevice { major, minor } => (libc::S_IFBLK, (major, minor)),
    })
}
