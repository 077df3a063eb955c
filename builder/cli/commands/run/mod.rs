//! `rbuild run`: a process in a new container, which leaves nothing behind.

mod connect;
mod options;
mod signals;

pub use connect::{Attached, io, window};
pub use signals::Signals;

use builder::event::StepId;
use builder::exec::ExecError;
use builder::toolchain::{self, ToolError};
use runtime_exec::{Exit, Stage};

use crate::args::{Global, RunArgs};
use crate::client;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// rbuild itself failed, as docker numbers it.
const OURS: u8 = 125;
/// The command is there and cannot be started.
const NOT_EXECUTABLE: u8 = 126;
/// The command is not there.
const NOT_FOUND: u8 = 127;

/// Runs the command; the value is its exit code.
pub fn run(args: &RunArgs, global: &Global, environment: &Environment) -> Result<u8, Failure> {
    start(args, global, environment).map_err(|failure| match failure.code {
        NOT_EXECUTABLE | NOT_FOUND => failure,
        _ => failure.with_code(OURS),
    })
}

fn start(args: &RunArgs, global: &Global, environment: &Environment) -> Result<u8, Failure> {
    let name = client::short_names(args.short_names, environment)?.complete(&args.image);
    let name = name.map_err(Failure::usage)?;
    let platform = super::platform(args.platform.as_deref())?;
    let (options, mut io) = (
        options::options(args, environment)?,
        connect::io(Attached { input: args.interactive, terminal: args.tty })?,
    );
    let signals = Signals::default();
    let receive = signals.receiver();
    io.on_starting = Some(signals.starting());
    io.on_started = Some(Box::new(move |running| {
        receive(running.killer());
        for reason in running.unmet_limits() {
            super::say(&format!("warning: {reason}\n"));
        }
    }));
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let result = open.runtime.block_on(async {
        tokio::select! {
            result = toolchain::run(&session, &name, &platform, options, io, StepId(0)) => Some(result),
            () = signals.pass_on() => None,
        }
    });
    drop(session);
    open.close();
    match result {
        Some(Ok(exit)) => Ok(ended(exit)),
        Some(Err(error)) => {
            Err(Failure::from_error(builder::error::Category::Host, &error).with_code(code_of(&error)))
        }
        None => Ok(130),
    }
}

/// The exit code for how a command ended; says so where memory was wanting.
pub fn ended(exit: Exit) -> u8 {
    match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => u8::try_from(128 + signal).unwrap_or(OURS),
        Exit::OutOfMemory { peak } => {
            let used = peak.map(|bytes| format!(" (it used {} KiB)", bytes >> 10)).unwrap_or_default();
            super::say(&format!("killed: out of memory{used}\n"));
            137
        }
        Exit::PerhapsOutOfMemory { .. } => {
            super::say(
                "killed, perhaps for want of memory: the kernel killed something for that meanwhile, in this \
                 container or elsewhere\n",
            );
            137
        }
    }
}

/// The exit code for a command that did not start.
fn code_of(error: &ToolError) -> u8 {
    match error {
        ToolError::Exec(error) => code_of_exec(error),
        ToolError::Image(_)
        | ToolError::Export(_)
        | ToolError::Place(_)
        | ToolError::Store(_)
        | ToolError::NoImage { .. }
        | ToolError::NoVariant { .. }
        | ToolError::Unsigned(_)
        | ToolError::NeverPacked { .. }
        | ToolError::NoCommand { .. }
        | ToolError::NameInUse { .. }
        | ToolError::Mount(_)
        | ToolError::Outside(_)
        | ToolError::MountedElsewhere { .. }
        | ToolError::NoOverlay { .. }
        | ToolError::Archive { .. } => OURS,
    }
}

/// The same of a process that any command started.
pub fn code_of_exec(error: &ExecError) -> u8 {
    const ENOENT: i32 = 2;
    let ExecError::Spawn(spawn) = error else { return OURS };
    match (spawn.stage(), spawn.errno()) {
        (Some(Stage::Exec), Some(ENOENT)) => NOT_FOUND,
        (Some(Stage::Exec), _) => NOT_EXECUTABLE,
        (_, _) => OURS,
    }
}
