//! Entering a user namespace with a range of ids.

use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::process::{getegid, geteuid, getpid};
use rustix::thread::UnshareFlags;

use super::helper::{MapBy, MapProblem, OutsideHelper, Request};
use super::id_map::{self, IdMapping, IdRange};
use crate::error::HostError;
use crate::sys::clone::unshare;

/// Becomes root of a new user namespace.
pub(super) fn enter(ids: &IdMapping, helper: &OutsideHelper) -> Result<(), HostError> {
    let (by, uids, gids) = match ids {
        IdMapping::Given { uids, gids } => (MapBy::Privilege, uids.clone(), gids.clone()),
        IdMapping::Auto => {
            let (uids, gids) = own_ranges()?;
            (MapBy::Programs, uids, gids)
        }
    };
    unshare(UnshareFlags::NEWUSER).map_err(refused)?;
    let pid = getpid().as_raw_nonzero().get();
    let answer: Result<(), MapProblem> =
        helper.ask(&Request::Map { pid, by, uids, gids }).map_err(HostError::Helper)?;
    answer.map_err(|problem| match problem {
        MapProblem::Missing(program) => HostError::NoMapProgram { program: program.name() },
        MapProblem::Refused { by, message } => HostError::MapRefused { program: by, message },
    })?;
    become_root()
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

fn own_ranges() -> Result<(Vec<IdRange>, Vec<IdRange>), HostError> {
    let uid = geteuid().as_raw();
    let name = user_name(uid).unwrap_or_else(|| uid.to_string());
    let ranges = |file: &'static str, own: u32| {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(HostError::Read { path: PathBuf::from(file), source }),
        };
        let subordinate = id_map::subordinate(&text, &name, uid);
        if subordinate.is_empty() {
            return Err(HostError::NoSubordinateIds { file, user: name.clone() });
        }
        Ok(id_map::rootless(own, &subordinate))
    };
    Ok((ranges("/etc/subuid", uid)?, ranges("/etc/subgid", getegid().as_raw())?))
}

fn user_name(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// Names the setting that refuses, where one is known to.
pub(super) fn refused(source: io::Error) -> HostError {
    const SETTINGS: [(&str, &str); 3] = [
        ("user/max_user_namespaces", "0"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
    ];
    let found = SETTINGS.iter().find(|(name, refusing)| {
        fs::read_to_string(format!("/proc/sys/{name}")).is_ok_and(|value| value.trim() == *refusing)
    });
    let reason = match found {
        Some((name, value)) => format!("sysctl {} is {value}", name.replace('/', ".")),
        None if source.raw_os_error() == Some(libc::EINVAL) => "this process already has threads".to_owned(),
        None => "no sysctl says so; a container's system call filter may".to_owned(),
    };
    HostError::UserNamespace { reason, source }
}
