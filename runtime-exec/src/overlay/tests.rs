//! The older way of mounting, which newer kernels never take by themselves.

use std::fs;
use std::io::Read;

use rustix::fs::{Mode, OFlags, openat};

use super::{Namespace, Stack, mount, mount_by_options, own_mounts};

#[allow(clippy::disallowed_methods)] // Only tests ask where they run.
/// Tests that mount need the right to; automatic runs have it.
fn may_mount() -> bool {
    let may = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::SYS_ADMIN));
    assert!(may || std::env::var_os("CI").is_none_or(|value| value != "true"), "no right to mount");
    may
}

#[test]
fn both_ways_stack_150_layers() {
    if !may_mount() {
        eprintln!("skipped: no right to mount");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let lower: Vec<_> = (0..150)
        .map(|number| {
            let layer = dir.path().join(format!("layer-{number}-{}", "x".repeat(60)));
            fs::create_dir(&layer).unwrap();
            fs::write(layer.join(number.to_string()), "").unwrap();
            fs::write(layer.join("top"), number.to_string()).unwrap();
            layer
        })
        .collect();
    let new: fn(Stack<'_>) -> _ = |stack| mount(stack, Namespace::Shared);
    let old: fn(Stack<'_>) -> _ = |stack| mount_by_options(stack, Namespace::Shared);
    let old_in_own: fn(Stack<'_>) -> _ = |stack| {
        own_mounts().unwrap();
        mount_by_options(stack, Namespace::Own)
    };
    for (way, name) in
        [(new, "one by one"), (old, "by options"), (old_in_own, "by options in an own namespace")]
    {
        let (upper, work) = (dir.path().join(name), dir.path().join(format!("{name} work")));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        // The older way changes the mount namespace and current directory of its thread.
        std::thread::scope(|scope| {
            let stack = Stack { lower: &lower, upper: Some((&upper, &work)), volatile: true };
            scope.spawn(move || check(way(stack).unwrap()));
        });
        assert!(upper.join("new").exists(), "{name}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(dir.path().to_str().unwrap()), "{mounts}");
    }
}

fn check(root: std::os::fd::OwnedFd) {
    let open = |name: &str, flags: OFlags| {
        openat(&root, name, flags, Mode::from_raw_mode(0o600)).map(fs::File::from)
    };
    let mut top = String::new();
    open("top", OFlags::RDONLY).unwrap().read_to_string(&mut top).unwrap();
    assert_eq!(top, "149");
    open("0", OFlags::RDONLY).unwrap();
    open("new", OFlags::CREATE | OFlags::WRONLY).unwrap();
}
