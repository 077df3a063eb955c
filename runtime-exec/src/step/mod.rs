//! What happens in the new process until it becomes the step's program.
//!
//! It is pid 1 of its namespaces and has a copy of the host's mounts. It hangs everything into the
//! root while both trees are reachable, makes the root its own, gives up what a step may not have
//! and executes the program.

pub(crate) mod chroot;
pub(crate) mod devices;
mod hall;
mod identity;
mod init;
pub(crate) mod limits;
mod masks;
mod mounts;
mod program;
pub(crate) mod resolve;
mod terminal;
pub(crate) mod tree;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use defence::Defence;
use rustix::fs::{AtFlags, StatxFlags, statx};
use rustix::mount::UnmountFlags;
use rustix::process::{Signal, fchdir, pivot_root, set_parent_process_death_signal, setsid};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::emulation;
use crate::error::{Failure, Stage};
use crate::seccomp;
use crate::security::SystemCalls;
use crate::spec::{Confinement, FirstProcess, Identities, Isolation, NetworkMode, ProcessSpec, ReadOnly};
use crate::sys::{self, mount_attr};
use hall::Hall;
use resolve::{RootDir, Stub};

/// The descriptors that become 0 to 2.
#[derive(Debug)]
pub(crate) struct StepFds {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// All that the new process needs.
pub(crate) struct Start {
    pub(crate) spec: ProcessSpec,
    /// The root file system, not attached anywhere.
    pub(crate) root: OwnedFd,
    pub(crate) fds: StepFds,
    /// A network namespace to enter.
    pub(crate) network: Option<OwnedFd>,
    /// Where to report; its end, when the program is executed, is a report, too.
    pub(crate) reporter: Channel,
}

/// What the step tells its keeper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The calls of the step that are asked about arrive at the descriptor that comes with it.
    Listener,
    /// A mount point was made.
    Stub(Stub),
    /// All is set up; the program comes next. With it comes the terminal, if there is one.
    Ready,
    /// It went wrong.
    Failed(Failure),
}

/// Becomes the step.
pub(crate) fn run(start: Start) -> ! {
    let Start { spec, root, mut fds, network, reporter } = start;
    let done = match spec.isolation {
        Isolation::Namespaces => set_up(&spec, (root, network), &mut fds, &reporter),
        Isolation::Chroot => chroot::set_up(&spec, root, &mut fds, &reporter),
    };
    let failure = match done {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    // Without a keeper, this process is about to be killed anyway.
    let _ = reporter.send(&Report::Failed(failure), &[]);
    sys::process::exit_now(1)
}

/// Adds where it happened to an error of the kernel.
pub(crate) trait At<T> {
    fn at(self, stage: Stage, path: &str) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, stage: Stage, path: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(stage, path, &error.into()))
    }
}

fn set_up(
    spec: &ProcessSpec,
    (root, network): (OwnedFd, Option<OwnedFd>),
    fds: &mut StepFds,
    reporter: &Channel,
) -> Result<std::convert::Infallible, Failure> {
    begin(spec, reporter)?;
    limits::names(spec)?;
    match spec.network {
        NetworkMode::None => limits::loopback().at(Stage::Namespaces, "network")?,
        NetworkMode::Private | NetworkMode::Host => {}
    }
    if let Some(network) = &network {
        // Before anything is mounted: `/sys` shows the network of who mounts it.
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
            .at(Stage::Network, "namespace")?;
    }
    tree::receive_only().at(Stage::Namespaces, "mounts")?;
    let mut hall = Hall::new().at(Stage::Root, "/")?;
    hall.attach(root.as_fd()).at(Stage::Root, "/")?;
    mounts::no_devices(&root, spec.confinement).at(Stage::Root, "/")?;
    let mut root = RootDir::new(root).at(Stage::Root, "/")?;
    let mounted = mounts::make(spec, &mut root, &mut hall);
    let console = mounted.and_then(|pts| terminal::open(spec, &root, pts.as_fd(), fds));
    // The keeper has to know of what was made, also when something failed later.
    for stub in root.stubs() {
        reporter.send(&Report::Stub(stub.clone()), &[]).at(Stage::Mount, "report")?;
    }
    let console = console?;
    let cwd = working_directory(spec, &mut root)?;
    match spec.root_access {
        ReadOnly::Yes => {
            mount_attr::set(root.as_fd(), mount_attr::RDONLY, mount_attr::ThisOnly).at(Stage::Root, "/")?
        }
        ReadOnly::No => {}
    }
    enter(&root).at(Stage::Pivot, "/")?;
    drop((root, hall));
    become_program(spec, fds, reporter, &cwd, console)
}

/// What every step begins with, whatever keeps it apart.
fn begin(spec: &ProcessSpec, reporter: &Channel) -> Result<(), Failure> {
    die_with_keeper()?;
    if !spec.limits.is_empty() {
        await_keeper(reporter).at(Stage::Limits, "keeper")?;
    }
    setsid().at(Stage::Namespaces, "session")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Ok(())
}

