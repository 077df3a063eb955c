//! Pulls, pushes and copies that were killed.

use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::support::has;
use crate::support::registry::{Access, Registry};
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

/// Kills a process once the relay holds back what is left for it.
fn kill_in_the_middle(relay: &Relay, child: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while relay.passed() < STALL {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it stalls");
        std::thread::sleep(Duration::from_millis(10));
    }
    // What passed last is on its way to the disk.
    std::thread::sleep(Duration::from_millis(200));
    child.kill().unwrap();
    child.wait().unwrap();
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
        kill_in_the_middle(&relay, &mut child);
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

/// Kills `words` once the relay has passed so many bytes of bodies, and leaves it time to hand them on.
fn killed_while_sending(workspace: &Workspace, relay: &Relay, words: &[&str]) {
    let most = relay.sent() + STALL;
    relay.hold_bodies_after(Some(most));
    let mut child = workspace.rbuild().args(words).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while relay.sent() < most - (64 << 10) {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "{words:?}: it stalls");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    relay.hold_bodies_after(None);
    std::thread::sleep(Duration::from_millis(300));
    relay.heads();
}

/// The images' layers were never packed, or lie in a layout; each goes to a registry that took the half of one.
#[test]
fn a_killed_push_goes_on_where_the_registry_stands() {
    let source = Workspace::new();
    source.file("Dockerfile", "FROM scratch\nCOPY noise /noise\n");
    source.file("noise", noise(SIZE as usize));
    source.build(&["-t", "big:1"]);
    let layout = format!("oci:{}:1", source.path().join("layout").display());
    // Other bytes, since a registry keeps what one repository has for all.
    source.file("noise", noise(SIZE as usize).into_iter().rev().collect::<Vec<u8>>());
    source.build(&["-t", "other:1"]);
    let digest = source.ok(&["copy", "-q", "store:other:1", &layout]).out;
    let kept = Workspace::new();
    let own = Served::start(&kept, &[]);
    let theirs = has("docker-registry").then(|| Registry::start(Access::Open));
    let hosts = theirs.iter().map(|registry| registry.name("").trim_end_matches('/').to_owned());
    for host in hosts.chain([own.host().to_owned()]) {
        let relay = Relay::start(&host);
        let target = |path: &str| relay.name(&format!("{path}/big:1"));
        let (pushed, copied) = (target("pushed"), format!("docker://{}", target("copied")));
        for words in [&["push", "-q", "big:1", &pushed][..], &["copy", "-q", &layout, &copied]] {
            let before = relay.sent();
            killed_while_sending(&source, &relay, words);
            let had = relay.sent() - before;
            let sent_digest = source.ok(words).out;
            assert!(words[0] == "push" || sent_digest == digest, "{host} {words:?}");
            // docker-registry refuses to go on with what broke: its sessions know where the last request ended.
            let stood = upload_ranges(&relay).first().copied().unwrap_or(0);
            assert!(stood > STALL / 2 || host != own.host(), "{words:?}: at {stood} of {had}");
            let sent = relay.sent() - before;
            assert!(sent < SIZE * 11 / 10 + (had - stood), "{host} {words:?}: {sent} bytes");
            let name = words[words.len() - 1].trim_start_matches("docker://");
            source.ok(&["validate", &format!("docker://{name}")]);
            let notes = std::fs::read_dir(source.path().join("home/.cache/rbuild/uploads")).unwrap();
            assert_eq!(notes.count(), 0, "{host} {words:?}");
        }
    }
    assert_eq!(own.stop(), Some(0));
}

/// What is made of an encrypted layer, of a layer whose times are changed, and what goes by under other media types.
#[test]
fn a_killed_copy_that_makes_its_blobs_goes_on() {
    let source = Workspace::new();
    source.file("Dockerfile", "FROM scratch\nCOPY noise /noise\n");
    source.file("noise", noise(SIZE as usize));
    source.build(&["-t", "big:1"]);
    let server = Served::start(&source, &[]);
    let mut cases = vec![vec!["copy", "-q", "--format=v2s2"], vec!["mutate", "--timestamp=1000", "-t"]];
    let keys = has("openssl").then(|| crate::encryption::rsa_keys(&source));
    let (private, public) = keys.unwrap_or_default();
    let recipient = format!("jwe:{public}");
    if has("openssl") {
        let sealed = server.name("sealed:1");
        source.ok(&["push", "-q", "big:1", &sealed, "--encryption-key", &recipient]);
        cases.push(vec!["copy", "-q", "--encryption-key", &recipient]);
        cases.push(vec!["copy", "-q", "--decryption-key", &private]);
    }
    for words in &cases {
        let relay = Relay::start(server.host());
        let workspace = Workspace::new();
        let from = match words.contains(&private.as_str()) {
            true => format!("docker://{}", relay.name("sealed:1")),
            false => format!("docker://{}", relay.name("big:1")),
        };
        let to = format!("oci:{}:1", workspace.path().join("made").display());
        let places = if words[0] == "mutate" { [to.as_str(), &from] } else { [from.as_str(), &to] };
        let all = [&words[..], &places].concat();
        relay.stall_after(Some(STALL));
        let mut child = workspace.rbuild().args(&all).spawn().unwrap();
        kill_in_the_middle(&relay, &mut child);
        relay.stall_after(None);
        relay.heads();
        workspace.ok(&all);
        let ranges = ranges(&relay);
        let had: u64 = ranges.first().and_then(|range| range.split('-').next()?.parse().ok()).unwrap_or(0);
        assert!(ranges.len() == 1 && had > STALL / 2, "{words:?}: {ranges:?}");
        assert!(relay.passed() < SIZE * 11 / 10 + (STALL - had), "{words:?}: {} bytes", relay.passed());
        assert_eq!(parts(&workspace), [], "{words:?}");
        workspace.ok(&["validate", &to]);
    }
    assert_eq!(server.stop(), Some(0));
}

/// Where pieces of uploads began since the last look, the first pieces aside.
fn upload_ranges(relay: &Relay) -> Vec<u64> {
    let start = |head: &String| {
        let range = head.to_lowercase().split_once("content-range: ")?.1.split_once('-')?.0.to_owned();
        range.trim_start_matches("bytes=").parse().ok().filter(|start| *start > 0)
    };
    relay.heads().iter().filter_map(start).collect()
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
