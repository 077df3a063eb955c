//! The keeper: one process beside each sandbox, with one thread.
//!
//! It mounts the root file system on a descriptor, forks the step into its namespaces, passes on
//! signals, kills the step when the connection to the main process ends, and tidies the root when
//! the step is gone. Then it waits for the next one.

mod furnish;
mod group;
mod hierarchies;
mod networks;
mod oom;
mod orphans;
mod pasta;
mod stubs;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use defence::Defence;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use self::furnish::Furnished;
use self::group::Group;
use self::networks::{Network, Networks};
use self::pasta::Way;
use crate::channel::{Channel, retry};
use crate::emulation::Supervision;
use crate::error::{Failure, Stage};
use crate::keepers::After;
use crate::overlay::{self, Namespace, Stack};
use crate::running::{Ahead, Exit, Order, Word};
use crate::spec::{Identities, Isolation, NetworkMode, ProcessSpec, Root};
use crate::step::resolve::Stub;
use crate::step::{self, At, Report, Start, StepFds};
use crate::sys::clone::{Forked, fork_into};

/// The controllers that limits need, each with the directory in which groups with it are made.
pub(crate) fn controllers() -> io::Result<Vec<(&'static str, Option<PathBuf>)>> {
    let own = hierarchies::Hierarchies::own()?;
    let find = |name: &str| own.of(name).map(|(_, parent)| parent.to_owned());
    Ok(["memory", "cpu", "cpuset", "pids"]
        .into_iter()
        .map(|name| (name, find(name)))
        .chain([("io", find("io").or_else(|| find("blkio")))])
        .collect())
}

/// Keeps one sandbox after the other, until one goes wrong, or no other is wanted or possible; returns the exit
/// code of the keeper itself.
pub(crate) fn run(channel: Channel) -> i32 {
    // The terminal's signals are for the main process, which ends steps in its own way.
    let _ = rustix::process::setsid();
    let mut networks = Networks::default();
    loop {
        let (after, last_word) = match receive(&channel, &mut networks) {
            Ok(Some(wanted)) => (After::of(&wanted.spec), keep(&channel, wanted, &mut networks)),
            Ok(None) => return 0,
            Err(error) => (After::Gone, Err(Failure::new(Stage::Spec, "specification", &error))),
        };
        let after = if last_word.is_ok() { after } else { After::Gone };
        let word = last_word.map_or_else(Word::Failed, Word::Ended);
        // Without anyone to hear it, the word is not needed.
        let told = channel.send(&word, &[]);
        match (after, told) {
            (After::Free, Ok(())) => {}
            (After::Free, Err(_)) | (After::Gone, _) => return 0,
        }
    }
}

/// A sandbox that is wanted.
struct Wanted {
    spec: ProcessSpec,
    fds: StepFds,
    ahead: Ahead,
}

fn keep(channel: &Channel, wanted: Wanted, networks: &mut Networks) -> Result<Exit, Failure> {
    let next = match (wanted.ahead, wanted.spec.network) {
        (Ahead::Next, NetworkMode::Private) => Some(wanted.spec.gateway),
        (Ahead::Next, NetworkMode::None | NetworkMode::Host) | (Ahead::Nothing, _) => None,
    };
    let mut kept = start(wanted.spec, wanted.fds, networks)?;
    match kept.watch(channel, || {
        // A network that cannot be made now is made, or complained of, when the step comes.
        next.map(|gateway| networks.fill(gateway));
    }) {
        Ok(()) => kept.finish(networks),
        Err(error) => Err(Failure::new(Stage::Namespaces, "waiting", &error)),
    }
}

/// A sandbox that was started.
struct Kept {
    root: OwnedFd,
    step: OwnedFd,
    report: Channel,
    oom_kills: Option<u64>,
    heard: Heard,
    network: Option<Network>,
    group: Option<Group>,
    /// Kept for the supervisor, where there will be one.
    spec: Option<ProcessSpec>,
    /// What a step without mounts has in its root directory.
    furnished: Option<Furnished>,
    supervision: Option<Supervision>,
}

