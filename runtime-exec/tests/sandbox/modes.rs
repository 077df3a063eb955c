//! The modes of a host, each in a process of its own: a process enters once and before it has threads.

use std::path::Path;
use std::process::Command;

use runtime_exec::{Host, HostMode, HostOptions, IdMapping, IdRange};

use super::support::Place;

/// First id outside of the range that tests use.
const RANGE: u32 = 200_000;

/// A way into the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Root of the host.
    Root,
    /// Root of the host, in a user namespace.
    Mapped,
    /// An ordinary user with subordinate ids.
    Ordinary,
    /// An ordinary user without.
    Single,
}

impl Mode {
    pub const ALL: [Mode; 4] = [Mode::Root, Mode::Mapped, Mode::Ordinary, Mode::Single];

    pub fn name(self) -> &'static str {
        match self {
            Mode::Root => "root",
            Mode::Mapped => "mapped",
            Mode::Ordinary => "ordinary",
            Mode::Single => "single",
        }
    }

    pub fn named(name: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// The user who owns the directory of the tests.
    fn owner(self) -> u32 {
        match self {
            Mode::Root => 0,
            Mode::Mapped => RANGE,
            Mode::Ordinary => 12345,
            Mode::Single => 12346,
        }
    }

    /// Those that can be tried here: all by root, the own one by an ordinary user.
    pub fn possible() -> &'static [Mode] {
        match rustix::process::geteuid().is_root() {
            true => &Mode::ALL,
            false => &[Mode::Ordinary],
        }
    }

    /// Runs this program again with `in MODE DIRECTORY` and what to choose; how many tests failed.
    pub fn run_process(self, filter: &[&str]) -> usize {
        let dir = tempfile::Builder::new().prefix("sandbox-test-").tempdir().unwrap();
        let (uid, gid) = (rustix::fs::Uid::from_raw(self.owner()), rustix::fs::Gid::from_raw(self.owner()));
        let myself = std::env::current_exe().unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if is_root && self != Mode::Root {
            rustix::fs::chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        let mut command = match self {
            _ if !is_root => Command::new(&myself),
            Mode::Ordinary | Mode::Single => ordinary_user(&myself, self.owner(), dir.path()),
            Mode::Mapped | Mode::Root => among_mounts(&myself),
        };
        let status = command
            .args(["in", self.name()])
            .arg(dir.path())
            .args(filter)
            .env("HOME", dir.path())
            .current_dir("/")
            .status()
            .unwrap();
        usize::from(!status.success())
    }

    /// Enters, in a process that was started so. `None`: the host cannot; that was said.
    pub fn enter(self, dir: &Path) -> Option<Place> {
        let range = || vec![IdRange { inside: 0, outside: RANGE, count: 65536 }];
        let (ids, expected) = match self {
            Mode::Root => (IdMapping::Auto, HostMode::Root),
            Mode::Mapped => (IdMapping::Given { uids: range(), gids: range() }, HostMode::Mapped),
            Mode::Ordinary => (IdMapping::Auto, HostMode::Mapped),
            Mode::Single => (IdMapping::Single, HostMode::SingleId),
        };
        let host = match Host::enter(&HostOptions { ids, ..HostOptions::default() }) {
            Ok(host) => host,
            Err(error) => {
                panic!("mode {}: {error}: {:?}", self.name(), std::error::Error::source(&error))
            }
        };
        if host.mode() == HostMode::SingleId && expected == HostMode::Mapped {
            missing("somebody who maps ids (package uidmap)");
            return None;
        }
        assert_eq!(host.mode(), expected, "{}", self.name());
        Some(Place::new(dir, host))
    }
}

/// Says that a test cannot run here. In CI that is a failure: there every capability is installed.
#[allow(clippy::disallowed_methods)] // Only tests ask where they run.
pub fn missing(what: &str) {
    println!("left out: {what} is missing");
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "{what} is missing");
}

/// Nodes of the tests' own: a test must not harm the host's `/dev/null`, and some hosts keep the device for
/// networks from ordinary users, and most do not, as most have it.
const NODES: &str = "[ -d /dev/net ] && {
        mount -t tmpfs -o mode=755 tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 || exit; }
    mount -t tmpfs -o mode=755 tmpfs /mnt && mknod -m 666 /mnt/null c 1 3 &&
        mount --bind /mnt/null /dev/null && umount -l /mnt || exit";

/// The program among mounts of its own.
fn among_mounts(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    let script = format!("{NODES}; exec \"$@\"");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]).arg(program);
    command
}

/// The program as another user, who has subordinate ids: the files that say so are seen by it alone.
fn ordinary_user(program: &Path, id: u32, dir: &Path) -> Command {
    // The program itself lies where ordinary users may not look.
    let copy = dir.join("test-program");
    std::fs::copy(program, &copy).unwrap();
    let known = std::fs::read_to_string("/etc/passwd").unwrap();
    std::fs::write(dir.join("passwd"), format!("{known}sandbox-tester:x:{id}:{id}::/:/bin/sh\n")).unwrap();
    std::fs::write(dir.join("sub"), format!("sandbox-tester:{RANGE}:65536\n")).unwrap();
    let script = format!(
        "{NODES}
        for f in subuid subgid; do mount --bind \"$1/sub\" /etc/$f || exit; done
        mount --bind \"$1/passwd\" /etc/passwd || exit
        mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit
        dir=$1 id=$2; shift 2
        exec setpriv --reuid=$id --regid=$id --clear-groups -- \"$dir/test-program\" \"$@\""
    );
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
        .arg(dir)
        .arg(id.to_string());
    command
}

/// Runs tests one after the other; how many failed.
pub fn report<T: Fn(&Place)>(mode: Mode, cases: Vec<(&'static str, T)>, place: &Place) -> usize {
    let mode = mode.name();
    println!("\nrunning {} tests in mode {mode}", cases.len());
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in cases {
        let verdict = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(place)));
        let word = match verdict {
            Ok(()) => {
                passed += 1;
                "ok"
            }
            Err(_) => {
                failed += 1;
                "FAILED"
            }
        };
        println!("test {mode}::{name} ... {word}");
    }
    println!("\nmode {mode}: {passed} passed, {failed} failed");
    failed
}
