//! The keepers of one build, each of which serves one step after the other.

use std::io;
use std::os::fd::AsFd;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::channel::Channel;
use crate::error::SpawnError;
use crate::gateway::Gateway;
use crate::reexec::{self, Role};
use crate::running::{Ahead, Order, Running, StepIo};
use crate::spec::{Isolation, ProcessSpec};

/// Starts steps in sandboxes. A keeper whose step is over waits for the next one, since starting the executable
/// anew costs about as much as a sandbox; there are never more than steps ran at the same time. With the last
/// copy of this value those that wait end, and they are waited for.
#[derive(Clone, Debug, Default)]
pub struct Keepers(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    waiting: Vec<Keeper>,
    ahead: Ahead,
    /// Whether a network was made before the first step.
    expected: bool,
}

impl Default for State {
    fn default() -> Self {
        Self { waiting: Vec::new(), ahead: Ahead::Nothing, expected: false }
    }
}

impl Keepers {
    /// For many steps: where one has a private network, its keeper makes the next one's while it runs.
    pub fn for_many() -> Self {
        Self(Arc::new(Mutex::new(State { ahead: Ahead::Next, ..State::default() })))
    }

    /// Has a private network made for a step that is about to come; once. Should that fail, the step says so.
    pub fn expect_network(&self, gateway: Gateway) {
        if std::mem::replace(&mut self.lock().expected, true) {
            return;
        }
        if let Ok(keeper) = Keeper::start()
            && keeper.channel.send(&Order::Network(gateway), &[]).is_ok()
        {
            self.give_back(keeper);
        }
    }

    /// Starts a step in a sandbox; returns once its program is running.
    pub fn spawn(&self, spec: &ProcessSpec, io: StepIo) -> Result<Running, SpawnError> {
        let waiting = self.lock().waiting.pop();
        let keeper = match waiting {
            Some(keeper) => keeper,
            None => Keeper::start().map_err(SpawnError::Start)?,
        };
        Running::start(keeper, self, spec, io)
    }

    /// Takes a keeper whose sandbox is gone.
    pub(crate) fn give_back(&self, keeper: Keeper) {
        self.lock().waiting.push(keeper);
    }

    /// What keepers make while steps run.
    pub(crate) fn ahead(&self) -> Ahead {
        self.lock().ahead
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a single step in a sandbox; returns once its program is running.
pub fn spawn(spec: &ProcessSpec, io: StepIo) -> Result<Running, SpawnError> {
    Keepers::default().spawn(spec, io)
}

/// What becomes of a keeper whose step ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It can keep another one.
    Free,
    /// It ends.
    Gone,
}

impl After {
    /// Without namespaces a step shares the processes of the machine, and its keeper adopts what it leaves.
    pub(crate) fn of(spec: &ProcessSpec) -> Self {
        match spec.isolation {
            Isolation::Namespaces => Self::Free,
            Isolation::Chroot => Self::Gone,
        }
    }
}

/// A keeper that runs. Dropping it kills its step, if it has one, and waits for its end.
#[derive(Debug)]
pub(crate) struct Keeper {
    child: Option<Child>,
    pub(crate) channel: Arc<Channel>,
}

impl Keeper {
    fn start() -> io::Result<Self> {
        let (child, channel) = reexec::start(Role::Keeper)?;
        Ok(Self { child: Some(child), channel: Arc::new(channel) })
    }

    /// Its number.
    pub(crate) fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends it, and waits until it is gone.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.close()
    }

    fn close(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // The end of the connection is the order to kill and to go, also while others hold copies of it.
        let _ = rustix::net::shutdown(self.channel.as_fd(), rustix::net::Shutdown::Both);
        child.wait().map(drop)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Nobody is left to hear of it.
        let _ = self.close();
    }
}
