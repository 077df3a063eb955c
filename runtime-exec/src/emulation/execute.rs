//! Executing programs: set-user-id and set-group-id files lend their owner and group.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{StatVfsMountFlags, fstatvfs};
use rustix::io::Errno;

use super::State;
use super::caller::{Caller, Links};
use super::credentials::SetId;
use super::stat::file_at;
use crate::sys::notify::Answer;

impl State {
    /// `execve`.
    pub(super) fn execute(&mut self, caller: &Caller<'_>) -> Result<Answer, Errno> {
        self.execute_file(caller, caller.file_at_path(Links::Follow))
    }

    /// `execveat`.
    pub(super) fn execute_at(&mut self, caller: &Caller<'_>) -> Result<Answer, Errno> {
        let file = file_at(caller, caller.word(4));
        self.execute_file(caller, file)
    }

    /// The kernel executes; only credentials are looked after. Whether it will succeed is not known
    /// yet: what a set-id file lends is given when its process is seen to run that file, so that an
    /// attempt that fails, or a script, which the kernel does not run under another user, gains nothing.
    fn execute_file(&mut self, caller: &Caller<'_>, file: Result<OwnedFd, Errno>) -> Result<Answer, Errno> {
        let Ok(file) = file else { return Ok(Answer::Continue) };
        let owner = self.owner(file.as_fd())?;
        if owner.mode & libc::S_IFMT != libc::S_IFREG || owner.mode & 0o111 == 0 {
            return Ok(Answer::Continue);
        }
        let set = SetId {
            user: (owner.mode & libc::S_ISUID != 0).then_some(owner.truth.0),
            group: (owner.mode & (libc::S_ISGID | 0o010) == libc::S_ISGID | 0o010).then_some(owner.truth.1),
        };
        let before = self.threads.of(&caller.desk.proc, caller.thread())?.clone();
        if set != SetId::default() && !gains_nothing(caller, &file)? {
            let lent = before.executed(set, self.bound);
            if lent != before {
                let found = rustix::fs::fstat(&file)?;
                let process = caller.process()?;
                return self
                    .threads
                    .set_when_executed(process, (found.st_dev, found.st_ino), lent)
                    .map(|()| Answer::Continue);
            }
        }
        let after = before.executed(SetId::default(), self.bound);
        if after != before {
            self.threads.set(&caller.desk.proc, caller.thread(), after)?;
        }
        Ok(Answer::Continue)
    }
}

fn gains_nothing(caller: &Caller<'_>, file: &OwnedFd) -> Result<bool, Errno> {
    let mount = fstatvfs(file)?.f_flag;
    Ok(mount.contains(StatVfsMountFlags::NOSUID) || caller.gains_nothing()?)
}
