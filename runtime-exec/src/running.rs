//! A step under its keeper, from the process that wants it.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::error::{Failure, SpawnError, WaitError};
use crate::gateway::Gateway;
use crate::keepers::{After, Keeper, Keepers};
use crate::spec::{ProcessSpec, Terminal};

/// The descriptors a step starts with.
#[derive(Debug)]
pub struct StepIo {
    /// Descriptor 0; `None` is `/dev/null`.
    pub stdin: Option<OwnedFd>,
    /// Descriptor 1.
    pub stdout: OwnedFd,
    /// Descriptor 2.
    pub stderr: OwnedFd,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It exited with this code.
    Code(u8),
    /// A signal ended it.
    Signal(i32),
    /// The kernel killed in its control group for want of memory.
    OutOfMemory {
        /// The most it ever used, in bytes, where that was counted.
        peak: Option<u64>,
    },
    /// It was killed, or says that something in it was, while the kernel killed something on this machine for want
    /// of memory. It had no control group that would tell what.
    PerhapsOutOfMemory {
        /// The code it exited with; `None` where a signal ended it.
        code: Option<u8>,
    },
}

/// What a keeper makes while a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ahead {
    /// Nothing.
    Nothing,
    /// What the next step will want, if it is like this one.
    Next,
}

/// What a keeper is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Set up a sandbox. With it come the serialised specification, stdout, stderr and, if set, stdin.
    Start { stdin: bool, ahead: Ahead },
    /// Have a private network wait for a step to come.
    Network(Gateway),
    /// Send the step a signal.
    Signal(i32),
}

/// What a keeper tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// The program runs. With it comes the terminal, if there is one.
    Started {
        /// Limits that it does not have, and why.
        unmet: Vec<String>,
    },
    /// It could not be started.
    Failed(Failure),
    /// It ended, and the sandbox is gone.
    Ended(Exit),
}

fn serialise(spec: &ProcessSpec) -> Result<OwnedFd, SpawnError> {
    let bytes = serde_json::to_vec(spec).map_err(|error| SpawnError::Spec(error.to_string()))?;
    let memory = rustix::fs::memfd_create("sandbox specification", MemfdFlags::CLOEXEC)
        .map_err(|error| SpawnError::Start(error.into()))?;
    let mut file = File::from(memory);
    file.write_all(&bytes).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(SpawnError::Start)?;
    Ok(file.into())
}

/// The connection to a keeper, for as long as that keeper is about this step.
type Line = Arc<Mutex<Option<Arc<Channel>>>>;

fn lock(line: &Line) -> MutexGuard<'_, Option<Arc<Channel>>> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A step in its sandbox. Dropping it kills the step and waits until the sandbox is gone.
#[derive(Debug)]
pub struct Running {
    keeper: Option<Keeper>,
    line: Line,
    /// Where the keeper goes when the step is over.
    keepers: Keepers,
    after: After,
    terminal: Option<OwnedFd>,
    unmet: Vec<String>,
}

impl Running {
    /// Starts a step under `keeper`; returns once its program is running.
    pub(crate) fn start(
        keeper: Keeper,
        keepers: &Keepers,
        spec: &ProcessSpec,
        io: StepIo,
    ) -> Result<Running, SpawnError> {
        let memory = serialise(spec)?;
        let channel = Arc::clone(&keeper.channel);
        let mut running = Running {
            keeper: Some(keeper),
            line: Arc::new(Mutex::new(Some(Arc::clone(&channel)))),
            keepers: keepers.clone(),
            after: After::of(spec),
            terminal: None,
            unmet: Vec::new(),
        };
        let mut fds = vec![memory.as_fd(), io.stdout.as_fd(), io.stderr.as_fd()];
        fds.extend(io.stdin.as_ref().map(AsFd::as_fd));
        let order = Order::Start { stdin: io.stdin.is_some(), ahead: keepers.ahead() };
        channel.send(&order, &fds).map_err(SpawnError::Start)?;
        drop(fds);
        drop(io);
        match channel.receive::<Word>().map_err(SpawnError::Start)? {
            Some((Word::Started { unmet }, fds)) => {
                running.unmet = unmet;
                if let Terminal::New { .. } = spec.terminal {
                    running.terminal = fds.into_iter().next();
                }
                Ok(running)
            }
            Some((Word::Failed(failure), _)) => Err(SpawnError::Setup(failure)),
            Some((Word::Ended(_), _)) | None => Err(SpawnError::Lost),
        }
    }

    /// Waits for the end. Returns when the sandbox and all its processes and mounts are gone.
    pub fn wait(mut self) -> Result<Exit, WaitError> {
        let Some(keeper) = self.keeper.take() else { return Err(WaitError::Lost) };
        let word = keeper.channel.receive::<Word>();
        // From here on the connection may be another step's.
        lock(&self.line).take();
        match word.map_err(WaitError::Wait)? {
            Some((Word::Ended(exit), _)) => {
                match self.after {
                    After::Free => self.keepers.give_back(keeper),
                    After::Gone => keeper.end().map_err(WaitError::Wait)?,
                }
                Ok(exit)
            }
            Some((Word::Started { .. } | Word::Failed(_), _)) | None => Err(WaitError::Lost),
        }
    }

    /// Something that can end the step from elsewhere.
    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.line))
    }

    /// The process that all processes of the step are below.
    pub fn process(&self) -> Option<u32> {
        self.keeper.as_ref().and_then(Keeper::process)
    }

    /// Limits that the step runs without, since the host does not let them be set: what, and why.
    pub fn unmet_limits(&self) -> &[String] {
        &self.unmet
    }

    /// Our side of the step's terminal, where one was asked for; once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }
}

/// Ends a step, or signals it; may be used from any thread and after the end.
#[derive(Clone, Debug)]
pub struct Killer(Line);

impl Killer {
    /// Kills the step with all its processes.
    pub fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    /// Sends a signal to the step's first process, which gets it only if it has a handler for it
    /// (as for every first process), except for `SIGKILL`.
    pub fn signal(&self, signal: i32) {
        if let Some(channel) = lock(&self.0).as_ref() {
            // A step that is already gone needs no signal.
            let _ = channel.send(&Order::Signal(signal), &[]);
        }
    }
}