/// What the step told before its program ran.
#[derive(Default)]
struct Heard {
    stubs: Vec<Stub>,
    ready: bool,
    terminal: Option<OwnedFd>,
    failure: Option<Failure>,
    over: bool,
}

fn start(spec: ProcessSpec, fds: StepFds, networks: &mut Networks) -> Result<Kept, Failure> {
    let namespaces = |error| Failure::new(Stage::Namespaces, "keeper", &error);
    let root = open_root(&spec)
        .map_err(|(path, error)| Failure::new(Stage::Root, path.to_string_lossy(), &error))?;
    let furnished = match spec.isolation {
        Isolation::Namespaces => None,
        Isolation::Chroot => {
            step::chroot::check(&spec)?;
            orphans::adopt().map_err(namespaces)?;
            Some(Furnished::make(&root, &spec)?)
        }
    };
    let (report, reporter) = Channel::pair().map_err(namespaces)?;
    let group = (!spec.limits.is_empty()).then(|| Group::make(&spec.limits));
    let network = match spec.network {
        NetworkMode::Private if defence::stands(Defence::OwnNetwork) => {
            Some(networks.take(&Way { gateway: spec.gateway, ports: spec.ports.clone() })?)
        }
        NetworkMode::Private | NetworkMode::None | NetworkMode::Host => None,
    };
    let entered = network.as_ref().map(Network::namespace).transpose().at(Stage::Network, "namespace")?;
    match fork_into(namespaces_of(&spec)).map_err(|error| Failure::new(Stage::Namespaces, "clone", &error))? {
        Forked::Child => step::run(Start { spec, root, fds, network: entered, reporter }),
        Forked::Parent { pidfd, .. } => {
            let heard = Heard::default();
            let spec = match spec.identities {
                Identities::Kernel => None,
                Identities::Emulated { .. } => Some(spec),
            };
            let mut kept = Kept {
                root,
                step: pidfd,
                report,
                oom_kills: oom::kills(),
                heard,
                network,
                group,
                spec,
                furnished,
                supervision: None,
            };
            kept.confine().at(Stage::Limits, "control group")?;
            if let Err(failure) = kept.connect() {
                kept.heard.failure = Some(failure);
                kept.signal(libc::SIGKILL);
            }
            Ok(kept)
        }
    }
}

/// The next sandbox that is wanted, or nothing when none will be.
fn receive(channel: &Channel, networks: &mut Networks) -> io::Result<Option<Wanted>> {
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
    let (stdin, ahead, fds) = loop {
        match channel.receive::<Order>()? {
            Some((Order::Start { stdin, ahead }, fds)) => break (stdin, ahead, fds),
            Some((Order::Network(gateway), _)) => {
                // What keeps it from being made is said when the step comes.
                let _ = networks.expect(gateway);
            }
            // For the step before, which was over by then.
            Some((Order::Signal(_), _)) => {}
            None => return Ok(None),
        }
    };
    let mut fds = fds.into_iter();
    let mut next = || fds.next().ok_or_else(invalid);
    let (memory, stdout, stderr) = (next()?, next()?, next()?);
    let stdin = if stdin { next()? } else { File::open("/dev/null")?.into() };
    let mut bytes = Vec::new();
    File::from(memory).read_to_end(&mut bytes)?;
    let spec = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    Ok(Some(Wanted { spec, fds: StepFds { stdin, stdout, stderr }, ahead }))
}

