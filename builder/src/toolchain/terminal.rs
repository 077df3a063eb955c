//! The caller's terminal, joined with that of a container.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

const PIECE: usize = 8 * 1024;
/// How often the size of the window is looked at, in milliseconds.
const LOOK: i64 = 250;

/// Puts the caller's terminal back as it was.
struct Raw<'a> {
    terminal: &'a OwnedFd,
    before: Termios,
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// Copies between the caller's terminal (`input`, `output`) and a container's until the latter is
/// closed. The caller's terminal is in raw mode meanwhile, and its size is passed on.
pub fn attach(input: OwnedFd, output: OwnedFd, container: OwnedFd) -> io::Result<()> {
    let raw = raw(&input)?;
    let mut keyboard = File::from(input.try_clone()?);
    let mut screen = File::from(output);
    let mut inside = File::from(container);
    let mut buffer = vec![0; PIECE];
    let mut typing = true;
    loop {
        if let Ok(size) = tcgetwinsize(&input) {
            let _ = tcsetwinsize(&inside, size);
        }
        let (typed, shown) = wait(&keyboard, &inside, typing)?;
        if shown {
            match inside.read(&mut buffer) {
                Ok(count) if count > 0 => {
                    screen.write_all(&buffer[..count])?;
                    screen.flush()?;
                }
                // The other side of a pseudo terminal that is closed reads as EIO.
                Ok(_) | Err(_) => break,
            }
        }
        if typed {
            let count = keyboard.read(&mut buffer)?;
            typing = count > 0;
            inside.write_all(&buffer[..count])?;
        }
    }
    drop(raw);
    Ok(())
}

fn raw(terminal: &OwnedFd) -> io::Result<Raw<'_>> {
    let before = tcgetattr(terminal)?;
    let mut raw = before.clone();
    raw.make_raw();
    tcsetattr(terminal, OptionalActions::Drain, &raw)?;
    Ok(Raw { terminal, before })
}

/// Which of the two has something to read.
fn wait(keyboard: &File, inside: &File, typing: bool) -> io::Result<(bool, bool)> {
    let mut fds = vec![PollFd::from_borrowed_fd(inside.as_fd(), PollFlags::IN)];
    if typing {
        fds.push(PollFd::from_borrowed_fd(keyboard.as_fd(), PollFlags::IN));
    }
    let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: LOOK * 1_000_000 };
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok((false, false)),
        Err(error) => return Err(error.into()),
    }
    let ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
    Ok((ready(1), ready(0)))
}
