//! Entering a user namespace with a range of ids, or with one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid, getpid};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities};

use super::helper::{MapBy, MapProblem, OutsideHelper, Request};
use super::id_map::{self, IdMapping, IdRange};
use crate::error::HostError;
use crate::sys::clone::unshare;

/// A map of user ids, and one of group ids.
type Maps = (Vec<IdRange>, Vec<IdRange>);

/// Becomes root of a new user namespace: with many ids where somebody maps them, else alone.
pub(super) fn enter(ids: &IdMapping, helper: &OutsideHelper) -> Result<(), HostError> {
    let own = (geteuid().as_raw(), getegid().as_raw());
    let ranges = match ids {
        IdMapping::Given { uids, gids } => Some((MapBy::Privilege, uids.clone(), gids.clone())),
        // Who may be anybody needs nobody's help: root of a container that may not mount.
        IdMapping::Auto if may_map_all() => {
            let (uids, gids) = id_map::own_maps()?;
            Some((MapBy::Privilege, id_map::unchanged(&uids), id_map::unchanged(&gids)))
        }
        IdMapping::Auto => own_ranges(own)?.map(|(uids, gids)| (MapBy::Programs, uids, gids)),
        IdMapping::Single => None,
    };
    unshare(UnshareFlags::NEWUSER).map_err(refused)?;
    let Some((by, uids, gids)) = ranges else { return map_alone(own).and_then(|()| become_root()) };
    let pid = getpid().as_raw_nonzero().get();
    let answer: Result<(), MapProblem> =
        helper.ask(&Request::Map { pid, by, uids, gids }).map_err(HostError::Helper)?;
    answer.or_else(|problem| match by {
        // The own id needs nobody's help, unless one of the two maps was written already.
        MapBy::Programs => map_alone(own).map_err(|_| HostError::from(problem)),
        MapBy::Privilege if *ids == IdMapping::Auto => map_alone(own).map_err(|_| HostError::from(problem)),
        MapBy::Privilege => Err(HostError::from(problem)),
    })?;
    become_root()
}

impl From<MapProblem> for HostError {
    fn from(problem: MapProblem) -> HostError {
        match problem {
            MapProblem::Missing(program) => HostError::NoMapProgram { program: program.name() },
            MapProblem::Refused { by, message } => HostError::MapRefused { program: by, message },
        }
    }
}

/// Maps the user itself, and nobody else, as root.
pub(crate) fn map_alone((uid, gid): (u32, u32)) -> Result<(), HostError> {
    let write = |file: &str, text: String| {
        fs::write(file, text).map_err(|error| HostError::MapRefused {
            program: "the kernel".to_owned(),
            message: format!("{file}: {error}"),
        })
    };
    // Who gives up a group may gain what the group is refused: the kernel wants that ruled out first.
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/gid_map", id_map::render(&id_map::rootless(gid, &[])))?;
    write("/proc/self/uid_map", id_map::render(&id_map::rootless(uid, &[])))
}

/// The own id is unmapped where the ranges leave it out; root of the namespace always exists.
fn become_root() -> Result<(), HostError> {
    let (uid, gid) = (rustix::process::Uid::ROOT, rustix::process::Gid::ROOT);
    let refused = |error: rustix::io::Errno| HostError::MapRefused {
        program: "the kernel".to_owned(),
        message: format!("id 0 is not mapped: {}", io::Error::from(error)),
    };
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(refused)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(refused)
}

/// The maps that the files of subordinate ids allow; `None`: they give the user nothing.
fn own_ranges((uid, gid): (u32, u32)) -> Result<Option<Maps>, HostError> {
    let ranges = |file: &str, own: u32| -> Result<_, HostError> {
        let subordinate = subordinate_ranges(Path::new(file), uid)
            .map_err(|source| HostError::Read { path: PathBuf::from(file), source })?;
        Ok((!subordinate.is_empty()).then(|| id_map::rootless(own, &subordinate)))
    };
    Ok(ranges("/etc/subuid", uid)?.zip(ranges("/etc/subgid", gid)?))
}

/// The ranges that a file gives to a user, as (first, count); none where it is absent.
pub(crate) fn subordinate_ranges(file: &Path, uid: u32) -> io::Result<Vec<(u32, u32)>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let name = user_name(uid).unwrap_or_else(|| uid.to_string());
    Ok(id_map::subordinate(&text, &name, uid))
}

/// Whether this process may map every id that it has: root with the capabilities that the kernel asks for.
pub(crate) fn may_map_all() -> bool {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SETFCAP;
    geteuid().is_root() && capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

/// The name of a user in `/etc/passwd`.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// Names the setting that refuses, where one is known to.
pub(super) fn refused(source: io::Error) -> HostError {
    let reason = match refusing_settings().next() {
        Some((name, value)) => format!("sysctl {name} is {value}"),
        None if source.raw_os_error() == Some(libc::EINVAL) => "this process already has threads".to_owned(),
        None => "no sysctl says so; a container's system call filter may".to_owned(),
    };
    let hint = match super::may_chroot() {
        Ok(()) => "; `rbuild doctor` says what to change, --isolation=chroot builds without any isolation",
        Err(_) => "; `rbuild doctor` says what to change",
    };
    HostError::UserNamespace { reason: format!("{reason}{hint}"), source }
}

/// The settings of this kernel that refuse user namespaces, with the value that does.
pub(crate) fn refusing_settings() -> impl Iterator<Item = (String, &'static str)> {
    const SETTINGS: [(&str, &str); 3] = [
        ("user/max_user_namespaces", "0"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
    ];
    let refuses = |(name, value): &(&str, &str)| {
        fs::read_to_string(format!("/proc/sys/{name}")).is_ok_and(|found| found.trim() == *value)
    };
    SETTINGS.into_iter().filter(refuses).map(|(name, value)| (name.replace('/', "."), value))
}
