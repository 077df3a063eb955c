//! Users in a user namespace that has one id.
//!
//! There, the kernel lets a step be nobody else and give files to nobody. So the calls about owners
//! and credentials are asked about: a filter stops them, and a supervisor, a process beside the
//! keeper, answers. It knows whom each thread takes itself for, and records whom each file belongs to
//! where the store keeps what a file system refuses, so that the layer has the true owners.
//!
//! - Programs that look only at themselves and at files cannot tell the difference, static ones and
//!   set-user-id ones among them.
//! - It grants nothing. Every thread really is the one user, with the capabilities of the step, and
//!   may read and write what that user may: access between the users of a step is not controlled.
//! - What the supervisor does for a thread it does in the step's own mount namespace, with that
//!   thread's root directory; what it finds out by paths and descriptors of the thread it uses only
//!   while the call still waits. A thread that changes its memory or its paths meanwhile deceives
//!   nobody but itself: the kernel then does, with the rights of the step, what the thread asks for.
//! - Programs of another machine interface (32 bits) are not supervised: their calls about other
//!   users fail as the kernel has them fail.
//!
//! Needs Linux 5.19. Only one listener can stand over a process: where one does already, the step
//! cannot start.

mod attributes;
mod caller;
mod calls;
mod credentials;
mod execute;
mod files;
mod give;
mod identity;
mod make;
mod nodes;
mod record;
mod stat;
mod threads;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, XattrFlags, fsetxattr, open, openat};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, set_parent_process_death_signal, waitid};
use rustix::thread::{CapabilitySet, ThreadNameSpaceType, move_into_thread_name_spaces};

use self::caller::{Caller, Desk, Links};
use self::calls::Call;
use self::credentials::Credentials;
use self::nodes::Nodes;
use self::record::{ATTRIBUTE, Record};
use self::threads::Threads;
use crate::channel::retry;
use crate::error::{Failure, Stage};
use crate::spec::{Confinement, Identities, ProcessSpec, Root};
use crate::step::At;
use crate::sys::clone::{Forked, fork_into};
use crate::sys::notify::{self, Answer, Notification};
use crate::sys::process::exit_now;

pub use nodes::KeptNode;

/// Puts this thread, and what it will execute, under a supervisor: what it is asked arrives at the
/// descriptor, and everything waits until somebody answers.
pub(crate) fn submit() -> Result<OwnedFd, Failure> {
    notify::install(&calls::filter()).map_err(|error| {
        let noun = match error.raw_os_error() {
            Some(libc::EBUSY) => "listener (one stands over this process already)",
            Some(libc::EINVAL) => "listener (it needs Linux 5.19)",
            Some(_) | None => "listener",
        };
        Failure::new(Stage::Seccomp, noun, &error)
    })
}

/// Records the owner of a file that is open for reading, before the step runs. Where its file system
/// keeps no such attributes, it belongs to the one user.
pub(crate) fn record_owner(file: BorrowedFd<'_>, uid: u32, gid: u32) -> rustix::io::Result<()> {
    let record = Record::of((uid, gid), (0, 0));
    if record.is_empty() {
        return Ok(());
    }
    match fsetxattr(file, ATTRIBUTE, &record.text()?, XattrFlags::empty()) {
        Err(Errno::NOTSUP) => Ok(()),
        other => other,
    }
}

/// The process that answers. It ends with the step.
pub(crate) struct Supervision(OwnedFd);

impl Supervision {
    /// Starts it for `step`, whose calls arrive at `listener`.
    pub(crate) fn start(
        listener: OwnedFd,
        step: BorrowedFd<'_>,
        spec: &ProcessSpec,
    ) -> Result<Supervision, Failure> {
        match fork_into(0).at(Stage::Identity, "supervisor")? {
            Forked::Parent { pidfd, .. } => Ok(Supervision(pidfd)),
            Forked::Child => {
                let served = Supervisor::new(listener, step, spec).and_then(Supervisor::serve);
                exit_now(i32::from(served.is_err()))
            }
        }
    }

    /// Waits until everything is recorded. The step must be over.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let status = retry(|| waitid(WaitId::PidFd(self.0.as_fd()), WaitIdOptions::EXITED));
        match status.at(Stage::Identity, "supervisor")?.and_then(|status| status.exit_status()) {
            Some(0) => Ok(()),
            Some(_) | None => Err(Errno::IO).at(Stage::Identity, "supervisor"),
        }
    }
}