fn namespaces_of(spec: &ProcessSpec) -> u64 {
    match spec.isolation {
        Isolation::Chroot => return 0,
        Isolation::Namespaces => {}
    }
    let only_if = |defence, flag| if defence::stands(defence) { flag } else { 0 };
    let flags = libc::CLONE_NEWNS
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP
        | only_if(Defence::OwnProcesses, libc::CLONE_NEWPID)
        | only_if(Defence::OwnMemory, libc::CLONE_NEWIPC);
    let network = match spec.network {
        NetworkMode::None => only_if(Defence::OwnNetwork, libc::CLONE_NEWNET),
        // It enters the one that was made for it.
        NetworkMode::Private | NetworkMode::Host => 0,
    };
    (flags | network) as u64
}

fn open_root(spec: &ProcessSpec) -> Result<OwnedFd, (PathBuf, io::Error)> {
    match (spec.isolation, &spec.root) {
        (Isolation::Chroot, Root::Directory(dir)) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::open(dir, flags, Mode::empty()).map_err(|errno| (dir.clone(), errno.into()))
        }
        (Isolation::Namespaces, _) | (Isolation::Chroot, Root::Overlay { .. }) => mount_root(&spec.root),
    }
}

fn mount_root(root: &Root) -> Result<OwnedFd, (PathBuf, io::Error)> {
    match root {
        Root::Overlay { lower, upper, work } if !lower.is_empty() => {
            overlay::mount(Stack { lower, upper: Some((upper, work)), volatile: true }, Namespace::Shared)
        }
        Root::Overlay { upper: dir, .. } | Root::Directory(dir) => {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC
                | OpenTreeFlags::AT_RECURSIVE;
            open_tree(CWD, dir, flags).map_err(|errno| (dir.clone(), errno.into()))
        }
    }
}

impl Kept {
    /// Until the step is gone. Calls `runs` once its program does.
    fn watch(&mut self, channel: &Channel, runs: impl FnOnce()) -> io::Result<()> {
        let mut connected = true;
        let mut runs = Some(runs);
        loop {
            let (reported, ordered, ended) = self.poll(channel, connected)?;
            if reported {
                self.listen(channel)?;
                if self.heard.over {
                    runs.take().into_iter().for_each(|runs| runs());
                }
            }
            if ordered {
                match channel.receive::<Order>() {
                    Ok(Some((Order::Signal(number), _))) => self.signal(number),
                    Ok(Some((Order::Start { .. } | Order::Network(_), _))) => {}
                    Ok(None) | Err(_) => {
                        connected = false;
                        self.signal(libc::SIGKILL);
                    }
                }
            }
            if ended && self.heard.over {
                return Ok(());
            }
        }
    }

    /// Which of the three has something to say.
    fn poll(&self, channel: &Channel, connected: bool) -> io::Result<(bool, bool, bool)> {
        let mut fds = vec![PollFd::new(&self.step, PollFlags::IN)];
        if connected {
            fds.push(PollFd::new(channel, PollFlags::IN));
        }
        if !self.heard.over {
            fds.push(PollFd::new(&self.report, PollFlags::IN));
        }
        // The step is only of interest once its report is complete.
        let waited = if self.heard.over { &mut fds[..] } else { &mut fds[1..] };
        retry(|| poll(waited, None))?;
        let mut said = fds.iter().map(|fd| !fd.revents().is_empty());
        let ended = said.next().unwrap_or(false);
        let ordered = connected && said.next().unwrap_or(false);
        Ok((said.next().unwrap_or(false), ordered, ended))
    }

    /// Takes one report; the end of them means that the program runs, or that it never will.
    fn listen(&mut self, channel: &Channel) -> io::Result<()> {
        let said = self.report.receive::<Report>()?;
        let heard = &mut self.heard;
        match said {
            Some((Report::Listener, fds)) => {
                if let Err(failure) = self.supervise(fds) {
                    self.heard.failure = Some(failure);
                    self.signal(libc::SIGKILL);
                }
            }
            Some((Report::Stub(stub), _)) => heard.stubs.push(stub),
            Some((Report::Ready, fds)) => {
                heard.ready = true;
                heard.terminal = fds.into_iter().next();
            }
            Some((Report::Failed(failure), _)) => heard.failure = Some(failure),
            None => {
                heard.over = true;
                if heard.ready && heard.failure.is_none() {
                    let unmet = self.group.as_mut().map(|group| std::mem::take(&mut group.unmet));
                    let unmet = unmet.unwrap_or_default();
                    let terminal = heard.terminal.take();
                    let fds: Vec<_> = terminal.iter().map(AsFd::as_fd).collect();
                    // A main process that is gone shows as the end of the connection.
                    let _ = channel.send(&Word::Started { unmet }, &fds);
                }
            }
        }
        Ok(())
    }

