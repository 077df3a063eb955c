//! Whether overlayfs works in a place.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, unlinkat};

use super::{Namespace, Refusal, Stack, in_user_namespace, mount_by_options, mount_one_by_one};
use crate::error::HostError;

/// Whether overlayfs can be used in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverlaySupport {
    /// It works.
    Works,
    /// It does not.
    Refused {
        /// What failed: a call, or something that overlayfs should do.
        what: &'static str,
        /// What the kernel said; 0 where it said nothing.
        errno: i32,
        /// What is likely to be the cause.
        hint: &'static str,
    },
}

/// Mounts a small stack in `dir` and tries what steps need: a changed file and a deleted one.
pub(crate) fn probe(dir: &Path) -> Result<OverlaySupport, HostError> {
    let base = dir.join(format!(".overlay-probe-{}", std::process::id()));
    let failed = |source| HostError::Probe { path: base.clone(), source };
    let result = prepare(&base).map_err(failed).map(|()| {
        try_out(&base).err().map_or(OverlaySupport::Works, |(what, error)| refused(dir, what, &error))
    });
    let cleaned = match fs::remove_dir_all(&base) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        Err(_) | Ok(()) => Ok(()),
    };
    let support = result?;
    cleaned.map(|()| support)
}

fn prepare(base: &Path) -> io::Result<()> {
    fs::create_dir_all(base)?;
    for name in ["bottom", "top", "upper", "work"] {
        fs::create_dir(base.join(name))?;
    }
    fs::write(base.join("bottom/deleted"), "1")?;
    fs::write(base.join("top/changed"), "1")
}

/// The step that failed, in the words of the report.
type Step = &'static str;

fn try_out(base: &Path) -> Result<(), (Step, io::Error)> {
    let lower = [base.join("bottom"), base.join("top")];
    let (upper, work) = (base.join("upper"), base.join("work"));
    let stack = Stack { lower: &lower, upper: Some((&upper, &work)), volatile: true };
    let root = match mount_one_by_one(stack) {
        Ok(root) => root,
        Err(Refusal::Directory(_, errno)) => return Err(("mounting overlay", errno.into())),
        Err(Refusal::Form) => in_thread(stack).map_err(|error| ("mounting overlay", error))?,
    };
    let change = || -> io::Result<()> {
        let file = openat(&root, "changed", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, b"2")?;
        Ok(())
    };
    change().map_err(|error| ("changing a file of a lower layer", error))?;
    let delete = || -> io::Result<()> { Ok(unlinkat(&root, "deleted", AtFlags::empty())?) };
    delete().map_err(|error| ("deleting a file of a lower layer", error))?;
    drop(root);
    let whiteout = rustix::fs::lstat(upper.join("deleted"))
        .map_err(|errno| ("looking for the whiteout", io::Error::from(errno)))?;
    if FileType::from_raw_mode(whiteout.st_mode) == FileType::CharacterDevice {
        Ok(())
    } else {
        Err(("looking for the whiteout", io::Error::other("it is no device")))
    }
}

/// mount(2) needs a mount namespace of its own, which a thread can have.
fn in_thread(stack: Stack<'_>) -> io::Result<OwnedFd> {
    thread::scope(|scope| {
        let mounted =
            scope.spawn(|| mount_by_options(stack, Namespace::Shared).map_err(|(_, error)| error)).join();
        mounted.unwrap_or_else(|_| Err(io::Error::other("the probing thread panicked")))
    })
}

fn refused(dir: &Path, what: Step, error: &io::Error) -> OverlaySupport {
    /// f_type of overlayfs.
    const OVERLAYFS: u64 = 0x794c_7630;
    let file_system = rustix::fs::statfs(dir).map(|found| found.f_type as u64).unwrap_or(0);
    let hint = match error.raw_os_error() {
        _ if file_system == OVERLAYFS => "the directory lies on overlayfs itself; put the store on a volume",
        Some(libc::ENODEV) => "the kernel has no overlayfs (module overlay)",
        Some(libc::EPERM | libc::EACCES) if in_user_namespace() => {
            "the kernel (before 5.11) or a security module refuses overlayfs in user namespaces"
        }
        Some(libc::EPERM | libc::EACCES) => "the right to mount is missing (CAP_SYS_ADMIN)",
        Some(libc::EINVAL) => {
            "the file system cannot hold an upper directory (no d_type, no xattrs, or case folding)"
        }
        _ => "no known cause",
    };
    OverlaySupport::Refused { what, errno: error.raw_os_error().unwrap_or(0), hint }
}
