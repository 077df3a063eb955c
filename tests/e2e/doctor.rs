//! `rbuild doctor`: what a host offers is found out, and what it lacks is named.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::ordinary::Ordinary;
use crate::support::{has, is_root};

const RBUILD: &str = env!("CARGO_BIN_EXE_rbuild");

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// What is said of one topic.
fn finding<'a>(report: &'a Value, topic: &str) -> &'a Value {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["topic"] == topic).unwrap()
}

/// Nothing may stay where the store would be.
fn empty(dir: &Path) {
    let left: Vec<_> = std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn root_of_the_host_is_told_that_builds_run() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let store = store.to_str().unwrap();
    let output = Command::new(RBUILD).args(["doctor", "--root", store, "--format=json"]).output().unwrap();
    let report = report(&output);
    assert_eq!((output.status.code(), report["mode"].as_str()), (Some(0), Some("root")), "{report:#}");
    for topic in ["namespaces", "mounts", "proc", "system-call-filter", "overlay", "store"] {
        assert_eq!(finding(&report, topic)["severity"], "good", "{report:#}");
    }
    let output = Command::new(RBUILD).args(["doctor", "--root", store]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.ends_with("builds can run here, in mode root\n"), "{text}");
    empty(dir.path());
}

#[test]
fn an_ordinary_user_is_told_which_ids_it_has_or_lacks() {
    if !(is_root() && has("newuidmap")) {
        return;
    }
    let user = Ordinary::new();
    let output = user.command(Path::new(RBUILD)).args(["doctor", "--format=json"]).output().unwrap();
    let report_with = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report_with:#}");
    assert_eq!(report_with["mode"], "mapped");
    assert_eq!(finding(&report_with, "overlay")["severity"], "good");
    empty(&user.home());

    let user = Ordinary::without_ids();
    let output = user.command(Path::new(RBUILD)).args(["doctor", "--format=json"]).output().unwrap();
    let report = report(&output);
    let maps = finding(&report, "id-maps");
    assert!(maps["advice"].as_str().unwrap().contains("builder:100000:65536 to /etc/subuid"), "{report:#}");
    assert_eq!(finding(&report, "user-namespace")["severity"], "good", "{report:#}");
    assert_eq!((output.status.code(), report["mode"].as_str()), (Some(0), Some("single-id")), "{report:#}");
}

#[test]
fn a_refused_user_namespace_is_named_with_the_setting_that_refuses() {
    if !(is_root() && has("setpriv")) {
        return;
    }
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
                  exec setpriv --bounding-set=-all --inh-caps=-all \"$0\" doctor --root /tmp/none --format=json";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", script, RBUILD])
        .output()
        .unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(4), "{report:#}");
    let namespace = finding(&report, "user-namespace");
    assert_eq!(namespace["refused"]["call"], "clone(CLONE_NEWUSER)", "{report:#}");
    assert_eq!(namespace["refused"]["errno"], rustix::io::Errno::NOSPC.raw_os_error(), "{report:#}");
    assert!(namespace["advice"].as_str().unwrap().contains("user.max_user_namespaces"), "{report:#}");
}
