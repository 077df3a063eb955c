//! A step that failed for want of room on the disk.

use std::io;
use std::path::Path;

use super::error::ExecError;

/// Less room than this is none: programs write in blocks and buffers.
const NOTHING: u64 = 64 * 1024;

/// Adds to a failure that the disk below a directory is full, where it is. A program tells only in
/// its own words, if at all, why a write failed.
pub(super) fn explain(ended: ExecError, dir: &Path) -> ExecError {
    if !is_full(dir) {
        return ended;
    }
    ExecError::DiskFull {
        ended: Box::new(ended),
        path: dir.to_owned(),
        source: io::Error::from(io::ErrorKind::StorageFull),
    }
}

fn is_full(dir: &Path) -> bool {
    let Ok(facts) = rustix::fs::statvfs(dir) else { return false };
    let no_files = facts.f_files > 0 && facts.f_favail == 0;
    facts.f_blocks > 0 && facts.f_bavail.saturating_mul(facts.f_frsize) < NOTHING || no_files
}