/// What the supervisor knows.
struct State {
    threads: Threads,
    nodes: Nodes,
    /// The capabilities that root of the step can have.
    bound: CapabilitySet,
    /// Until then, the step is still being set up, and is no other user yet.
    started: Started,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Started {
    No,
    Yes,
}

/// Where records of what carries none itself go in the end.
struct Report {
    upper: OwnedFd,
    file: File,
}

struct Supervisor {
    desk: Desk,
    state: State,
    report: Option<Report>,
}

impl Supervisor {
    /// Enters the step's mounts.
    fn new(listener: OwnedFd, step: BorrowedFd<'_>, spec: &ProcessSpec) -> io::Result<Supervisor> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        rustix::process::umask(Mode::empty());
        let Identities::Emulated { kept, report } = &spec.identities else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let report = match (report, &spec.root) {
            (Some(path), Root::Overlay { upper, .. } | Root::Directory(upper)) => {
                let upper = open(upper, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
                Some(Report { upper, file: File::create(path)? })
            }
            (None, Root::Overlay { .. } | Root::Directory(_)) => None,
        };
        let place = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = openat(CWD, "/proc", place, Mode::empty())?;
        move_into_thread_name_spaces(step, ThreadNameSpaceType::MOUNT)?;
        let root = openat(CWD, "/", place, Mode::empty())?;
        rustix::process::fchdir(&proc)?;
        notify::stay_together(listener.as_fd());
        let bound = match spec.confinement {
            Confinement::Default => spec.capabilities.set(),
            Confinement::Insecure => rustix::thread::capabilities(None)?.permitted,
        };
        let (uid, gid) = (spec.user.uid, spec.user.gid);
        let own = match (uid, spec.confinement) {
            (0, _) | (_, Confinement::Insecure) => bound,
            (_, Confinement::Default) => CapabilitySet::empty(),
        };
        let threads = Threads::new(Credentials::new(uid, gid, spec.user.groups.clone(), own));
        let nodes = Nodes::new(nodes::device_of(&root)?, kept);
        let state = State { threads, nodes, bound, started: Started::No };
        Ok(Supervisor { desk: Desk { listener, proc, root }, state, report })
    }

    /// Answers until no thread is left.
    fn serve(mut self) -> io::Result<()> {
        while self.wait()? {
            let notification = match notify::receive(self.desk.listener.as_fd()) {
                Ok(notification) => notification,
                Err(gone) if matches!(gone.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => continue,
                Err(error) => return Err(error),
            };
            let answer = self.state.answer(&self.desk.caller(&notification), &notification);
            notify::answer(self.desk.listener.as_fd(), notification.id, answer)?;
        }
        match self.report.take() {
            Some(mut report) => self.state.nodes.write_down(report.upper, &self.desk.root, &mut report.file),
            None => Ok(()),
        }
    }

    /// Whether there is another call.
    fn wait(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.desk.listener, PollFlags::IN)];
        retry(|| poll(&mut fds, None))?;
        let [fd] = &fds;
        Ok(fd.revents().contains(PollFlags::IN))
    }
}

impl State {
    fn answer(&mut self, caller: &Caller<'_>, notification: &Notification) -> Answer {
        let Some(call) = calls::call(notification.number) else { return Answer::Continue };
        match (self.started, call) {
            (Started::No, Call::Exec) => self.started = Started::Yes,
            (Started::No, _) => return Answer::Continue,
            (Started::Yes, _) => {}
        }
        self.act(caller, call).unwrap_or_else(|errno| Answer::Fail(errno.raw_os_error()))
    }

    fn act(&mut self, caller: &Caller<'_>, call: Call) -> Result<Answer, Errno> {
        let here = |path: usize| (libc::AT_FDCWD, caller.argument(path));
        let there = |directory: usize| (caller.word(directory) as i32, caller.argument(directory + 1));
        let word = |index| caller.word(index);
        const CREAT: u32 = (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u32;
        match call {
            Call::Stat => self.stat_path(caller, Links::Follow),
            Call::Lstat => self.stat_path(caller, Links::Leave),
            Call::Fstat => self.stat_file(caller),
            Call::StatAt => self.stat_at(caller),
            Call::Statx => self.statx(caller),
            Call::Chown => self.give_path(caller, Links::Follow),
            Call::Lchown => self.give_path(caller, Links::Leave),
            Call::Fchown => self.give_file(caller),
            Call::ChownAt => self.give_at(caller),
            Call::Creat => self.open(caller, here(0), CREAT, word(1)),
            Call::Open => self.open(caller, here(0), word(1), word(2)),
            Call::OpenAt => self.open(caller, there(0), word(2), word(3)),
            Call::OpenAt2 => self.open_how(caller),
            Call::Mkdir => self.make_directory(caller, here(0), word(1)),
            Call::MkdirAt => self.make_directory(caller, there(0), word(2)),
            Call::Mknod => self.make_node(caller, here(0), word(1), word(2)),
            Call::MknodAt => self.make_node(caller, there(0), word(2), word(3)),
            Call::Symlink => self.make_link(caller, caller.argument(0), here(1)),
            Call::SymlinkAt => self.make_link(caller, caller.argument(0), there(1)),
            Call::Exec => self.execute(caller),
            Call::ExecAt => self.execute_at(caller),
            Call::ListAttributes => self.list_path(caller, Links::Follow),
            Call::ListLinkAttributes => self.list_path(caller, Links::Leave),
            Call::ListFileAttributes => self.list_file(caller),
            Call::Identity(call) => self.identity(caller, call),
        }
    }
}