    /// Puts a step with limits into its group, and tells it to go on.
    fn confine(&mut self) -> io::Result<()> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let taken = pid_of(self.step.as_fd()).and_then(|pid| group.take(pid));
        if let Err(error) = taken {
            group.unmet.push(format!("the step is not limited: {error}"));
        }
        self.report.send(&(), &[])
    }

    /// Tells the step that its network is connected.
    fn connect(&mut self) -> Result<(), Failure> {
        let Some(network) = &mut self.network else { return Ok(()) };
        network.await_ready()?;
        self.report.send(&(), &[]).at(Stage::Network, "step")
    }

    /// Has the step's calls answered.
    fn supervise(&mut self, fds: Vec<OwnedFd>) -> Result<(), Failure> {
        let spec = self.spec.as_ref().ok_or(io::Error::from_raw_os_error(libc::EINVAL));
        let listener = fds.into_iter().next().ok_or(io::Error::from_raw_os_error(libc::EBADF));
        let (spec, listener) = (spec.at(Stage::Identity, "step")?, listener.at(Stage::Identity, "listener")?);
        self.supervision = Some(Supervision::start(listener, self.step.as_fd(), spec)?);
        Ok(())
    }

    fn signal(&self, number: i32) {
        if let Some(signal) = Signal::from_named_raw(number) {
            // The step may be gone already.
            let _ = pidfd_send_signal(&self.step, signal);
        }
    }

    /// Takes the step's end, tidies the root and lets go of it.
    fn finish(self, networks: &mut Networks) -> Result<Exit, Failure> {
        let status = retry(|| waitid(WaitId::PidFd(self.step.as_fd()), WaitIdOptions::EXITED));
        if let Some(furnished) = self.furnished {
            // Elsewhere the end of the first process is the end of all.
            orphans::end_all().at(Stage::Namespaces, "processes that the step left")?;
            drop(furnished);
        }
        if let Some(network) = self.network {
            networks.end(network);
        }
        let recorded = self.supervision.map_or(Ok(()), Supervision::finish);
        stubs::remove(self.root.as_fd(), &self.heard.stubs);
        drop(self.root);
        if let Some(failure) = self.heard.failure {
            return Err(failure);
        }
        if !self.heard.ready {
            return Err(Failure { stage: Stage::Namespaces, path: "step".to_owned(), errno: libc::ECHILD });
        }
        recorded?;
        let lost = |error: io::Error| Failure::new(Stage::Namespaces, "waiting", &error);
        let status = status.map_err(|errno| lost(errno.into()))?;
        let exit = match status.as_ref().map(|s| (s.exit_status(), s.terminating_signal())) {
            Some((Some(code), _)) => Exit::Code(code as u8),
            Some((None, Some(signal))) => Exit::Signal(signal),
            Some((None, None)) | None => return Err(lost(io::Error::from_raw_os_error(libc::ECHILD))),
        };
        let counted = self.group.as_ref().and_then(|group| group.explain(exit));
        Ok(counted.unwrap_or_else(|| oom::explain(exit, self.oom_kills, oom::kills)))
    }
}

/// The process that a descriptor refers to.
fn pid_of(pidfd: BorrowedFd<'_>) -> io::Result<u32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.ok_or(io::ErrorKind::NotFound.into())
}
