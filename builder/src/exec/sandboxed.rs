//! A prepared step, run: started, listened to, waited for, or killed.

use std::time::Duration;

use layer_store::ActiveLayer;
use runtime_exec::{Exit, Keepers, StepIo};
use rustix::pipe::{PipeFlags, pipe_with};

use super::error::ExecError;
use super::kill::{KillSwitch, Wire};
use super::prepare::Prepared;
use super::pump::pump;
use super::tail::Tail;
use crate::Session;
use crate::event::{Event, StepId};
use crate::session::EventSink;
use crate::worker::{Permit, blocking};

/// How a step ended.
pub(super) struct Ended {
    pub exit: Exit,
    pub tail: Vec<String>,
    /// Whether it was killed since it took too long.
    pub late: Late,
    /// What it wrote.
    pub layer: ActiveLayer,
}

/// Whether a step was killed since it took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    Yes,
    No,
}

/// Runs a step to its end, or for as long as it may. Dropping the future kills it.
pub(super) async fn run(
    prepared: Prepared,
    session: &Session,
    step: StepId,
    timeout: Option<Duration>,
) -> Result<Ended, ExecError> {
    let switch = KillSwitch::default();
    let wire = switch.wire();
    let (stdout, step_stdout) = pipe()?;
    let (stderr, step_stderr) = pipe()?;
    let (events, remarks, keepers) =
        (session.events.clone(), session.events.clone(), session.keepers.clone());
    let listening = blocking(Permit::free(), move || {
        let mut tail = Tail::default();
        pump(stdout, stderr, &mut |stream, bytes| {
            tail.push(&bytes);
            events.send_blocking(Event::Log { step, stream, bytes });
        })
        .map(|()| tail.into_lines())
        .map_err(ExecError::Pipe)
    });
    let io = StepIo { stdin: None, stdout: step_stdout, stderr: step_stderr };
    let running = blocking(Permit::free(), move || start_and_wait(prepared, io, &keepers, &wire, &remarks));
    let mut ending = std::pin::pin!(futures::future::join(running, listening));
    let in_time = tokio::time::timeout(timeout.unwrap_or(Duration::MAX), &mut ending).await;
    let (late, (running, tail)) = match in_time {
        Ok(ended) => (Late::No, ended),
        Err(_) => {
            switch.pull();
            (Late::Yes, ending.await)
        }
    };
    switch.disarm();
    let (exit, layer) = running?;
    Ok(Ended { exit, tail: tail?, late, layer })
}

fn pipe() -> Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd), ExecError> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|error| ExecError::Pipe(error.into()))
}

/// The mounts and the layer live at least as long as the sandbox.
fn start_and_wait(
    prepared: Prepared,
    io: StepIo,
    keepers: &Keepers,
    wire: &Wire,
    events: &EventSink,
) -> Result<(Exit, ActiveLayer), ExecError> {
    if wire.is_pulled() {
        return Ok((Exit::Signal(rustix::process::Signal::KILL.as_raw()), prepared.layer));
    }
    let running = keepers.spawn(&prepared.spec, io)?;
    wire.connect(running.killer());
    for reason in running.unmet_limits() {
        events.send_blocking(Event::Warning(reason.clone()));
    }
    let exit = running.wait()?;
    Ok((exit, prepared.layer))
}
