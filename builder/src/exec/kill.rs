//! Ending a step that nobody waits for any more.

use std::sync::{Arc, Mutex, PoisonError};

use runtime_exec::Killer;

/// Kills the step when it is dropped before [`KillSwitch::disarm`], also one that has yet to start.
#[derive(Debug, Default)]
pub(crate) struct KillSwitch {
    state: Arc<Mutex<State>>,
    disarmed: bool,
}

/// The end of the switch that the thread with the step holds.
#[derive(Clone, Debug)]
pub(crate) struct Wire(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    pulled: bool,
    killer: Option<Killer>,
}

impl KillSwitch {
    /// The other end.
    pub(crate) fn wire(&self) -> Wire {
        Wire(Arc::clone(&self.state))
    }

    /// Kills the step, whether it runs already or not.
    pub(crate) fn pull(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.pulled = true;
        if let Some(killer) = state.killer.take() {
            killer.kill();
        }
    }

    /// The step ended; nothing is left to kill.
    pub(crate) fn disarm(mut self) {
        self.disarmed = true;
    }
}

impl Drop for KillSwitch {
    fn drop(&mut self) {
        if self.disarmed {
            return;
        }
        self.pull();
    }
}

impl Wire {
    /// Whether the switch was pulled before the step started.
    pub(crate) fn is_pulled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pulled
    }

    /// Connects a step that runs now; kills it at once if the switch was pulled meanwhile.
    pub(crate) fn connect(&self, killer: Killer) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.pulled {
            true => killer.kill(),
            false => state.killer = Some(killer),
        }
    }
}
