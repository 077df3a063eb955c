//! Descriptors 0 to 2, and the terminal behind them where one is wanted.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use defence::Defence;
use rustix::fs::{FileType, Mode, OFlags, Uid, fchown, fstat, openat};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::devices::console_place;
use super::resolve::RootDir;
use super::tree::{self, Below};
use super::{At, StepFds};
use crate::error::{Failure, Stage};
use crate::spec::{ProcessSpec, Terminal};

/// Makes a terminal of the sandbox, if wanted, and puts it in the place of `fds`; returns the side
/// that stays outside.
pub(super) fn open(
    spec: &ProcessSpec,
    root: &RootDir,
    pts: BorrowedFd<'_>,
    fds: &mut StepFds,
) -> Result<Option<OwnedFd>, Failure> {
    match spec.terminal {
        Terminal::None => Ok(None),
        Terminal::New { rows, columns } => {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            make(root, pts, size, fds).map(Some).at(Stage::Terminal, "/dev/pts")
        }
    }
}

fn make(root: &RootDir, pts: BorrowedFd<'_>, size: Winsize, fds: &mut StepFds) -> io::Result<OwnedFd> {
    let outside = openat(pts, "ptmx", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    unlockpt(&outside)?;
    tcsetwinsize(&outside, size)?;
    let inside = ioctl_tiocgptpeer(&outside, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::process::ioctl_tiocsctty(&inside)?;
    tree::put(tree::view(inside.as_fd(), Below::Left)?, console_place(root)?)?;
    *fds = StepFds { stdin: inside.try_clone()?, stdout: inside.try_clone()?, stderr: inside };
    Ok(outside)
}

/// Puts the descriptors at 0 to 2, and lets the step's user reopen them through `/dev/stdout`. The host's
/// `/dev/null` is not among them: through a descriptor, root inside could change its owner and mode.
pub(super) fn install(fds: &mut StepFds, uid: u32) -> io::Result<()> {
    for fd in [&mut fds.stdin, &mut fds.stdout, &mut fds.stderr] {
        let found = fstat(&*fd)?;
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind == FileType::Directory && defence::stands(Defence::NoDirectoryAsStdio) {
            // All that lies below it, and above, would be open to the step.
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let is_null = kind == FileType::CharacterDevice && found.st_rdev == rustix::fs::makedev(1, 3);
        if is_null && defence::stands(Defence::NullReplaced) {
            *fd = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        }
    }
    for fd in [&fds.stdin, &fds.stdout, &fds.stderr] {
        let found = fstat(fd)?;
        let ours = match FileType::from_raw_mode(found.st_mode) {
            FileType::Fifo => true,
            FileType::CharacterDevice => {
                (136..144).contains(&rustix::fs::major(found.st_rdev)) && owned_by_us(fd)
            }
            FileType::RegularFile
            | FileType::Directory
            | FileType::Symlink
            | FileType::Socket
            | FileType::BlockDevice
            | FileType::Unknown => false,
        };
        if ours && found.st_uid != uid {
            // A pipe of another user namespace keeps its owner.
            let _ = fchown(fd, Some(Uid::from_raw(uid)), None);
        }
    }
    rustix::stdio::dup2_stdin(&fds.stdin)?;
    rustix::stdio::dup2_stdout(&fds.stdout)?;
    rustix::stdio::dup2_stderr(&fds.stderr)?;
    Ok(())
}

/// Only the terminal that was made above belongs to this session; a user's own stays untouched.
fn owned_by_us(terminal: &OwnedFd) -> bool {
    rustix::termios::tcgetsid(terminal).is_ok_and(|session| session == rustix::process::getpid())
}
