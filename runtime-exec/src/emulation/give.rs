//! The calls that change owners.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Uid, chownat};
use rustix::io::Errno;

use super::State;
use super::caller::{Caller, Links};
use super::credentials::NONE;
use super::stat::file_at;
use crate::sys::notify::Answer;

impl State {
    /// `chown`, `lchown`.
    pub(super) fn give_path(&mut self, caller: &Caller<'_>, links: Links) -> Result<Answer, Errno> {
        let file = caller.file_at_path(links)?;
        self.give(caller, file, (caller.word(1), caller.word(2)))
    }

    /// `fchown`.
    pub(super) fn give_file(&mut self, caller: &Caller<'_>) -> Result<Answer, Errno> {
        let file = caller.file(caller.word(0) as i32)?;
        self.give(caller, file, (caller.word(1), caller.word(2)))
    }

    /// `fchownat`.
    pub(super) fn give_at(&mut self, caller: &Caller<'_>) -> Result<Answer, Errno> {
        let known = (libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) as u32;
        if caller.word(4) & !known != 0 {
            return Err(Errno::INVAL);
        }
        let file = file_at(caller, caller.word(4))?;
        self.give(caller, file, (caller.word(2), caller.word(3)))
    }

    /// The file is really given to the one user that there is, which shows whether it can be, takes
    /// set-id bits and capabilities from it, and copies it up; then it is recorded to whom it belongs.
    fn give(
        &mut self,
        caller: &Caller<'_>,
        file: OwnedFd,
        (user, group): (u32, u32),
    ) -> Result<Answer, Errno> {
        let owner = self.owner(file.as_fd())?;
        let who = self.threads.of(&caller.desk.proc, caller.thread())?;
        if !who.may_give(owner.truth, (user, group)) {
            return Err(Errno::PERM);
        }
        let only = |id: u32| (id != NONE).then_some(0);
        let (real_user, real_group) = (only(user).map(Uid::from_raw), only(group).map(Gid::from_raw));
        chownat(&file, "", real_user, real_group, AtFlags::EMPTY_PATH)?;
        let shown = self.owner(file.as_fd())?.shown;
        let choose = |asked: u32, before: u32| if asked == NONE { before } else { asked };
        let truth = (choose(user, owner.truth.0), choose(group, owner.truth.1));
        let mut record = owner.record.clone();
        record.give(truth, shown);
        if record != owner.record {
            self.set_record(file.as_fd(), record)?;
        }
        Ok(Answer::Value(0))
    }
}
