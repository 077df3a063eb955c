//! A prepared step, run: started, listened to, waited for, or killed.

use std::sync::Arc;
use std::time::Duration;

use futures::future::Either;
use layer_store::ActiveLayer;
use runtime_exec::{Exit, Keepers, StepIo};
use rustix::pipe::{PipeFlags, pipe_with};

use super::error::ExecError;
use super::idle::Pulse;
use super::kill::{KillSwitch, Wire};
use super::prepare::Prepared;
use super::pump::pump;
use super::tail::Tail;
use crate::Session;
use crate::event::{Event, StepId};
use crate::request::Timeouts;
use crate::session::EventSink;
use crate::worker::{Permit, blocking};

/// How a step ended.
pub(super) struct Ended {
    pub exit: Exit,
    pub tail: Vec<String>,
    /// Whether it was killed since it took too long or did nothing.
    pub late: Late,
    /// What it wrote.
    pub layer: ActiveLayer,
}

/// Whether a step was killed since it took longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    No,
    TooLong(Duration),
    /// It did nothing for that long.
    Idle(Duration),
}

/// Ends when a step is late.
async fn late(pulse: Arc<Pulse>, timeouts: Timeouts) -> Late {
    let too_long = async {
        match timeouts.whole {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    };
    let idle = async {
        match timeouts.idle {
            Some(after) => pulse.stops(after).await,
            None => std::future::pending().await,
        }
    };
    match futures::future::select(std::pin::pin!(too_long), std::pin::pin!(idle)).await {
        Either::Left(_) => Late::TooLong(timeouts.whole.unwrap_or_default()),
        Either::Right(_) => Late::Idle(timeouts.idle.unwrap_or_default()),
    }
}

/// Runs a step to its end, or for as long as it may. Dropping the future kills it.
pub(super) async fn run(
    prepared: Prepared,
    session: &Session,
    step: StepId,
    timeouts: Timeouts,
) -> Result<Ended, ExecError> {
    let switch = KillSwitch::default();
    let wire = switch.wire();
    let (stdout, step_stdout) = pipe()?;
    let (stderr, step_stderr) = pipe()?;
    let (events, remarks, keepers) =
        (session.events.clone(), session.events.clone(), session.keepers.clone());
    let pulse = Arc::new(Pulse::default());
    let (heard, felt) = (Arc::clone(&pulse), Arc::clone(&pulse));
    let listening = blocking(Permit::free(), move || {
        let mut tail = Tail::default();
        pump(stdout, stderr, &mut |stream, bytes| {
            heard.wrote(bytes.len());
            tail.push(&bytes);
            events.send_blocking(Event::Log { step, stream, bytes });
        })
        .map(|()| tail.into_lines())
        .map_err(ExecError::Pipe)
    });
    let io = StepIo { stdin: None, stdout: step_stdout, stderr: step_stderr };
    let running =
        blocking(Permit::free(), move || start_and_wait(prepared, io, &keepers, (&wire, &felt), &remarks));
    let mut ending = std::pin::pin!(futures::future::join(running, listening));
    let late = std::pin::pin!(late(pulse, timeouts));
    let (late, (running, tail)) = match futures::future::select(&mut ending, late).await {
        Either::Left((ended, _)) => (Late::No, ended),
        Either::Right((late, _)) => {
            switch.pull();
            (late, ending.await)
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
    (wire, pulse): (&Wire, &Pulse),
    events: &EventSink,
) -> Result<(Exit, ActiveLayer), ExecError> {
    if wire.is_pulled() {
        return Ok((Exit::Signal(rustix::process::Signal::KILL.as_raw()), prepared.layer));
    }
    let running = keepers.spawn(&prepared.spec, io)?;
    wire.connect(running.killer());
    pulse.runs_below(running.process().unwrap_or_default());
    for reason in running.unmet_limits() {
        events.send_blocking(Event::Warning(reason.clone()));
    }
    let exit = running.wait()?;
    Ok((exit, prepared.layer))
}
