//! A system call filter that asks a listener, and the listener's side of it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::seccomp::{Instruction, header};

/// The kernel's structures may grow; they are read into more room than any kernel needs so far.
const ROOM: usize = 256;
/// A call that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notification {
    /// Names this one call.
    pub(crate) id: u64,
    /// The thread, as this process's pid namespace numbers it.
    pub(crate) thread: i32,
    /// The number of the call.
    pub(crate) number: i64,
    /// Its arguments.
    pub(crate) arguments: [u64; 6],
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The kernel does it.
    Continue,
    /// It was done, with this result.
    Value(i64),
    /// It fails with this error number.
    Fail(i32),
    /// It was answered already, with a file.
    Given,
}

/// Installs `program` for this thread and what it executes; what it asks arrives at the descriptor.
/// `EBUSY`: a listener stands already.
pub(crate) fn install(program: &[Instruction]) -> io::Result<OwnedFd> {
    let header = header(program)?;
    // A call that was received is interrupted by fatal signals alone (Linux 5.19): what was done for it
    // is not done twice.
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER
        | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
        | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: `header` describes `program`; both outlive the call, which copies them.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER),
            flags,
            &raw const header,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel made this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Lets caller and listener follow each other on one processor (Linux 6.6; else nothing changes).
pub(crate) fn stay_together(listener: BorrowedFd<'_>) {
    const SYNC_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: the request takes a number and touches no memory.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
}

/// The next call; waits for it. `ENOENT`: its thread was killed meanwhile.
pub(crate) fn receive(listener: BorrowedFd<'_>) -> io::Result<Notification> {
    #[repr(C, align(8))]
    struct Room([u8; ROOM]);
    let mut room = Room([0; ROOM]);
    // SAFETY: the kernel writes its `seccomp_notif`, which is shorter than the room, and the room is
    // zeroed and aligned as it asks.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut room) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the room begins with a structure of plain numbers, which is shorter and aligned.
    let found: libc::seccomp_notif = unsafe { std::ptr::read((&raw const room).cast()) };
    Ok(Notification {
        id: found.id,
        thread: found.pid as i32,
        number: i64::from(found.data.nr),
        arguments: found.data.args,
    })
}

/// Answers a call. One whose thread is gone needs no answer.
pub(crate) fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> io::Result<()> {
    let (val, error, flags) = match answer {
        Answer::Continue => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        Answer::Value(value) => (value, 0, 0),
        Answer::Fail(errno) => (0, -errno, 0),
        Answer::Given => return Ok(()),
    };
    let mut response = libc::seccomp_notif_resp { id, val, error, flags };
    // SAFETY: `response` is the structure that the request reads, and outlives it.
    match unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            gone if gone.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            error => Err(error),
        },
    }
}

/// Whether a call still waits, and thus its thread's number still means that thread.
pub(crate) fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the request reads the number.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) == 0 }
}

/// Answers a call with a copy of `file` in its process.
pub(crate) fn answer_with_file(
    listener: BorrowedFd<'_>,
    id: u64,
    file: BorrowedFd<'_>,
    on_exec: OnExec,
) -> io::Result<()> {
    let mut addition = libc::seccomp_notif_addfd {
        id,
        flags: libc::SECCOMP_ADDFD_FLAG_SEND as u32,
        srcfd: file.as_raw_fd() as u32,
        newfd: 0,
        newfd_flags: match on_exec {
            OnExec::Close => libc::O_CLOEXEC as u32,
            OnExec::Keep => 0,
        },
    };
    // SAFETY: `addition` is the structure that the request reads, and outlives it.
    match unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw mut addition) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// What becomes of a descriptor when its process executes a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnExec {
    /// It is closed.
    Close,
    /// It stays.
    Keep,
}
