//! Joining the user's terminal to a step's.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::channel::retry;

/// How often the size of the user's terminal is looked at.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Copies what the user types to a step's terminal ([`Running::take_terminal`](crate::Running::take_terminal))
/// and what the step prints to the user's, and follows changes of the size, until the step has
/// closed its side. The user's terminal passes every key on meanwhile, and is as before afterwards.
pub fn relay_terminal(step: OwnedFd, input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> io::Result<()> {
    let _raw = Raw::set(input)?;
    let mut typing = true;
    let mut size = tcgetwinsize(output).ok();
    loop {
        let now = tcgetwinsize(output).ok();
        if let Some(new) =
            now.filter(|new| size.is_none_or(|old| (old.ws_row, old.ws_col) != (new.ws_row, new.ws_col)))
        {
            tcsetwinsize(&step, new)?;
            size = now;
        }
        let mut fds = vec![PollFd::new(&step, PollFlags::IN)];
        if typing {
            fds.push(PollFd::new(&input, PollFlags::IN));
        }
        match poll(&mut fds, Some(&LOOK)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready.first() == Some(&true) && !copy(step.as_fd(), output)? {
            return Ok(());
        }
        if ready.get(1) == Some(&true) {
            typing = copy(input, step.as_fd())?;
        }
    }
}

/// Copies what is there; `false` at the end, which for a terminal is an error of its own.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    let count = match retry(|| rustix::io::read(from, &mut buffer)) {
        Ok(0) | Err(Errno::IO) => return Ok(false),
        other => other?,
    };
    let mut rest = buffer.get(..count).unwrap_or_default();
    while !rest.is_empty() {
        let written = match retry(|| rustix::io::write(to, rest)) {
            Err(Errno::IO) => return Ok(false),
            other => other?,
        };
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(true)
}

/// A terminal that passes every key on; restored when dropped.
struct Raw<'a> {
    terminal: BorrowedFd<'a>,
    before: Option<Termios>,
}

impl Raw<'_> {
    /// Something that is no terminal stays as it is.
    fn set(terminal: BorrowedFd<'_>) -> io::Result<Raw<'_>> {
        let before = match tcgetattr(terminal) {
            Err(Errno::NOTTY) => None,
            other => Some(other?),
        };
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(terminal, OptionalActions::Now, &raw)?;
        }
        Ok(Raw { terminal, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs no settings.
            let _ = tcsetattr(self.terminal, OptionalActions::Now, before);
        }
    }
}
