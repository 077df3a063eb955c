//! What files of the host say.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Asker, Refusal, StorePlace, Surroundings, Trial};
use crate::host::{may_map_all, may_mount, refusing_settings, subordinate_ranges, user_name};
use crate::keeper::controllers as group_controllers;
use crate::overlay::in_user_namespace;
use crate::spec::DEFAULT_PATH;

pub(super) fn asker() -> Asker {
    let uid = rustix::process::geteuid().as_raw();
    Asker {
        uid,
        name: user_name(uid),
        may_mount: may_mount(),
        may_map: may_map_all(),
        namespaced: in_user_namespace(),
    }
}

pub(super) fn surroundings() -> Surroundings {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u32>().ok()).unwrap_or(0)
    };
    let profile = fs::read_to_string("/proc/self/attr/current").unwrap_or_default();
    let profile = profile.trim_matches(['\n', '\0']).to_owned();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Surroundings {
        filtered: number("Seccomp:") == 2,
        no_new_privs: number("NoNewPrivs:") == 1,
        profile: Some(profile).filter(|profile| !profile.is_empty() && profile != "unconfined"),
        masked_proc: covers_proc(&mounts),
        settings: refusing_settings().map(|(name, value)| format!("{name} = {value}")).collect(),
    }
}

/// Whether something lies over a part of `/proc`; `binfmt_misc` has its place there on any host.
pub(super) fn covers_proc(mounts: &str) -> bool {
    mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .any(|point| point.starts_with("/proc/") && point != "/proc/sys/fs/binfmt_misc")
}

pub(super) fn subordinate(user: &Asker) -> [Vec<(u32, u32)>; 2] {
    ["/etc/subuid", "/etc/subgid"]
        .map(|file| subordinate_ranges(Path::new(file), user.uid).unwrap_or_default())
}

/// A program on the usual path.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    DEFAULT_PATH.split(':').map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
}

pub(super) fn open_device(path: &str) -> Trial {
    let open = OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(path);
    Trial::of(&format!("open({path})"), open)
}

pub(super) fn controllers() -> Vec<(String, Trial)> {
    let found = match group_controllers() {
        Ok(found) => found,
        Err(error) => return vec![("memory".to_owned(), read_failed("/proc/self/cgroup", &error))],
    };
    let state = |parent: Option<PathBuf>| match parent {
        None => Trial::Refused(Refusal {
            call: "cgroup.controllers".to_owned(),
            errno: 0,
            words: "no such controller here".to_owned(),
        }),
        Some(parent) => {
            let writable = rustix::fs::access(&parent, rustix::fs::Access::WRITE_OK);
            Trial::of(&format!("mkdir({})", parent.display()), writable)
        }
    };
    found.into_iter().map(|(name, parent)| (name.to_owned(), state(parent))).collect()
}

fn read_failed(path: &str, error: &io::Error) -> Trial {
    Trial::Refused(Refusal::new(&format!("open({path})"), error))
}

/// The place of a store, which need not be there yet.
pub(super) fn store_place(root: &Path) -> StorePlace {
    let directory = root.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/")).to_owned();
    let kind = rustix::fs::statfs(&directory).map_or(0, |found| found.f_type as u64);
    let free = rustix::fs::statvfs(&directory).map_or(0, |found| found.f_bavail * found.f_frsize);
    let name = format!(".rbuild-doctor-{}", std::process::id());
    let write = File::create_new(directory.join(&name)).and_then(|_| fs::remove_file(directory.join(&name)));
    let write = Trial::of(&format!("open({}, O_CREAT)", directory.display()), write);
    StorePlace { directory, file_system: file_system(kind), free, write }
}

/// Names of file systems by the numbers that the kernel gives them.
fn file_system(number: u64) -> String {
    let known = [
        (0xef53, "ext4"),
        (0x9123_683e, "btrfs"),
        (0x5846_5342, "xfs"),
        (0x0102_1994, "tmpfs"),
        (0x794c_7630, "overlayfs"),
        (0x6969, "nfs"),
        (0xf2f5_2010, "f2fs"),
        (0x2fc1_2fc1, "zfs"),
        (0xca45_1a4e, "bcachefs"),
        (0x6573_5546, "fuse"),
        (0x0102_1997, "9p"),
    ];
    let name = known.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| format!("0x{number:x}"))
}
