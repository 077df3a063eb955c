//! `pasta`, which carries the traffic of a network namespace through sockets of the host.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Command, Stdio};

use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;
use rustix::process::{
    Signal, WaitId, WaitIdOptions, pidfd_send_signal, set_parent_process_death_signal, waitid,
};

use crate::channel::{Channel, retry};
use crate::error::{Failure, Stage};
use crate::gateway::Gateway;
use crate::spec::{DEFAULT_PATH, DNS_RELAY, Protocol, PublishedPort};
use crate::step::At;
use crate::sys::clone::{Forked, fork_into};
use crate::sys::process::{close_others_but, exit_now};

const PROGRAM: &str = "pasta";
/// What is missing where it is.
const NAME: &str = "pasta (package passt)";

/// What of the host a network has to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// A running `pasta`, in a process namespace of its own, whose first process is ours and ends with the keeper,
/// however that ends. Dropping it orders its end, and waits for that.
pub(super) struct Pasta {
    first: OwnedFd,
    report: Channel,
    said: File,
    /// Whether it is known that the program was started.
    started: bool,
    over: bool,
}

impl Pasta {
    /// Starts it for a network namespace; does not wait for anything.
    pub(super) fn start(namespace: &OwnedFd, way: &Way) -> Result<Pasta, Failure> {
        let said = rustix::fs::memfd_create("said", MemfdFlags::CLOEXEC).at(Stage::Network, "memory")?;
        let (report, reporter) = Channel::pair().at(Stage::Network, "channel")?;
        match fork_into(libc::CLONE_NEWPID as u64).at(Stage::Network, "process namespace")? {
            Forked::Child => be_first(namespace, way, &said, &reporter),
            Forked::Parent { pidfd, .. } => {
                Ok(Pasta { first: pidfd, report, said: File::from(said), started: false, over: false })
            }
        }
    }

    /// Fails where it could not be started, or ended.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        if !self.started {
            let answer = self.report.receive::<Option<i32>>().at(Stage::Network, PROGRAM)?;
            if let Some((Some(errno), _)) = answer {
                return Err(Failure { stage: Stage::Network, path: NAME.to_owned(), errno });
            }
            self.started = true;
        }
        if self.ended() {
            let reason = format!("{PROGRAM}: {}", self.last_words());
            return Err(Failure { stage: Stage::Network, path: reason, errno: libc::ENETUNREACH });
        }
        Ok(())
    }

    /// Whether it is gone; takes its end.
    pub(super) fn ended(&mut self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        self.over |= !matches!(waitid(WaitId::PidFd(self.first.as_fd()), options), Ok(None));
        self.over
    }

    /// Orders its end, which takes the kernel a while.
    pub(super) fn dismiss(&self) {
        if !self.over {
            // One that ended by itself needs no killing.
            let _ = pidfd_send_signal(&self.first, Signal::KILL);
        }
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
        self.dismiss();
        if !self.over {
            // It is killed: there is nothing else to come.
            let _ = retry(|| waitid(WaitId::PidFd(self.first.as_fd()), WaitIdOptions::EXITED));
        }
    }
}

/// The first process of the namespace: starts the program, and ends with it.
fn be_first(namespace: &OwnedFd, way: &Way, said: &OwnedFd, reporter: &Channel) -> ! {
    // A copy of what belongs to a step would keep that from ending.
    let needed = [namespace.as_fd(), said.as_fd(), reporter.as_fd()];
    let started = close_others_but(&needed)
        .and_then(|()| Ok(set_parent_process_death_signal(Some(Signal::KILL))?))
        .and_then(|()| command(namespace, way, said)?.spawn());
    let errno = started.as_ref().err().map(|error| error.raw_os_error().unwrap_or(libc::EIO));
    // A keeper that is gone takes this process with it.
    let _ = reporter.send(&errno, &[]);
    if let Ok(mut program) = started {
        let _ = program.wait();
    }
    exit_now(1)
}

fn command(namespace: &OwnedFd, way: &Way, said: &OwnedFd) -> io::Result<Command> {
    // By its descriptor: `pasta` may not look into other processes.
    rustix::io::fcntl_setfd(namespace, FdFlags::empty())?;
    let mut command = Command::new(PROGRAM);
    command
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
        .stderr(Stdio::from(said.try_clone()?));
    Ok(command)
}

/// `pasta` remarks on every line that no system log takes.
fn last_line(text: &str) -> &str {
    text.lines().rfind(|line| !line.ends_with("to syslog") && !line.is_empty()).unwrap_or("it ended")
}

#[cfg(test)]
mod tests {
    use super::*;

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
