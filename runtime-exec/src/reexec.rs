//! Starting our own executable again, as one of the processes that stand beside the main one.
//!
//! The child finds a connection to its parent as descriptor 0 and waits there for what to do.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use defence::Defence;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::channel::Channel;
use crate::sys::{mount_attr, process};

/// What a child of ours is for; its first argument says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sets up one sandbox and watches over it.
    Keeper,
    /// Runs programs outside the user namespace.
    OutsideHelper,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Keeper => "rbuild: sandbox keeper",
            Role::OutsideHelper => "rbuild: outside helper",
        }
    }
}

/// Our executable through a mount that cannot be written, see [`protect_executable`].
static EXECUTABLE: OnceLock<OwnedFd> = OnceLock::new();

/// Takes over if this process was started by another one of this library: sets up a sandbox, or
/// runs programs for it, and exits. Returns at once in any other process.
///
/// It has to be the first statement of `main`: nothing else may have started a thread.
pub fn become_child_if_asked() {
    let role = std::env::args_os().next().and_then(|name| {
        [Role::Keeper, Role::OutsideHelper].into_iter().find(|role| name == OsStr::new(role.name()))
    });
    let Some(role) = role else { return };
    let code = match adopt_connection() {
        Ok(channel) => match role {
            Role::Keeper => crate::keeper::run(channel),
            Role::OutsideHelper => crate::host::helper_process::run(channel),
        },
        Err(_) => 125,
    };
    exit(code)
}

/// A child of ours ends here; nothing is printed.
#[allow(clippy::exit)]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}

/// Moves the connection away from descriptor 0, which becomes `/dev/null`. Whatever else the caller of
/// rbuild left open is closed: a step must not find a directory of the host among its own descriptors.
fn adopt_connection() -> io::Result<Channel> {
    if defence::stands(Defence::InheritedClosed) {
        process::close_others()?;
    }
    let stdin = io::stdin();
    rustix::net::sockopt::socket_type(stdin.as_fd())?;
    let connection = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(Channel::from_fd(connection))
}

/// Starts this executable again as `role`.
pub(crate) fn start(role: Role) -> io::Result<(Child, Channel)> {
    let (ours, theirs) = Channel::pair()?;
    let program = match EXECUTABLE.get() {
        Some(file) if defence::stands(Defence::ExecutableReadOnly) => {
            format!("/proc/self/fd/{}", file.as_raw_fd())
        }
        Some(_) | None => "/proc/self/exe".to_owned(),
    };
    let mut command = Command::new(program);
    command.arg0(role.name()).stdin(Stdio::from(theirs.into_fd())).stdout(Stdio::null());
    match role {
        Role::Keeper => command.env_clear().envs(defence::handed_on()).stderr(Stdio::null()),
        Role::OutsideHelper => command.stderr(Stdio::inherit()),
    };
    Ok((command.spawn()?, ours))
}

/// Makes keepers start from a read-only view of the executable, so that no sandbox reaches it for
/// writing through `/proc/<pid>/exe` (where the kernel can do so; else they start from the file itself).
pub(crate) fn protect_executable() {
    if let Ok(tree) = view_of_executable() {
        // A second call keeps the first one's view, which is as good.
        let _ = EXECUTABLE.set(tree);
    }
}

/// By its path, since the running file hangs on the mounts that this process has left.
fn view_of_executable() -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(rustix::fs::CWD, std::fs::read_link("/proc/self/exe")?, flags)?;
    let (found, running) = (rustix::fs::fstat(&tree)?, rustix::fs::stat("/proc/self/exe")?);
    if (found.st_dev, found.st_ino) != (running.st_dev, running.st_ino) {
        return Err(io::ErrorKind::NotFound.into());
    }
    mount_attr::set(tree.as_fd(), mount_attr::RDONLY, mount_attr::ThisOnly)?;
    Ok(tree)
}
