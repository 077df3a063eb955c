//! The last lines of each step, kept for its error.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event::{Event, StepId};

/// Lines that are kept.
const LINES: usize = 20;
/// Bytes that are kept: enough for so many lines.
const BYTES: usize = 16 * 1024;

/// What each step wrote last.
#[derive(Debug, Default)]
pub(super) struct Tails {
    steps: Mutex<HashMap<StepId, Vec<u8>>>,
}

impl Tails {
    /// Looks at an event that is being sent.
    pub(super) fn note(&self, event: &Event) {
        if let Event::Log { step, bytes, .. } = event {
            let mut steps = self.lock();
            let tail = steps.entry(*step).or_default();
            tail.extend_from_slice(bytes);
            if tail.len() > 2 * BYTES {
                tail.drain(..tail.len() - BYTES);
            }
        }
    }

    /// The last lines of a step, without their ends.
    pub(super) fn lines(&self, step: StepId) -> Vec<String> {
        let steps = self.lock();
        let text = String::from_utf8_lossy(steps.get(&step).map_or(&[], Vec::as_slice));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].iter().map(|line| (*line).to_owned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StepId, Vec<u8>>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
