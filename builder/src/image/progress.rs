//! Progress of one transfer, told now and then.

use std::time::{Duration, Instant};

use oci::Digest;

use crate::event::{Event, StepId};
use crate::session::EventSink;

const PAUSE: Duration = Duration::from_millis(100);

/// Counts bytes and tells of them.
pub(crate) struct Progress {
    events: EventSink,
    step: StepId,
    name: String,
    done: u64,
    total: Option<u64>,
    told: Instant,
}

/// A digest as people read it: the first twelve digits.
pub(crate) fn short(digest: &Digest) -> String {
    digest.hex().chars().take(12).collect()
}

impl Progress {
    /// A transfer that starts now.
    pub(crate) fn new(events: EventSink, step: StepId, name: String, total: Option<u64>) -> Self {
        let progress = Self { events, step, name, done: 0, total, told: Instant::now() };
        progress.tell();
        progress
    }

    /// So many bytes more.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.told.elapsed() >= PAUSE {
            self.told = Instant::now();
            self.tell();
        }
    }

    /// All is done.
    pub(crate) fn finish(mut self) {
        self.done = self.total.unwrap_or(self.done);
        self.tell();
    }

    fn tell(&self) {
        let _ = self.events.offer(Event::Transfer {
            step: self.step,
            name: self.name.clone(),
            done: self.done,
            total: self.total,
        });
    }
}
