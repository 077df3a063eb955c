//! Private networks.

use std::fs;
use std::io::{BufRead, Read};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use runtime_exec::{Confinement, DNS_RELAY, Exit, Gateway, Keepers, NetworkMode, Running, Stage, StepIo};

use super::support::{Case, Place, Step};

pub fn cases() -> Vec<Case> {
    vec![
        ("private_network_has_a_way_out", private_network_has_a_way_out),
        ("private_network_hides_the_hosts_loopback", private_network_hides_the_hosts_loopback),
        ("private_network_ends_with_the_step", private_network_ends_with_the_step),
        ("networks_are_made_ahead_and_each_serves_once", networks_are_made_ahead),
        ("networks_end_with_a_keeper_that_is_killed", networks_end_with_their_keeper),
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

fn start_one(keepers: &Keepers, step: &Step) -> (Running, fs::File) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let io = StepIo { stdin: None, stdout: writer.try_clone().unwrap(), stderr: writer };
    (keepers.spawn(&step.spec, io).unwrap(), reader.into())
}

fn networks_are_made_ahead(place: &Place) {
    if !can() {
        return;
    }
    let before = pastas();
    let keepers = Keepers::for_many();
    keepers.expect_network(Gateway::Hidden);
    keepers.expect_network(Gateway::Hidden);
    let look = "ip -o route; ip rule | wc -l; ls /sys/class/net; readlink /proc/self/ns/net; \
        ip route add 203.0.113.0/24 dev lo; ip link set lo mtu 1000";
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (running, mut reader) =
            start_one(&keepers, &private(place, look).with(|spec| spec.confinement = Confinement::Insecure));
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert_eq!(running.wait().unwrap(), Exit::Code(0), "{said}");
        assert!(said.contains("default via "), "{said}");
        seen.push(said);
    }
    let (names, looks): (Vec<String>, Vec<Vec<String>>) = seen
        .iter()
        .map(|said| {
            let (names, others): (Vec<&str>, Vec<&str>) =
                said.lines().partition(|line| line.starts_with("net:"));
            (names.concat(), others.into_iter().map(str::to_owned).collect::<Vec<_>>())
        })
        .unzip();
    assert!(looks.windows(2).all(|pair| pair[0] == pair[1]), "{looks:?}");
    assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2], "{names:?}");
    assert!(pastas() > before, "one waits for the next step");
    drop(keepers);
    assert_eq!(pastas(), before);
}

fn networks_end_with_their_keeper(place: &Place) {
    if !can() {
        return;
    }
    let before = pastas();
    let keepers = Keepers::for_many();
    let (running, reader) =
        start_one(&keepers, &private(place, "readlink /proc/self/ns/net; exec sleep 1000"));
    assert!(pastas() > before);
    let mut line = String::new();
    std::io::BufReader::new(reader).read_line(&mut line).unwrap();
    let network = line.trim().to_owned();
    assert!(held(&network));
    let keeper = running.process().and_then(|pid| i32::try_from(pid).ok());
    let keeper = keeper.and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(keeper, rustix::process::Signal::KILL).unwrap();
    assert!(running.wait().is_err());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while held(&network) && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(!held(&network), "nothing holds the network of the step");
}

/// Whether a process is in a network, or holds it open.
fn held(network: &str) -> bool {
    let leads = |path: std::path::PathBuf| fs::read_link(path).is_ok_and(|to| to.as_os_str() == network);
    fs::read_dir("/proc").unwrap().any(|entry| {
        let process = entry.unwrap().path();
        let fds = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        leads(process.join("ns/net")) || fds.map(|fd| fd.path()).any(leads)
    })
}

/// The `pasta` processes of this mode, without the short-lived ones that each of them starts for itself.
fn pastas() -> usize {
    let parent = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1).map(str::to_owned)
    };
    let own = std::process::id().to_string();
    let is_ours = |pid: &str| {
        std::iter::successors(Some(pid.to_owned()), |pid| parent(pid)).any(|ancestor| ancestor == own)
    };
    let is_pasta =
        |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("pas"));
    fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.parse::<u32>().is_ok() && is_ours(name))
        .filter(|pid| is_pasta(pid) && !parent(pid).is_some_and(|parent| is_pasta(&parent)))
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
