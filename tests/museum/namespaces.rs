//! What a step shares with the host if nobody takes care.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use defence::Defence;

use crate::descriptors::said;
use crate::exhibit::{CANARY, Exhibit, Loot, stolen};
use crate::modes::Mode;
use crate::support::Place;

/// In a user namespace the kernel itself insists on the other namespaces.
const ROOT: &[Mode] = &[Mode::Root];

pub const EXHIBITS: &[Exhibit] = &[
    Exhibit::entered("host-tree-above-root", &[Defence::HostTreeLetGo], &Mode::ALL, host_tree),
    Exhibit::entered("processes-of-the-host", &[Defence::OwnProcesses], ROOT, processes),
    Exhibit::entered("network-of-the-host", &[Defence::OwnNetwork], ROOT, network),
    Exhibit::entered("memory-of-the-host", &[Defence::OwnMemory], ROOT, memory),
];

/// Above the root is the root. What lies there while it is made covers the host's tree.
fn host_tree(place: &Place) -> Loot {
    let above = place.says("[ \"$(ls -ai /)\" = \"$(ls -ai /..)\" ] || ls -ai /..");
    (!above.is_empty()).then_some(above)
}

fn processes(place: &Place) -> Loot {
    // A name that no process of a step has.
    let said = said(&place.sh(&format!("cat /proc/{}/comm", std::process::id())));
    said.contains("museum").then_some(said)
}

fn network(place: &Place) -> Loot {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (mut caller, _) = listener.accept().unwrap();
        // Whoever called may be gone already.
        let _ = caller.write_all(CANARY.as_bytes());
    });
    let loot = stolen(&said(&place.sh(&format!("nc 127.0.0.1 {port} < /dev/null"))));
    // Nobody may have called.
    drop(TcpStream::connect(("127.0.0.1", port)));
    serving.join().unwrap();
    loot
}

fn memory(place: &Place) -> Loot {
    let made = Command::new("ipcmk").args(["-M", "64"]).output().unwrap();
    let text = String::from_utf8(made.stdout).unwrap();
    let id = text.split_whitespace().last().unwrap().to_owned();
    let seen = said(&place.sh("cat /proc/sysvipc/shm"));
    assert!(Command::new("ipcrm").args(["-m", &id]).status().unwrap().success());
    let found = seen.lines().skip(1).any(|line| line.split_whitespace().nth(1) == Some(id.as_str()));
    found.then_some(seen)
}
