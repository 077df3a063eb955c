//! A network for a step by `pasta`, which carries its traffic through sockets of the host.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{group, pid_of};
use crate::error::{Failure, Stage};
use crate::gateway::Gateway;
use crate::spec::{DEFAULT_PATH, DNS_RELAY, Protocol, PublishedPort};
use crate::step::At;

const PROGRAM: &str = "pasta";
/// How long `pasta` may take; it usually takes a twentieth of a second.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

/// What of the host a network has to do with.
pub(super) struct Way {
    /// Whether its loopback is reached.
    pub(super) gateway: Gateway,
    /// Its ports that lead inside.
    pub(super) ports: Vec<PublishedPort>,
}

impl Way {
    /// Options for the ports; without any of a kind, `pasta` is told that there are none.
    fn published(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (protocol, option) in [(Protocol::Tcp, "-t"), (Protocol::Udp, "-u")] {
            let own: Vec<&PublishedPort> =
                self.ports.iter().filter(|port| port.protocol == protocol).collect();
            if own.is_empty() {
                words.extend([option.to_owned(), "none".to_owned()]);
            }
            for port in own {
                let address = port.address.map(|address| format!("{address}/")).unwrap_or_default();
                words.extend([option.to_owned(), format!("{address}{}:{}", port.host, port.inside)]);
            }
        }
        words
    }
}

/// A running `pasta`, which ends when this is dropped.
pub(super) struct Pasta {
    process: Child,
    said: File,
}

impl Pasta {
    /// Connects the network namespace of a step; returns when its interface has an address and a route.
    pub(super) fn start(namespace: OwnedFd, step: BorrowedFd<'_>, way: &Way) -> Result<Pasta, Failure> {
        let pid = pid_of(step).at(Stage::Network, "step")?;
        let said = rustix::fs::memfd_create("said", MemfdFlags::CLOEXEC).at(Stage::Network, "memory")?;
        // By its descriptor: `pasta` may not look into the step's process.
        rustix::io::fcntl_setfd(&namespace, FdFlags::empty()).at(Stage::Network, "namespace")?;
        sweep();
        let own = std::process::id();
        let process = Command::new(PROGRAM)
            // It is what it is called, and this name says whose it is.
            .arg0(format!("{}-{PROGRAM}", group::name_of(own)))
            .args(["--config-net", "--quiet", "--foreground", "--netns-only"])
            .args(match way.gateway {
                Gateway::Hidden => &["--no-map-gw"][..],
                Gateway::Host => &[],
            })
            .args(way.published())
            .args(["-T", "none", "-U", "none"])
            // As root it would become nobody, who may not enter the namespace. It gives up every
            // privilege that it does not need, and its root, by itself.
            .args(["--runas", "0", "--dns-forward", &DNS_RELAY.to_string(), "--netns"])
            .arg(format!("/proc/self/fd/{}", namespace.as_raw_fd()))
            .env_clear()
            .env("PATH", DEFAULT_PATH)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(said.try_clone().at(Stage::Network, "memory")?))
            .spawn()
            .at(Stage::Network, "pasta (package passt)")?;
        let mut pasta = Pasta { process, said: File::from(said) };
        pasta.wait_until_ready(pid)?;
        Ok(pasta)
    }

    fn wait_until_ready(&mut self, step: u32) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while !has_route(step) {
            if self.process.try_wait().at(Stage::Network, PROGRAM)?.is_some() {
                let reason = format!("{PROGRAM}: {}", self.last_words());
                return Err(Failure { stage: Stage::Network, path: reason, errno: libc::ENETUNREACH });
            }
            if Instant::now() > deadline {
                return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)).at(Stage::Network, PROGRAM);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// The last line that it wrote about itself.
    fn last_words(&mut self) -> String {
        let mut bytes = Vec::new();
        // Without a reason, that it ended is still to be said.
        let _ = self.said.seek(SeekFrom::Start(0)).and_then(|_| self.said.read_to_end(&mut bytes));
        last_line(&String::from_utf8_lossy(&bytes)).to_owned()
    }
}

impl Drop for Pasta {
    fn drop(&mut self) {
        // One that ended by itself needs no killing.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ends those whose keepers were killed before they could do it.
fn sweep() {
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|_| is_orphan(&process.path())) else { continue };
        // By a descriptor: the number may be another's by the time of the signal.
        if let Ok(process_fd) = pidfd_open(pid, PidfdFlags::empty())
            && is_orphan(&process.path())
        {
            // One of another user is that user's to end.
            let _ = pidfd_send_signal(&process_fd, Signal::KILL);
        }
    }
}

/// Whether a process is a `pasta` without its keeper.
fn is_orphan(process: &Path) -> bool {
    let words = fs::read(process.join("cmdline")).unwrap_or_default();
    let name = words.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = std::str::from_utf8(name).ok().and_then(|name| name.strip_suffix("-pasta"));
    name.is_some_and(group::is_orphan)
}

/// `pasta` remarks on every line that no system log takes.
fn last_line(text: &str) -> &str {
    text.lines().rfind(|line| !line.ends_with("to syslog") && !line.is_empty()).unwrap_or("it ended")
}

/// Whether the network of a process has a way out, in the fourth or the sixth version.
fn has_route(pid: u32) -> bool {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
    leads_out(&read("route"), &read("ipv6_route"))
}

fn leads_out(four: &str, six: &str) -> bool {
    let is_default = |line: &str| line.split_whitespace().nth(1) == Some("00000000");
    let is_default_six = |line: &str| line.starts_with(&"0".repeat(32)) && !line.trim_end().ends_with(" lo");
    four.lines().any(is_default) || six.lines().any(is_default_six)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_route_leads_out() {
        let header = "Iface\tDestination\tGateway\n";
        let local = "eth0\t0000A8C0\t00000000\n";
        let default = "eth0\t00000000\t010200C0\n";
        let zeros = "0".repeat(32);
        let lo = format!("{zeros} 00 {zeros} 00 {zeros} ffffffff 1 0 200200       lo\n");
        let six = format!("{zeros} 00 {zeros} 00 fe800000000000000000000000000001 400 1 0 3     eth0\n");
        assert!(!leads_out("", ""));
        assert!(!leads_out(&format!("{header}{local}"), &lo));
        assert!(leads_out(&format!("{header}{local}{default}"), &lo));
        assert!(leads_out(header, &six));
    }

    #[test]
    fn ports_are_options() {
        let port = |address: Option<&str>, host, protocol| PublishedPort {
            address: address.map(|text| text.parse().unwrap()),
            host,
            inside: 80,
            protocol,
        };
        let ports = vec![port(None, 8080, Protocol::Tcp), port(Some("127.0.0.1"), 81, Protocol::Tcp)];
        let way = Way { gateway: Gateway::Hidden, ports };
        assert_eq!(way.published(), ["-t", "8080:80", "-t", "127.0.0.1/81:80", "-u", "none"]);
    }

    #[test]
    fn remarks_about_the_log_are_no_reason() {
        assert_eq!(last_line("No such netns\nFailed to send 13 bytes to syslog\n"), "No such netns");
        assert_eq!(last_line(""), "it ended");
    }
}
