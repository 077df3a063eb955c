//! Stacking directories with overlayfs.
//!
//! The layers are handed to the kernel one by one, since the options of mount(2) end after a page.
//! Kernels before 6.7 do not know that form; for them the directories are opened and named by
//! descriptor number, which keeps some hundreds of them within the page.

mod probe;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, open_tree,
};
use rustix::thread::UnshareFlags;

pub use probe::OverlaySupport;
pub(crate) use probe::probe;

use crate::sys::clone::unshare;

/// Directories to stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack<'a> {
    /// Read-only ones, bottom first; not empty.
    pub(crate) lower: &'a [PathBuf],
    /// Where changes go, and the work directory beside it.
    pub(crate) upper: Option<(&'a Path, &'a Path)>,
    /// `true`: what was written need not survive a crash, and the work directory serves once.
    pub(crate) volatile: bool,
}

/// A failure and the directory it is about.
pub(crate) type StackError = (PathBuf, io::Error);

/// Whose mount namespace this process (or thread) is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// Its own: others see nothing of what is mounted for a moment.
    Own,
    /// One with others in it, to be left for an own one if need be.
    Shared,
}

/// Stacks directories; the mount hangs on the descriptor only.
pub(crate) fn mount(stack: Stack<'_>, namespace: Namespace) -> Result<OwnedFd, StackError> {
    match mount_one_by_one(stack) {
        Err(Refusal::Form) => mount_by_options(stack, namespace),
        Err(Refusal::Directory(path, errno)) => Err((path, errno.into())),
        Ok(mount) => Ok(mount),
    }
}

/// Why the newer form failed.
enum Refusal {
    /// The kernel does not know it.
    Form,
    /// The directory (or the whole) was refused.
    Directory(PathBuf, Errno),
}

fn mount_one_by_one(stack: Stack<'_>) -> Result<OwnedFd, Refusal> {
    let noun = stack.noun();
    let context = match fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC) {
        Err(Errno::NOSYS) => return Err(Refusal::Form),
        other => other.map_err(|errno| Refusal::Directory(noun.clone(), errno))?,
    };
    fsconfig_set_string(&context, "source", "overlay")
        .map_err(|errno| Refusal::Directory(noun.clone(), errno))?;
    let mut long = Vec::new();
    for (position, dir) in stack.lower.iter().rev().enumerate() {
        let text = short(dir, &mut long).map_err(|errno| Refusal::Directory(dir.clone(), errno))?;
        fsconfig_set_string(&context, "lowerdir+", text.as_path()).map_err(|errno| {
            match (position, errno) {
                (0, Errno::INVAL) if dir.is_dir() => Refusal::Form,
                _ => Refusal::Directory(dir.clone(), errno),
            }
        })?;
    }
    if let Some((upper, work)) = stack.upper {
        for (key, dir) in [("upperdir", upper), ("workdir", work)] {
            short(dir, &mut long)
                .and_then(|text| fsconfig_set_string(&context, key, text.as_path()))
                .map_err(|errno| Refusal::Directory(dir.to_owned(), errno))?;
        }
    }
    let finish = || {
        for option in options(stack) {
            match option.split_once('=') {
                Some((key, value)) => fsconfig_set_string(&context, key, value)?,
                None => fsconfig_set_flag(&context, option)?,
            }
        }
        fsconfig_create(&context)?;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    };
    finish().map_err(|errno| Refusal::Directory(noun, errno))
}

/// The path, or for one that exceeds what the kernel reads of a value, a short name by descriptor.
fn short(dir: &Path, opened: &mut Vec<OwnedFd>) -> Result<PathBuf, Errno> {
    const LONGEST: usize = 255;
    if dir.as_os_str().len() <= LONGEST {
        return Ok(dir.to_owned());
    }
    let fd = open_path(dir)?;
    let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
    opened.push(fd);
    Ok(PathBuf::from(name))
}

fn open_path(dir: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// What is set beside the directories. No directory is ever found by a redirection, no file's data
/// through another file, and no index is kept: a layer means the same wherever it lies.
fn options(stack: Stack<'_>) -> Vec<&'static str> {
    let mut options = vec!["redirect_dir=nofollow", "metacopy=off", "index=off"];
    if stack.volatile && stack.upper.is_some() {
        options.push("volatile");
    }
    if in_user_namespace() {
        options.push("userxattr");
    }
    options
}

/// Whether this is another user namespace than the first, whose number is fixed. Ids need not tell: they may all
/// be mapped to themselves.
pub(crate) fn in_user_namespace() -> bool {
    const FIRST: &str = "user:[4026531837]";
    fs::read_link("/proc/self/ns/user").is_ok_and(|namespace| namespace != Path::new(FIRST))
}

/// The same through mount(2); changes the current directory.
fn mount_by_options(stack: Stack<'_>, namespace: Namespace) -> Result<OwnedFd, StackError> {
    let noun = stack.noun();
    let about = |dir: &Path| {
        let dir = dir.to_owned();
        move |errno: Errno| (dir, io::Error::from(errno))
    };
    // First of all: directories of another namespace's mounts cannot be stacked.
    match namespace {
        Namespace::Own => {}
        Namespace::Shared => own_mounts().map_err(|error| (noun.clone(), error))?,
    }
    let fds = stack
        .lower
        .iter()
        .rev()
        .map(|dir| open_path(dir).map_err(about(dir)))
        .collect::<Result<Vec<_>, _>>()?;
    let numbers: Vec<String> = fds.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
    let mut data = format!("lowerdir={}", numbers.join(":"));
    let mut open = Vec::new();
    if let Some((upper, work)) = stack.upper {
        for (key, dir) in [("upperdir", upper), ("workdir", work)] {
            let fd = open_path(dir).map_err(about(dir))?;
            data.push_str(&format!(",{key}={}", fd.as_raw_fd()));
            open.push(fd);
        }
    }
    for option in options(stack) {
        data.push(',');
        data.push_str(option);
    }
    let finish = || -> io::Result<OwnedFd> {
        let target = fs::canonicalize(&noun)?;
        rustix::process::chdir("/proc/self/fd")?;
        let data = std::ffi::CString::new(data)?;
        rustix::mount::mount("overlay", &target, "overlay", MountFlags::empty(), data.as_c_str())?;
        rustix::process::chdir("/")?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, &target, flags)?;
        rustix::mount::unmount(&target, UnmountFlags::DETACH)?;
        Ok(tree)
    };
    finish().map_err(|error| (noun.clone(), error))
}

fn own_mounts() -> io::Result<()> {
    unshare(UnshareFlags::NEWNS | UnshareFlags::FS)?;
    Ok(rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?)
}

impl Stack<'_> {
    /// The directory that stands for the whole in errors, and as a mount point.
    fn noun(&self) -> PathBuf {
        match (self.upper, self.lower.last()) {
            (Some((upper, _)), _) => upper.to_owned(),
            (None, Some(top)) => top.clone(),
            (None, None) => PathBuf::from("/"),
        }
    }
}
