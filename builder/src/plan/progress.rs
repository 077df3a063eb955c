//! Work that is shown like a step and is no vertex.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use graph::Span;

use crate::event::{Ending, Event, StepId};
use crate::session::EventSink;

/// Numbers above those of any graph.
const FIRST: u32 = 1 << 31;
/// Numbers of steps before there is a build.
const BEFORE: u32 = 3 << 30;

/// Gives out such steps.
#[derive(Debug)]
pub(crate) struct Extra {
    events: EventSink,
    next: AtomicU32,
}

/// One that runs.
#[derive(Debug)]
pub(crate) struct ExtraStep {
    pub(crate) id: StepId,
    began: Instant,
}

impl Extra {
    /// For the events of one build.
    pub(crate) fn new(events: EventSink) -> Self {
        Self { events, next: AtomicU32::new(FIRST) }
    }

    /// For the events before a build.
    pub(crate) fn before(events: EventSink) -> Self {
        Self { events, next: AtomicU32::new(BEFORE) }
    }

    /// Shows that something begins.
    pub(crate) async fn begin(&self, title: String, span: Option<Span>) -> ExtraStep {
        let step = StepId(self.next.fetch_add(1, Ordering::Relaxed));
        self.events.send(Event::Planned { step, title, span, inputs: Vec::new() }).await;
        self.events.send(Event::Started { step }).await;
        ExtraStep { id: step, began: Instant::now() }
    }

    /// Shows that it was given up.
    pub(crate) async fn cancel(&self, step: ExtraStep) {
        let (ending, took) = (Ending::Cancelled, step.began.elapsed());
        self.events.send(Event::Finished { step: step.id, ending, took }).await;
    }

    /// Shows that it ended.
    pub(crate) async fn end<T, E: std::fmt::Display>(&self, step: ExtraStep, result: &Result<T, E>) {
        let ending = match result {
            Ok(_) => Ending::Done,
            Err(error) => Ending::Failed(error.to_string()),
        };
        self.events.send(Event::Finished { step: step.id, ending, took: step.began.elapsed() }).await;
    }
}