/// The working directory of the step, made for its user where it is absent.
fn working_directory(spec: &ProcessSpec, root: &mut RootDir) -> Result<OwnedFd, Failure> {
    let user = &spec.user;
    root.owned_directory(&spec.cwd, user.uid, user.gid, &spec.identities).at(Stage::Cwd, &spec.cwd)
}

/// Gives up what the step may not have, and executes its program in its root directory.
fn become_program(
    spec: &ProcessSpec,
    fds: &mut StepFds,
    reporter: &Channel,
    cwd: &OwnedFd,
    console: Option<OwnedFd>,
) -> Result<std::convert::Infallible, Failure> {
    work_in(cwd, &spec.cwd).at(Stage::Cwd, &spec.cwd)?;
    terminal::install(fds, spec.user.uid).at(Stage::Terminal, "descriptors")?;
    let program = program::prepare(spec)?;
    match spec.network {
        NetworkMode::Private if defence::stands(Defence::OwnNetwork) => {
            await_keeper(reporter).at(Stage::Network, "keeper")?
        }
        NetworkMode::Private | NetworkMode::None | NetworkMode::Host => {}
    }
    if let Some(filter) = filter(spec) {
        match (sys::seccomp::install(&filter), spec.isolation, &spec.security.system_calls) {
            // It takes CAP_SYS_ADMIN, or no_new_privs, which would keep sudo from working. A filter that was
            // asked for is another matter.
            (Err(error), Isolation::Chroot, SystemCalls::Default)
                if error.raw_os_error() == Some(libc::EACCES) => {}
            (installed, _, _) => installed.at(Stage::Seccomp, "filter")?,
        }
    }
    match spec.identities {
        Identities::Kernel => {}
        Identities::Emulated { .. } => {
            let listener = emulation::submit()?;
            reporter.send(&Report::Listener, &[listener.as_fd()]).at(Stage::Seccomp, "listener")?;
        }
    }
    limits::resources(spec)?;
    identity::profile(spec)?;
    identity::assume(spec)?;
    die_with_keeper()?;
    sys::process::reset_signals();
    match spec.first_process {
        FirstProcess::Program => {}
        FirstProcess::Init => init::expect_signals(),
    }
    if defence::stands(Defence::OthersClosedOnExec) {
        sys::process::close_others_on_exec().at(Stage::Exec, "descriptors")?;
    }
    let terminal: Vec<_> = console.iter().map(AsFd::as_fd).collect();
    reporter.send(&Report::Ready, &terminal).at(Stage::Exec, "report")?;
    Err(match spec.first_process {
        FirstProcess::Program => program.execute(),
        FirstProcess::Init => init::start(spec, &program, reporter),
    })
}

/// What the step's calls are held against.
fn filter(spec: &ProcessSpec) -> Option<Vec<sys::seccomp::Instruction>> {
    if !defence::stands(Defence::CallsFiltered) {
        return None;
    }
    match (spec.confinement, &spec.security.system_calls) {
        (Confinement::Insecure, _) | (Confinement::Default, SystemCalls::Unfiltered) => None,
        (Confinement::Default, SystemCalls::Default) => {
            Some(seccomp::default_filter(spec.capabilities.set()))
        }
        (Confinement::Default, SystemCalls::Filter(filter)) => Some(filter.instructions()),
    }
}

/// Until the keeper has done its part.
fn await_keeper(reporter: &Channel) -> io::Result<()> {
    match reporter.receive::<()>()? {
        Some(((), _)) => Ok(()),
        None => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// The second line: the first is the keeper, which kills and waits.
fn die_with_keeper() -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL)).at(Stage::Namespaces, "parent")
}

/// Makes `root` the root directory and lets go of the host's tree, which then lies over it, with
/// the hall on top: the step never runs while anything is left there.
fn enter(root: &RootDir) -> rustix::io::Result<()> {
    const DEEPEST: usize = 16;
    fchdir(root)?;
    pivot_root(".", ".")?;
    if !defence::stands(Defence::HostTreeLetGo) {
        return rustix::process::chdir("/");
    }
    for _ in 0..DEEPEST {
        // `..` of the root leads to what lies on top of it.
        if mount_id(root.as_fd(), "")? == mount_id(root.as_fd(), "/..")? {
            return rustix::process::chdir("/");
        }
        rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    }
    Err(rustix::io::Errno::BUSY)
}

/// Enters the working directory: the one that was found inside the root, whatever its path would lead to
/// now. A path may go through `/proc/self/fd`, where links do not lead where their texts say.
fn work_in(found: &OwnedFd, path: &str) -> rustix::io::Result<()> {
    match defence::stands(Defence::WorkDirByDescriptor) {
        true => fchdir(found)?,
        false => rustix::process::chdir(path)?,
    }
    // Outside of the root the kernel puts a word in front.
    let reached = rustix::process::getcwd(Vec::new())?;
    match reached.to_bytes().starts_with(b"/") || !defence::stands(Defence::WorkDirInside) {
        true => Ok(()),
        false => Err(rustix::io::Errno::XDEV),
    }
}

fn mount_id(at: BorrowedFd<'_>, path: &str) -> rustix::io::Result<u64> {
    Ok(statx(at, path, AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
}
