//! The short form of `tests/crash`: a few of the places, chosen at random.

use std::process::Command;

use crate::support::{has, is_root};

#[test]
fn killed_or_without_room_at_any_moment_the_next_command_works() {
    let needs = ["python3", "strace", "busybox", "docker-registry"];
    if !(is_root() && needs.iter().all(|need| has(need))) {
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash");
    let output = Command::new("python3").args([script, env!("CARGO_BIN_EXE_rbuild"), "12", "3"]).output();
    let output = output.unwrap();
    let said = [output.stdout, output.stderr].concat();
    // The first line has the seed, with which all of it happens again.
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}
