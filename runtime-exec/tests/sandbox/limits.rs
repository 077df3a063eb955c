//! Limits by control groups, where this host lets them be set.

use std::fs;
use std::path::{Path, PathBuf};

use runtime_exec::{CpuTime, Exit, HostMode, Limits};

use super::support::{Case, Place};

pub fn cases() -> Vec<Case> {
    vec![
        ("limits_are_set_and_go_with_the_step", limits_are_set_and_go_with_the_step),
        ("want_of_memory_is_told_with_the_peak", want_of_memory_is_told_with_the_peak),
        ("processes_are_counted", processes_are_counted),
        ("limits_that_cannot_be_had_are_told", limits_that_cannot_be_had_are_told),
    ]
}

/// Whether this process may make control groups of the first version; says so where it may not.
fn may(place: &Place) -> bool {
    let first = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists();
    match place.host.mode() {
        HostMode::Root if first => true,
        HostMode::Root => {
            println!("left out: control groups of the first version");
            false
        }
        HostMode::Mapped | HostMode::SingleId => false,
    }
}

/// Directories of groups that a keeper made for this process.
fn groups() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let keeper = name.strip_prefix("rbuild-").and_then(|rest| rest.split('-').next()?.parse().ok());
            if keeper.is_some_and(is_child) {
                found.push(entry.path());
            } else if is_dir {
                open.push(entry.path());
            }
        }
    }
    found
}

fn is_child(pid: u32) -> bool {
    let own = std::process::id().to_string();
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) == Some(&own)
    })
}

fn limits_are_set_and_go_with_the_step(place: &Place) {
    if !may(place) {
        return;
    }
    let step = place.sh("sleep 1000").with(|spec| {
        spec.limits = Limits {
            memory: Some(64 << 20),
            cpu: Some(CpuTime { quota: Some(50_000), period: 100_000 }),
            cpuset_cpus: Some("0".to_owned()),
            cpuset_mems: Some("0".to_owned()),
            pids: Some(20),
            ..Limits::default()
        };
    });
    let (running, _reader) = step.start().unwrap();
    assert_eq!(running.unmet_limits(), Vec::<String>::new());
    let made = groups();
    let said = |file: &str| {
        made.iter().find_map(|dir| fs::read_to_string(dir.join(file)).ok()).map(|text| text.trim().to_owned())
    };
    for (file, expected) in [
        ("memory.limit_in_bytes", "67108864"),
        ("cpu.cfs_quota_us", "50000"),
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
        ("pids.max", "20"),
    ] {
        assert_eq!(said(file).as_deref(), Some(expected), "{file} {made:?}");
    }
    assert!(made.iter().all(|dir| !fs::read_to_string(dir.join("cgroup.procs")).unwrap().is_empty()));
    drop(running);
    assert!(made.iter().all(|dir| !dir.exists()), "{made:?}");
}

fn want_of_memory_is_told_with_the_peak(place: &Place) {
    if !may(place) {
        return;
    }
    let script = "head -c 60000000 /dev/zero | tail -c 50000000 > /dev/null";
    let limited = place.sh(script).with(|spec| {
        spec.limits = Limits { memory: Some(16 << 20), ..Limits::default() };
    });
    let done = limited.run().unwrap();
    let Exit::OutOfMemory { peak: Some(peak) } = done.exit else { panic!("{:?} {}", done.exit, done.out) };
    assert!((1 << 20..=16 << 20).contains(&peak), "{peak}");
    assert_eq!(place.sh(script).run().unwrap().exit, Exit::Code(0));
}

fn processes_are_counted(place: &Place) {
    if !may(place) {
        return;
    }
    let script = "for n in 1 2 3 4 5 6 7 8 9; do sleep 5 & done";
    let limited = place.sh(script).with(|spec| spec.limits = Limits { pids: Some(4), ..Limits::default() });
    let done = limited.run().unwrap();
    assert!(done.exit != Exit::Code(0) && done.out.contains("fork"), "{:?} {}", done.exit, done.out);
}

/// They never keep a step from running.
fn limits_that_cannot_be_had_are_told(place: &Place) {
    let step = place.sh("true").with(|spec| {
        spec.limits =
            Limits { memory: Some(64 << 20), cpuset_cpus: Some("4000".to_owned()), ..Limits::default() };
    });
    let (running, _reader) = step.start().unwrap();
    let unmet = running.unmet_limits().join("\n");
    assert_eq!(running.wait().unwrap(), Exit::Code(0));
    assert!(unmet.contains("cpuset.cpus is not limited: "), "{unmet}");
    if place.host.mode() != HostMode::Root {
        assert!(unmet.contains("memory.") && unmet.contains("not limited"), "{unmet}");
    }
}
