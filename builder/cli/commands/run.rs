//! `rbuild run`: a process in a new container, which leaves nothing behind.

use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};

use builder::event::StepId;
use builder::exec::ExecError;
use builder::toolchain::{self, RunIo, RunOptions, ToolError};
use runtime_exec::{Exit, NetworkMode, Stage};

use crate::args::{Global, RunArgs, RunNetwork};
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
    let (options, io) = (options(args, environment)?, io(args)?);
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let result = open.runtime.block_on(async {
        tokio::select! {
            result = toolchain::run(&session, &name, &platform, options, io, StepId(0)) => Some(result),
            () = super::interrupted() => None,
        }
    });
    drop(session);
    open.close();
    match result {
        Some(Ok(Exit::Code(code))) => Ok(code),
        Some(Ok(Exit::Signal(signal))) => Ok(u8::try_from(128 + signal).unwrap_or(OURS)),
        Some(Ok(Exit::OutOfMemory)) => Ok(137),
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

fn options(args: &RunArgs, environment: &Environment) -> Result<RunOptions, Failure> {
    let command = args.command.iter().map(|word| {
        let text = word.clone().into_string();
        text.map_err(|word| Failure::usage(format!("{} is not UTF-8", word.to_string_lossy())))
    });
    let hosts = args.add_host.iter();
    let terminal = args.tty && std::io::stdin().is_terminal();
    if args.tty && !terminal {
        return Err(Failure::usage("--tty: standard input is no terminal"));
    }
    let size = || rustix::termios::tcgetwinsize(std::io::stdin()).map(|size| (size.ws_row, size.ws_col));
    Ok(RunOptions {
        command: command.collect::<Result<_, _>>()?,
        entrypoint: args.entrypoint.as_ref().map(|program| match program.as_str() {
            "" => Vec::new(),
            program => vec![program.to_owned()],
        }),
        env: args.env.iter().filter_map(|text| variable(text, environment)).collect(),
        user: args.user.clone(),
        workdir: args.workdir.clone(),
        hostname: args.hostname.clone(),
        network: match args.network {
            RunNetwork::None => NetworkMode::None,
            RunNetwork::Host => NetworkMode::Host,
        },
        extra_hosts: hosts
            .map(|host| graph::ExtraHost { name: host.name.clone(), address: host.address })
            .collect(),
        terminal: if terminal { Some(size().unwrap_or((24, 80))) } else { None },
    })
}

fn variable(text: &str, environment: &Environment) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.to_owned(), environment.get(text)?.to_owned())),
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
    })
}
