//! Mounts that stay when the process that made them has ended, and whether they are still there.

use std::ffi::OsString;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount};
use serde::{Deserialize, Serialize};

use crate::error::MountError;
use crate::overlay::{self, Namespace, Stack, in_user_namespace};
use crate::sys::mount_attr;

/// Where a mount is: a path in a mount namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountedAt {
    /// The mount point.
    pub path: PathBuf,
    /// Names of the mount, user and pid namespaces of who made it, as the kernel writes them.
    mounts: PathBuf,
    users: PathBuf,
    pids: PathBuf,
}

/// What is known of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// It is among the mounts that this process had when it entered.
    Here,
    /// It is in another mount namespace.
    Elsewhere,
    /// It was taken away, or nothing is left of its mount namespace.
    Gone,
    /// Its namespace may be one of those that cannot be looked into from here.
    Unknown,
}

impl MountedAt {
    /// A path in the namespaces of this process.
    pub fn here(path: PathBuf) -> Result<MountedAt, MountError> {
        let name = |kind: &str| {
            let link = PathBuf::from(format!("/proc/self/ns/{kind}"));
            fs::read_link(&link).map_err(|source| MountError::Namespace { path: link, source })
        };
        Ok(MountedAt { path, mounts: name("mnt")?, users: name("user")?, pids: name("pid")? })
    }
}

/// Stacks directories, bottom first, for reading only, and mounts them where everybody with the mounts of
/// this process sees them. Device nodes and set-user-id bits have no effect there.
pub fn mount_stack(lower: &[PathBuf], target: &Path) -> Result<(), MountError> {
    let stack = Stack { lower, upper: None, volatile: false };
    let mount =
        overlay::mount(stack, Namespace::Own).map_err(|(path, source)| MountError::Mount { path, source })?;
    let failed = |source| MountError::Mount { path: target.to_owned(), source };
    let attributes = mount_attr::RDONLY | mount_attr::NODEV | mount_attr::NOSUID;
    mount_attr::set(mount.as_fd(), attributes, mount_attr::ThisOnly).map_err(failed)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&mount, "", rustix::fs::CWD, target, flags).map_err(|errno| failed(errno.into()))
}

/// Takes a mount away; one that somebody uses stays, with an error.
pub fn unmount(target: &Path) -> Result<(), MountError> {
    rustix::mount::unmount(target, UnmountFlags::NOFOLLOW)
        .map_err(|errno| MountError::Unmount { path: target.to_owned(), source: errno.into() })
}

/// Looks for mounts in the namespaces of all processes that can be seen.
pub(crate) fn look(mounts: &[MountedAt]) -> Vec<Presence> {
    let processes = Processes::look();
    mounts.iter().map(|mount| processes.presence(mount)).collect()
}

/// The mount namespaces that processes are in, each with one that is in it.
struct Processes {
    found: Vec<(PathBuf, PathBuf)>,
    /// Whether some process did not tell.
    hidden: bool,
}

impl Processes {
    fn look() -> Processes {
        let mut all = Processes { found: Vec::new(), hidden: false };
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !name.as_bytes().iter().all(u8::is_ascii_digit) {
                continue;
            }
            match fs::read_link(entry.path().join("ns/mnt")) {
                Ok(namespace) if all.found.iter().any(|(known, _)| *known == namespace) => {}
                Ok(namespace) => all.found.push((namespace, entry.path())),
                // It ended.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => {}
                Err(_) => all.hidden = true,
            }
        }
        all
    }

    fn presence(&self, mount: &MountedAt) -> Presence {
        if let Some((_, process)) = self.found.iter().find(|(namespace, _)| *namespace == mount.mounts) {
            let own = fs::read_link("/proc/self/ns/mnt").is_ok_and(|own| own == mount.mounts);
            return match fs::read(process.join("mountinfo")) {
                Ok(table) if !has(&table, &mount.path) => Presence::Gone,
                Ok(_) if own => Presence::Here,
                Ok(_) => Presence::Elsewhere,
                Err(_) => Presence::Unknown,
            };
        }
        let same = |kind: &str, name: &Path| {
            fs::read_link(format!("/proc/self/ns/{kind}")).is_ok_and(|own| own == *name)
        };
        // Who does not tell belongs to others, unless it lives in a namespace that is none of ours.
        let all_told = !self.hidden || !in_user_namespace() || same("user", &mount.users);
        match same("pid", &mount.pids) && all_told {
            true => Presence::Gone,
            false => Presence::Unknown,
        }
    }
}

/// Whether a table of mounts has a mount point.
fn has(table: &[u8], path: &Path) -> bool {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .any(|field| unescaped(field) == path.as_os_str())
}

/// A field of `/proc/self/mountinfo`, where blanks and backslashes are written as octal numbers.
fn unescaped(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut left = field;
    while let Some((&first, rest)) = left.split_first() {
        let number = rest.get(..3).filter(|_| first == b'\\').and_then(|digits| {
            let text = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(text, 8).ok()
        });
        bytes.push(number.unwrap_or(first));
        left = if number.is_some() { &rest[3..] } else { rest };
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_found_in_a_table() {
        let table =
            b"36 35 98:0 / /a\\040b\\134c rw - ext4 /dev/root rw\n37 35 0:1 / /plain ro - overlay x ro\n";
        for (path, expected) in
            [("/a b\\c", true), ("/plain", true), ("/a", false), ("/", false), ("/plain/x", false)]
        {
            assert_eq!(has(table, Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_mounted_is_gone_and_what_is_in_other_namespaces_unknown() {
        let here = |path: &str| MountedAt::here(PathBuf::from(path)).unwrap();
        let elsewhere = MountedAt { mounts: "mnt:[1]".into(), pids: "pid:[1]".into(), ..here("/proc") };
        let left = MountedAt { mounts: "mnt:[1]".into(), ..here("/proc") };
        let found = look(&[here("/proc"), here("/proc/none"), elsewhere, left]);
        assert_eq!(found, [Presence::Here, Presence::Gone, Presence::Unknown, Presence::Gone]);
    }
}
