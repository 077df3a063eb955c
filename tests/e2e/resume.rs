//! Pulls that were killed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::relay::Relay;
use crate::support::served::Served;
use crate::support::workspace::Workspace;

/// Bytes that no compression makes smaller.
pub fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..count / 8).flat_map(|_| next()).collect()
}

fn parts(workspace: &Workspace) -> Vec<(PathBuf, u64)> {
    let entries = std::fs::read_dir(workspace.store().join("partial")).into_iter().flatten().flatten();
    entries.map(|entry| (entry.path(), entry.metadata().map_or(0, |metadata| metadata.len()))).collect()
}

const SIZE: u64 = 8 << 20;
const STALL: u64 = 5 << 20;

/// A registry with one layer of `SIZE` bytes behind a relay, and a store with a part of it from a process
/// that was killed by `words`.
fn killed(words: &dyn Fn(&str) -> Vec<String>) -> (Workspace, Served, Relay, Workspace) {
    let source = Workspace::new();
    source.file("Dockerfile", "FROM scratch\nCOPY noise /noise\n");
    source.file("noise", noise(SIZE as usize));
    source.build(&["-t", "big:1"]);
    let server = Served::start(&source, &["--read-only"]);
    let relay = Relay::start(server.host());
    relay.stall_after(Some(STALL));
    let workspace = Workspace::new();
    let mut child = workspace.rbuild().args(words(&relay.name("big:1"))).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !parts(&workspace).iter().any(|(_, size)| *size > STALL / 2) {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it stalls with a part");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    relay.stall_after(None);
    relay.heads();
    (workspace, server, relay, source)
}

#[test]
fn a_killed_pull_goes_on_with_what_it_had() {
    for verb in ["pull", "copy"] {
        let words = |name: &str| -> Vec<String> {
            let more = if verb == "copy" { Some("store:mine:1") } else { None };
            [verb, "-q", name].into_iter().chain(more).map(str::to_owned).collect()
        };
        let (workspace, server, relay, _source) = killed(&words);
        let had = parts(&workspace).iter().map(|(_, size)| *size).max().unwrap();
        workspace.ok(&words(&relay.name("big:1")).iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ranges(&relay), [format!("{had}-")], "{verb}");
        assert!(relay.passed() < SIZE * 11 / 10 + (STALL - had), "{verb}: {} bytes", relay.passed());
        assert_eq!(parts(&workspace), [], "{verb}");
        let name = if verb == "copy" { "mine:1".to_owned() } else { relay.name("big:1") };
        workspace.ok(&["validate", &format!("store:{name}")]);
        assert_eq!(server.stop(), Some(0));
    }
}

#[test]
fn a_killed_copy_goes_on_wherever_it_goes() {
    let source = Workspace::new();
    source.file("Dockerfile", "FROM scratch\nCOPY noise /noise\n");
    source.file("noise", noise(SIZE as usize));
    source.build(&["-t", "big:1"]);
    let server = Served::start(&source, &["--read-only"]);
    let target = Workspace::new();
    let target_server = Served::start(&target, &[]);
    for to in ["oci:", "dir:", "oci-archive:", "docker-archive:", "docker://"] {
        let relay = Relay::start(server.host());
        let workspace = Workspace::new();
        let place = match to {
            "docker://" => format!("docker://{}", target_server.name("mine:1")),
            _ => format!("{to}{}", workspace.path().join("copied").display()),
        };
        let from = format!("docker://{}", relay.name("big:1"));
        relay.stall_after(Some(STALL));
        let mut child = workspace.rbuild().args(["copy", "-q", &from, &place]).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while relay.passed() < STALL {
            assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "{to}: it stalls");
            std::thread::sleep(Duration::from_millis(10));
        }
        // What passed last is on its way to the disk.
        std::thread::sleep(Duration::from_millis(200));
        child.kill().unwrap();
        child.wait().unwrap();
        relay.stall_after(None);
        relay.heads();
        workspace.ok(&["copy", "-q", &from, &place]);
        let ranges = ranges(&relay);
        let had: u64 = ranges.first().and_then(|range| range.split('-').next()?.parse().ok()).unwrap_or(0);
        assert!(ranges.len() == 1 && had > STALL / 2, "{to}: {ranges:?}");
        assert!(relay.passed() < SIZE * 11 / 10 + (STALL - had), "{to}: {} bytes", relay.passed());
        assert_eq!(parts(&workspace), [], "{to}");
        workspace.ok(&["validate", &place]);
    }
    assert_eq!(target_server.stop(), Some(0));
    assert_eq!(server.stop(), Some(0));
}

/// The ranges that were asked for since the last look.
fn ranges(relay: &Relay) -> Vec<String> {
    let range = |head: &String| {
        Some(head.to_lowercase().split_once("range: bytes=")?.1.split_once("\r\n")?.0.to_owned())
    };
    relay.heads().iter().filter_map(range).collect()
}

#[test]
fn a_part_of_other_bytes_costs_a_second_transfer_and_no_more() {
    let words = |name: &str| ["pull", "-q", name].map(str::to_owned).to_vec();
    let (workspace, server, relay, _source) = killed(&words);
    let (path, _) = parts(&workspace).into_iter().max_by_key(|(_, size)| *size).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    workspace.ok(&["pull", "-q", &relay.name("big:1")]);
    workspace.ok(&["validate", &format!("store:{}", relay.name("big:1"))]);
    assert_eq!(parts(&workspace), []);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn parts_that_nobody_goes_on_with_are_pruned() {
    let words = |name: &str| ["pull", "-q", name].map(str::to_owned).to_vec();
    let (workspace, server, _relay, _source) = killed(&words);
    workspace.ok(&["prune"]);
    assert_eq!(parts(&workspace), []);
    assert_eq!(server.stop(), Some(0));
}
