//! Attributes of this process: signals, keyring, network interfaces, descriptors.

use std::ffi::c_ulong;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Gives every signal its default action and blocks none.
pub(crate) fn reset_signals() {
    // SAFETY: all-zero bytes are a valid `sigaction` (default action, no flags) and a valid `sigset_t`.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        for signal in 1..=64 {
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Keeps all signals waiting but those that tell of an error of this process itself.
pub(crate) fn block_signals() {
    // SAFETY: the set is valid memory, filled before it is read.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut set);
        for own in [
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGABRT,
            libc::SIGTRAP,
            libc::SIGSYS,
        ] {
            libc::sigdelset(&raw mut set, own);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Takes the next signal that waits, see [`block_signals`]; `None` for one that has no name, or none after all.
pub(crate) fn next_signal() -> Option<rustix::process::Signal> {
    // SAFETY: the set is valid memory, filled before it is read; no information is asked for.
    let number = unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::sigwaitinfo(&raw const set, std::ptr::null_mut())
    };
    rustix::process::Signal::from_named_raw(number)
}

/// Joins a new session keyring, so that no key of the user is possessed inside.
pub(crate) fn new_session_keyring() -> io::Result<()> {
    const JOIN_SESSION_KEYRING: c_ulong = 1;
    // SAFETY: the operation takes a name, and null asks for an anonymous keyring.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, 0, 0, 0, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Switches the loopback interface of this network namespace on.
pub(crate) fn loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid `ifreq`; `ifr_name` stays terminated; the call reads and
    // writes only within the structure, whose flags member is the one these requests use.
    unsafe {
        let mut request: libc::ifreq = mem::zeroed();
        for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
            *slot = *byte as libc::c_char;
        }
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) < 0 {
            return Err(io::Error::last_os_error());
        }
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Marks every descriptor from 3 up to be closed on exec.
pub(crate) fn close_others_on_exec() -> io::Result<()> {
    // SAFETY: with this flag nothing is closed now; no memory is passed.
    unsafe { close_range(libc::CLOSE_RANGE_CLOEXEC) }
}

/// Closes every descriptor from 3 up. To be called before this process opened any itself.
pub(crate) fn close_others() -> io::Result<()> {
    // SAFETY: the caller says that nothing of this process owns one of them; no memory is passed.
    unsafe { close_range(0) }
}

/// Closes every descriptor from 3 up but these. To be called by a process that ends by [`exit_now`] and uses no
/// other again.
pub(crate) fn close_others_but(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<c_ulong> = kept.iter().map(|fd| fd.as_raw_fd() as c_ulong).collect();
    kept.sort_unstable();
    let mut first: c_ulong = 3;
    for fd in kept.into_iter().filter(|fd| *fd >= 3) {
        if fd > first {
            // SAFETY: the caller says that nothing of this process uses one of them; no memory is passed.
            unsafe { close_between(first, fd - 1, 0) }?;
        }
        first = fd + 1;
    }
    // SAFETY: as above.
    unsafe { close_range_from(first, 0) }
}

/// Closes every descriptor. To be called by a process that ends by [`exit_now`] and uses none of them again.
pub(crate) fn close_all() -> io::Result<()> {
    // SAFETY: the caller says that nothing of this process uses one of them; no memory is passed.
    unsafe { close_range_from(0, 0) }
}

/// # Safety
///
/// Without `CLOSE_RANGE_CLOEXEC`, nobody may use a descriptor from 3 up any more.
unsafe fn close_range(flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: see above.
    unsafe { close_range_from(3, flags) }
}

/// # Safety
///
/// Without `CLOSE_RANGE_CLOEXEC`, nobody may use a descriptor from `first` up any more.
unsafe fn close_range_from(first: c_ulong, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: see above.
    unsafe { close_between(first, u32::MAX as c_ulong, flags) }
}

/// # Safety
///
/// Without `CLOSE_RANGE_CLOEXEC`, nobody may use a descriptor from `first` to `last` any more.
unsafe fn close_between(first: c_ulong, last: c_ulong, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: see above.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags as c_ulong) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The version of Landlock that the kernel has.
pub(crate) fn landlock_version() -> io::Result<u32> {
    const VERSION: c_ulong = 1;
    // SAFETY: with this flag the call takes no attributes, and returns a number.
    let result = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0 as c_ulong, VERSION) };
    u32::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Ends this process without running anything more of it.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` never returns and touches no memory of ours.
    unsafe { libc::_exit(code) }
}
