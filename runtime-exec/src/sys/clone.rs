//! Forking into new namespaces, and leaving namespaces.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// The two returns of a fork.
pub(crate) enum Forked {
    /// In the new process.
    Child,
    /// In the old one.
    Parent {
        /// Number of the new process, as this one sees it.
        pid: Pid,
        /// Refers to the new process.
        pidfd: OwnedFd,
    },
}

/// Forks this process, which must have one thread, into the namespaces named by `CLONE_NEW*` flags.
///
/// Refuses with `EBUSY` when there is another thread.
pub(crate) fn fork_into(namespaces: u64) -> io::Result<Forked> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    let mut pidfd: libc::c_int = -1;
    let mut arguments = libc::clone_args {
        flags: namespaces | libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    // SAFETY: without CLONE_VM and without a stack, clone3 behaves as fork: the child goes on upon a
    // copy of this stack and memory. The process has one thread, so no lock can be held by a thread
    // that the child lacks. `arguments` and `pidfd` are valid for the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    let pid = match (pid, io::Error::last_os_error().raw_os_error()) {
        // The filters of containers cannot look into its arguments, and say that it does not exist.
        (-1, Some(libc::ENOSYS)) => clone_by_flags(namespaces, &mut pidfd),
        (pid, _) => pid,
    };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        _ => {
            // SAFETY: the kernel stored a new descriptor there, which nothing else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let pid = pid.ok_or(io::Error::from_raw_os_error(libc::ESRCH))?;
            Ok(Forked::Parent { pid, pidfd })
        }
    }
}

/// The same by the older call.
fn clone_by_flags(namespaces: u64, pidfd: &mut libc::c_int) -> libc::c_long {
    let flags = namespaces | libc::CLONE_PIDFD as u64 | libc::SIGCHLD as u64;
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: as above; the third argument is where the kernel stores the descriptor, valid for the call. The last
    // two, whose order differs between machines, are not read without the flags that they belong to.
    unsafe { libc::syscall(libc::SYS_clone, flags, none, std::ptr::from_mut(pidfd), none, none) }
}

/// Moves this process (or thread) into new namespaces. Descriptor tables are never unshared.
pub(crate) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    if namespaces.contains(UnshareFlags::FILES) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: the danger of this call lies in separate descriptor tables, which were ruled out above.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }?;
    Ok(())
}
