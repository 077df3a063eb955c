//! Lists of extended attributes: ours are not for the step, whose copying programs would copy them.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::listxattr;
use rustix::io::Errno;

use super::State;
use super::caller::{Caller, Links, own};
use super::record::OURS;
use crate::sys::notify::Answer;

/// No list is longer.
const LONGEST: usize = 64 << 10;

impl State {
    /// `listxattr`, `llistxattr`.
    pub(super) fn list_path(&self, caller: &Caller<'_>, links: Links) -> Result<Answer, Errno> {
        let file = caller.file_at_path(links);
        list(caller, file)
    }

    /// `flistxattr`.
    pub(super) fn list_file(&self, caller: &Caller<'_>) -> Result<Answer, Errno> {
        list(caller, caller.file(caller.word(0) as i32))
    }
}

fn list(caller: &Caller<'_>, file: Result<OwnedFd, Errno>) -> Result<Answer, Errno> {
    let Ok(file) = file else { return Ok(Answer::Continue) };
    let mut names = vec![0; LONGEST];
    let Ok(length) = listxattr(own(file.as_fd()), &mut names[..]) else { return Ok(Answer::Continue) };
    names.truncate(length);
    let (ours, others): (Vec<&[u8]>, Vec<&[u8]>) =
        names.split_inclusive(|byte| *byte == 0).partition(|name| name.starts_with(OURS));
    if ours.is_empty() {
        return Ok(Answer::Continue);
    }
    let others = others.concat();
    let size = usize::try_from(caller.argument(2)).unwrap_or(usize::MAX);
    if size > 0 {
        if size < others.len() {
            return Err(Errno::RANGE);
        }
        caller.write(caller.argument(1), &others)?;
    }
    Ok(Answer::Value(others.len() as i64))
}
