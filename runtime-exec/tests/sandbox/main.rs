//! Sandboxes, made for real, in every mode that this host allows.
//!
//! The program starts itself once for every mode, since a process enters once and before it has
//! threads; within a mode the tests run one after the other.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit, missing_docs)]

mod confinement;
mod identities;
mod life;
mod limits;
mod mounts;
mod network;
mod outside;
mod roots;
mod support;

use std::path::Path;
use std::process::Command;

use runtime_exec::{Host, HostMode, HostOptions, IdMapping, IdRange};
use support::{Case, Place};

/// First id outside of the range that tests use.
const RANGE: u32 = 200_000;

fn main() {
    runtime_exec::become_child_if_asked();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-')).collect();
    if args.iter().any(|arg| arg == "--list") {
        return;
    }
    let failed = match words.as_slice() {
        ["in", mode, dir, filter @ ..] => run_mode(mode, Path::new(dir), filter),
        [.., "looks-at-itself"] => life::look_at_itself(),
        ["sacrifice", dir] => life::sacrifice(Path::new(dir)),
        filter => run_all(filter),
    };
    std::process::exit(i32::from(failed > 0));
}

#[allow(clippy::disallowed_methods)] // Only tests ask where they run.
fn automatic() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// Says that a test cannot run here. In CI that is a failure: there every capability is installed.
fn missing(what: &str) {
    println!("left out: {what} is missing");
    assert!(!automatic(), "{what} is missing");
}

/// Every mode in a process of its own.
fn run_all(filter: &[&str]) -> usize {
    if !rustix::process::geteuid().is_root() {
        return run_mode_process("auto", 0, filter);
    }
    run_mode_process("root", 0, filter)
        + run_mode_process("mapped", RANGE, filter)
        + run_mode_process("ordinary", 12345, filter)
        + run_mode_process("single", 12346, filter)
}

fn run_mode_process(mode: &str, owner: u32, filter: &[&str]) -> usize {
    let dir = tempfile::Builder::new().prefix("sandbox-test-").tempdir().unwrap();
    let (uid, gid) = (rustix::fs::Uid::from_raw(owner), rustix::fs::Gid::from_raw(owner));
    let myself = std::env::current_exe().unwrap();
    if owner != 0 {
        rustix::fs::chown(dir.path(), Some(uid), Some(gid)).unwrap();
    }
    let mut command = match mode {
        "ordinary" | "single" => ordinary_user(&myself, owner, dir.path()),
        "mapped" => mapped(&myself),
        _ => Command::new(&myself),
    };
    let status = command
        .args(["in", mode])
        .arg(dir.path())
        .args(filter)
        .env("HOME", dir.path())
        .current_dir("/")
        .status()
        .unwrap();
    usize::from(!status.success())
}

/// A device that some hosts keep from ordinary users, and most do not, as most have it.
const TUN: &str = "mount -t tmpfs -o mode=755 tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 || exit";

/// The program among mounts of its own.
fn mapped(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    let script = format!("[ -d /dev/net ] && {{ {TUN}; }}; exec \"$@\"");
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
        "[ -d /dev/net ] && {{ {TUN}; }}
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

fn run_mode(mode: &str, dir: &Path, filter: &[&str]) -> usize {
    let range = || vec![IdRange { inside: 0, outside: RANGE, count: 65536 }];
    let ids = match mode {
        "mapped" => IdMapping::Given { uids: range(), gids: range() },
        "single" => IdMapping::Single,
        _ => IdMapping::Auto,
    };
    let host = match Host::enter(&HostOptions { ids, ..HostOptions::default() }) {
        Ok(host) => host,
        Err(error) => panic!("mode {mode}: {error}: {:?}", std::error::Error::source(&error)),
    };
    let expected = match mode {
        "root" => HostMode::Root,
        "single" => HostMode::SingleId,
        _ => HostMode::Mapped,
    };
    if host.mode() == HostMode::SingleId && expected == HostMode::Mapped {
        println!("mode {mode}: left out: nobody maps ids here (package uidmap)");
        return usize::from(automatic());
    }
    assert_eq!(host.mode(), expected, "{mode}");
    let place = Place::new(dir, host);
    let cases = [
        confinement::cases(),
        identities::cases(),
        roots::cases(),
        mounts::cases(),
        life::cases(),
        limits::cases(),
        network::cases(),
        outside::cases(),
    ];
    let chosen = cases
        .into_iter()
        .flatten()
        .filter(|(name, _)| filter.is_empty() || filter.iter().any(|f| name.contains(f)));
    report(mode, chosen.collect(), &place)
}

fn report(mode: &str, cases: Vec<Case>, place: &Place) -> usize {
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
