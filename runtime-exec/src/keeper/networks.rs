//! Private networks, made ahead of the steps that get them: `pasta` takes some forty milliseconds to connect one,
//! most of which the kernel waits for itself, and to end as long again.
//!
//! Every step gets a namespace that no other process was in. All of it ends with the keeper.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::pasta::{Pasta, Way};
use crate::channel::{Channel, retry};
use crate::error::{Failure, Stage};
use crate::gateway::Gateway;
use crate::step::{self, At};
use crate::sys::clone::{Forked, fork_into};
use crate::sys::process::exit_now;

/// How long a network may take.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);
/// Networks that wait for steps, where steps come faster than networks are made.
const MOST: usize = 8;

/// A network namespace that is connected, or will be soon.
pub(super) struct Network {
    namespace: Namespace,
    way: Way,
    pasta: Pasta,
    ready: bool,
}

/// A network namespace that nothing else holds.
struct Namespace {
    itself: OwnedFd,
    /// Its routes, in the fourth version and, where the kernel has that, the sixth.
    routes: Vec<File>,
}

/// The networks of a keeper.
#[derive(Default)]
pub(super) struct Networks {
    waiting: VecDeque<Network>,
    /// Those that are ending.
    leaving: Vec<Pasta>,
    /// How many wait for the next steps.
    ahead: usize,
}

impl Networks {
    /// Has one wait for a step to come.
    pub(super) fn expect(&mut self, gateway: Gateway) -> Result<(), Failure> {
        self.ahead = self.ahead.max(1);
        self.fill(gateway)
    }

    /// One for a step, made now where none waits.
    pub(super) fn take(&mut self, way: &Way) -> Result<Network, Failure> {
        self.leaving.retain_mut(|pasta| !pasta.ended());
        let found = self.waiting.iter().position(|network| network.way == *way);
        let mut network = match found.and_then(|place| self.waiting.remove(place)) {
            Some(network) => network,
            None => Network::make(way.clone())?,
        };
        if !network.is_ready() {
            self.ahead = (2 * self.ahead).clamp(1, MOST);
        }
        Ok(network)
    }

    /// Makes as many as shall wait.
    pub(super) fn fill(&mut self, gateway: Gateway) -> Result<(), Failure> {
        while self.waiting.len() < self.ahead {
            self.waiting.push_back(Network::make(Way { gateway, ports: Vec::new() })?);
        }
        Ok(())
    }

    /// Ends the network of a step that is over. The next step need not wait for that.
    pub(super) fn end(&mut self, network: Network) {
        network.pasta.dismiss();
        self.leaving.push(network.pasta);
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        // All at once; each is waited for when it is dropped.
        self.waiting.iter().for_each(|network| network.pasta.dismiss());
    }
}

impl Network {
    fn make(way: Way) -> Result<Self, Failure> {
        let namespace = Namespace::make()?;
        let pasta = Pasta::start(&namespace.itself, &way)?;
        Ok(Self { namespace, way, pasta, ready: false })
    }

    /// The namespace, to be entered.
    pub(super) fn namespace(&self) -> io::Result<OwnedFd> {
        self.namespace.itself.try_clone()
    }

    fn is_ready(&mut self) -> bool {
        self.ready = self.ready || self.namespace.leads_out();
        self.ready
    }

    /// Until its interface has an address and a route.
    pub(super) fn await_ready(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_ready() {
            self.pasta.check()?;
            if Instant::now() > deadline {
                return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)).at(Stage::Network, "pasta");
            }
            std::thread::sleep(PAUSE);
        }
        // It may have ended since.
        self.pasta.check()
    }
}

impl Namespace {
    /// By a process that ends at once: this one may be unable to come back from there.
    fn make() -> Result<Self, Failure> {
        let (ours, theirs) = Channel::pair().at(Stage::Network, "channel")?;
        match fork_into(libc::CLONE_NEWNET as u64).at(Stage::Network, "namespace")? {
            Forked::Child => {
                let answer = hand_over(&theirs).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO));
                // The end of the connection says as much.
                let _ = answer.or_else(|errno| theirs.send(&Some(errno), &[]));
                exit_now(0)
            }
            Forked::Parent { pidfd, .. } => {
                drop(theirs);
                let answer = ours.receive::<Option<i32>>();
                let _ = retry(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED));
                let (errno, fds) =
                    answer.at(Stage::Network, "namespace")?.unwrap_or((Some(libc::ECHILD), Vec::new()));
                let mut fds = fds.into_iter();
                match (errno, fds.next()) {
                    (None, Some(itself)) => Ok(Self { itself, routes: fds.map(File::from).collect() }),
                    (errno, _) => Err(io::Error::from_raw_os_error(errno.unwrap_or(libc::EBADF)))
                        .at(Stage::Network, "namespace"),
                }
            }
        }
    }

    /// Whether it has a default route.
    fn leads_out(&mut self) -> bool {
        let mut texts = self.routes.iter_mut().map(|file| {
            let mut text = String::new();
            // One that cannot be read shows no route.
            let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
            text
        });
        let (four, six) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        leads_out(&four, &six)
    }
}

/// In the new namespace: switches loopback on, and sends what refers to the namespace.
fn hand_over(to: &Channel) -> io::Result<()> {
    step::limits::loopback()?;
    let (itself, four) = (File::open("/proc/self/ns/net")?, File::open("/proc/self/net/route")?);
    // A kernel may lack the sixth version.
    let six = File::open("/proc/self/net/ipv6_route").ok();
    let mut fds = vec![itself.as_fd(), four.as_fd()];
    fds.extend(six.iter().map(AsFd::as_fd));
    to.send(&None::<i32>, &fds)
}

fn leads_out(four: &str, six: &str) -> bool {
    let is_default = |line: &str| line.split_whitespace().nth(1) == Some("00000000");
    let is_default_six = |line: &str| line.starts_with(&"0".repeat(32)) && !line.trim_end().ends_with(" lo");
    four.lines().any(is_default) || six.lines().any(is_default_six)
}

#[cfg(test)]
mod tests {
    use super::leads_out;

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
}
