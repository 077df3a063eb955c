//! Private networks.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use runtime_exec::{DNS_RELAY, NetworkMode, Stage};

use super::support::{Case, Place, Step};

pub fn cases() -> Vec<Case> {
    vec![
        ("private_network_has_a_way_out", private_network_has_a_way_out),
        ("private_network_hides_the_hosts_loopback", private_network_hides_the_hosts_loopback),
        ("private_network_ends_with_the_step", private_network_ends_with_the_step),
        ("names_reach_the_hosts_resolver", names_reach_the_hosts_resolver),
    ]
}

fn private(place: &Place, script: &str) -> Step {
    place.sh(script).with(|spec| spec.network = NetworkMode::Private)
}

/// Whether such a network can be had; a host that has no route itself has none to give.
fn can() -> bool {
    let routes = fs::read_to_string("/proc/net/route").unwrap();
    let missing = if !Path::new("/usr/bin/pasta").exists() {
        "pasta"
    } else if !routes.lines().any(|line| line.split_whitespace().nth(1) == Some("00000000")) {
        "a default route"
    } else {
        return true;
    };
    super::missing(missing);
    false
}

fn private_network_has_a_way_out(place: &Place) {
    if !can() {
        return;
    }
    let said = private(place, "ip -o route; readlink /proc/self/ns/net").output();
    assert!(said.contains("default via "), "{said}");
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    assert!(!said.contains(own.to_str().unwrap()), "{said}");
}

fn private_network_hides_the_hosts_loopback(place: &Place) {
    if !can() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "for a in 127.0.0.1 $(ip route | grep default | cut -d' ' -f3); do
            timeout 2 nc -w 1 $a {port} </dev/null >/dev/null 2>&1; done; true"
    );
    for (network, arrives) in [(NetworkMode::Private, false), (NetworkMode::Host, true)] {
        place.sh(&script).with(|spec| spec.network = network).output();
        assert_eq!(listener.accept().is_ok(), arrives, "{network:?}");
    }
}

fn private_network_ends_with_the_step(place: &Place) {
    if !can() {
        return;
    }
    let before = pastas();
    assert_eq!(private(place, "true").output(), "");
    let failed = place.step(&["nosuch"]).with(|spec| spec.network = NetworkMode::Private).fails();
    assert_eq!(failed.stage(), Some(Stage::Exec));
    let (running, _reader) = private(place, "sleep 1000").start().unwrap();
    assert_eq!(pastas(), before + 1);
    drop(running);
    assert_eq!(pastas(), before);
}

/// The `pasta` processes of this mode: their network namespaces are named by a descriptor.
fn pastas() -> usize {
    let own = std::process::id();
    let child_of = |pid: &str, parent: u32| {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            let rest = stat.rsplit(')').next().unwrap_or_default();
            rest.split_whitespace().nth(1) == Some(&parent.to_string())
        })
    };
    let pids: Vec<String> = fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.parse::<u32>().is_ok())
        .collect();
    let keepers: Vec<u32> =
        pids.iter().filter(|pid| child_of(pid, own)).map(|pid| pid.parse().unwrap()).collect();
    pids.iter()
        .filter(|pid| keepers.iter().any(|keeper| child_of(pid, *keeper)))
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("pas"))
        })
        .count()
}

/// A question to the relay arrives at the resolver that `/etc/resolv.conf` names, here a stub on
/// loopback, as systemd-resolved is one.
fn names_reach_the_hosts_resolver(place: &Place) {
    if !can() {
        return;
    }
    // The host's files are exchanged in the mounts of this process alone.
    let Ok(stub) = UdpSocket::bind("127.0.0.53:53") else {
        println!("left out: 127.0.0.53:53 is taken, or not for ordinary users");
        return;
    };
    let dir = place.fresh();
    fs::write(dir.join("resolv.conf"), "nameserver 127.0.0.53\n").unwrap();
    rustix::mount::mount_bind(dir.join("resolv.conf"), "/etc/resolv.conf").unwrap();
    stub.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let script = format!("timeout 5 nslookup example.test {DNS_RELAY}; true");
    let (running, _reader) = private(place, &script).start().unwrap();
    let mut question = [0; 512];
    let heard = stub.recv(&mut question);
    rustix::mount::unmount("/etc/resolv.conf", rustix::mount::UnmountFlags::DETACH).unwrap();
    running.wait().unwrap();
    let question = String::from_utf8_lossy(&question[..heard.unwrap()]).into_owned();
    assert!(question.contains("example\u{4}test"), "{question:?}");
}
