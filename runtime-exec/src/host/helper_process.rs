//! The outside helper itself: serves each request on a thread of its own, and ends, with every
//! program it still runs, when the main process is gone.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::thread;

use rustix::process::{Signal, kill_current_process_group, setsid};

use super::helper::{
    MapBy, MapProblem, MapProgram, OutsideCommand, OutsideOutput, Request, read_frame, write_frame,
};
use super::id_map::{self, IdRange};
use crate::channel::Channel;
use crate::mounted;

/// Serves until the main process is gone.
pub(crate) fn run(channel: Channel) -> i32 {
    // The terminal is the main process's: its signals do not arrive here, and a program that wants
    // to ask something there is told at once that it cannot.
    let own_group = setsid().is_ok();
    while let Ok(Some(((), fds))) = channel.receive::<()>() {
        for fd in fds {
            thread::spawn(move || serve(fd));
        }
    }
    if own_group {
        // Programs still running were for a process that no longer exists. This one is in that group, too.
        let _ = kill_current_process_group(Signal::KILL);
    }
    0
}

/// An asker that went away gets no answer.
fn serve(connection: OwnedFd) {
    let mut connection = UnixStream::from(connection);
    let Ok(request) = read_frame::<Request>(&mut connection) else { return };
    let _ = match request {
        Request::Run(command) => {
            let answer = run_program(&command).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO));
            write_frame(&mut connection, &answer)
        }
        Request::Look(mounts) => write_frame(&mut connection, &mounted::look(&mounts)),
        Request::Map { pid, by, uids, gids } => write_frame(&mut connection, &map(pid, by, &uids, &gids)),
    };
}

fn run_program(command: &OutsideCommand) -> io::Result<OutsideOutput> {
    let mut child = Command::new(&command.program)
        .args(&command.args)
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take();
    let output = thread::scope(|scope| {
        // A program may end without reading all of it.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(&command.stdin)));
        child.wait_with_output()
    })?;
    Ok(OutsideOutput { code: code_of(&output), stdout: output.stdout, stderr: output.stderr })
}

fn code_of(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0))
}

fn map(pid: i32, by: MapBy, uids: &[IdRange], gids: &[IdRange]) -> Result<(), MapProblem> {
    match by {
        MapBy::Privilege => {
            write_map(&format!("/proc/{pid}/gid_map"), gids)?;
            write_map(&format!("/proc/{pid}/uid_map"), uids)
        }
        MapBy::Programs => {
            run_map_program(MapProgram::Gid, pid, gids)?;
            run_map_program(MapProgram::Uid, pid, uids)
        }
    }
}

fn write_map(path: &str, ranges: &[IdRange]) -> Result<(), MapProblem> {
    fs::write(path, id_map::render(ranges))
        .map_err(|error| MapProblem::Refused { by: path.to_owned(), message: error.to_string() })
}

fn run_map_program(program: MapProgram, pid: i32, ranges: &[IdRange]) -> Result<(), MapProblem> {
    let numbers = ranges.iter().flat_map(|r| [r.inside, r.outside, r.count]);
    let output = Command::new(program.name())
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(MapProblem::Refused {
            by: program.name().to_owned(),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(MapProblem::Missing(program)),
        Err(error) => Err(MapProblem::Refused { by: program.name().to_owned(), message: error.to_string() }),
    }
}
