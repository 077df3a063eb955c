//! `rbuild run`: a process in a new container, which leaves nothing behind.

mod options;
mod signals;

use std::os::fd::{AsFd, OwnedFd};

use builder::event::StepId;
use builder::exec::ExecError;
use builder::toolchain::{self, RunIo, ToolError};
use runtime_exec::{Exit, Stage};

use self::signals::Signals;
use crate::args::{Global, RunArgs};
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
    let name = super::name(&args.image)?;
    let platform = super::platform(args.platform.as_deref())?;
    let (options, mut io) = (options::options(args, environment)?, io(args)?);
    let signals = Signals::default();
    let receive = signals.receiver();
    io.on_started = Some(Box::new(move |running| {
        for reason in running.unmet_limits() {
            super::say(&format!("warning: {reason}\n"));
        }
        receive(running.killer());
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
        Some(Ok(Exit::Code(code))) => Ok(code),
        Some(Ok(Exit::Signal(signal))) => Ok(u8::try_from(128 + signal).unwrap_or(OURS)),
        Some(Ok(Exit::OutOfMemory { peak })) => {
            let used = peak.map(|bytes| format!(" (it used {} KiB)", bytes >> 10)).unwrap_or_default();
            super::say(&format!("killed: out of memory{used}\n"));
            Ok(137)
        }
        Some(Err(error)) => {
            Err(Failure::from_error(builder::error::Category::Host, &error).with_code(code_of(&error)))
        }
        None => Ok(130),
    }
}

/// The exit code for a command that did not start.
fn code_of(error: &ToolError) -> u8 {
    const ENOENT: i32 = 2;
    match error {
        ToolError::Exec(ExecError::Spawn(spawn)) if spawn.stage() == Some(Stage::Exec) => match spawn.errno()
        {
            Some(ENOENT) => NOT_FOUND,
            Some(_) | None => NOT_EXECUTABLE,
        },
        ToolError::Exec(_)
        | ToolError::Image(_)
        | ToolError::Export(_)
        | ToolError::Place(_)
        | ToolError::Store(_)
        | ToolError::NoImage { .. }
        | ToolError::NoVariant { .. }
        | ToolError::NeverPacked { .. }
        | ToolError::NoCommand { .. }
        | ToolError::Archive { .. } => OURS,
    }
}

fn io(args: &RunArgs) -> Result<RunIo, Failure> {
    let own = |fd: std::os::fd::BorrowedFd<'_>| {
        fd.try_clone_to_owned().map_err(|error| Failure::new(builder::error::Category::Host, error))
    };
    let stdin = if args.interactive { Some(own(std::io::stdin().as_fd())?) } else { None };
    let keyboard = own(std::io::stdin().as_fd())?;
    let screen = own(std::io::stdout().as_fd())?;
    let attach: Box<dyn FnOnce(OwnedFd) + Send> = Box::new(move |container| {
        std::thread::spawn(move || drop(toolchain::attach_terminal(keyboard, screen, container)));
    });
    Ok(RunIo {
        stdin,
        stdout: own(std::io::stdout().as_fd())?,
        stderr: own(std::io::stderr().as_fd())?,
        on_terminal: args.tty.then_some(attach),
        on_started: None,
    })
}
