//! What leaves the builder while it builds.

use std::time::Duration;

use graph::{Diagnostic, Span};

/// Names a step in events: the vertex's position in the graph, or a number beyond the graph for
/// work that is not a vertex (loading the build file, resolving an image, exporting).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u32);

/// Which stream a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It ran.
    Done,
    /// A recorded result was used; nothing ran.
    Cached,
    /// It failed; the text is one line.
    Failed(String),
    /// Another step failed, or the user asked to stop.
    Cancelled,
}

/// The one thing that leaves while building. Sent over one bounded channel to one drawer.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step is part of the build.
    Planned {
        /// Which.
        step: StepId,
        /// Its title.
        title: String,
        /// Where it is written.
        span: Option<Span>,
        /// The steps it uses directly.
        inputs: Vec<StepId>,
    },
    /// A step began to run.
    Started {
        /// Which.
        step: StepId,
    },
    /// Bytes that a step wrote. Whole or partial lines, never altered.
    Log {
        /// Which.
        step: StepId,
        /// Which stream.
        stream: Stream,
        /// The bytes.
        bytes: bytes::Bytes,
    },
    /// Progress of a transfer or of packing.
    Transfer {
        /// Part of which step.
        step: StepId,
        /// What: a short digest, a file.
        name: String,
        /// Bytes done.
        done: u64,
        /// Bytes in all, where known.
        total: Option<u64>,
    },
    /// A step ended.
    Finished {
        /// Which.
        step: StepId,
        /// How.
        ending: Ending,
        /// How long it took; zero for cached steps.
        took: Duration,
    },
    /// The first step that runs although results are recorded, with the first cause.
    Missed {
        /// Which.
        step: StepId,
        /// The cause, one line.
        why: String,
    },
    /// The text that is built, which comes before all remarks about it.
    BuildFile {
        /// Its name.
        name: String,
        /// The text.
        text: String,
    },
    /// A remark about the user's text.
    Diagnostic(Diagnostic),
    /// A remark about the world (a mirror that failed, a network that is shared).
    Warning(String),
    /// Some seconds went by.
    Beat,
}
