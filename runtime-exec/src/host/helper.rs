//! Asking the outside helper.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::id_map::IdRange;
use crate::channel::Channel;
use crate::error::OutsideError;
use crate::mounted::{MountedAt, Presence};
use crate::reexec::{self, Role};

/// A program to run outside, as the real user, in this process's first surroundings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OutsideCommand {
    /// A path, or a name looked up in the user's `PATH`.
    pub program: OsString,
    /// Arguments, without the program.
    pub args: Vec<OsString>,
    /// Variables set beside the user's own.
    pub env: Vec<(OsString, OsString)>,
    /// What the program reads.
    pub stdin: Vec<u8>,
}

/// What a program outside answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideOutput {
    /// Exit code; 128 and the number for one ended by a signal.
    pub code: i32,
    /// What it wrote to descriptor 1.
    pub stdout: Vec<u8>,
    /// What it wrote to descriptor 2.
    pub stderr: Vec<u8>,
}

/// What the helper can do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Run a program.
    Run(OutsideCommand),
    /// Write the id maps of a process.
    Map { pid: i32, by: MapBy, uids: Vec<IdRange>, gids: Vec<IdRange> },
    /// Look which mounts are still there.
    Look(Vec<MountedAt>),
}

/// Who may write an id map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum MapBy {
    /// The helper itself, by its privilege.
    Privilege,
    /// `newuidmap` and `newgidmap`.
    Programs,
}

/// Why a map was not written.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum MapProblem {
    /// A program is not installed.
    Missing(MapProgram),
    /// A program, or the kernel, said no.
    Refused { by: String, message: String },
}

/// The programs that write maps for ordinary users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum MapProgram {
    Uid,
    Gid,
}

impl MapProgram {
    pub(super) fn name(self) -> &'static str {
        match self {
            MapProgram::Uid => "newuidmap",
            MapProgram::Gid => "newgidmap",
        }
    }
}

/// A small process outside the user namespace, which ends with this one.
#[derive(Clone, Debug)]
pub struct OutsideHelper(Arc<Mutex<Channel>>);

impl OutsideHelper {
    /// Starts the process.
    pub(super) fn start() -> io::Result<OutsideHelper> {
        let (_child, channel) = reexec::start(Role::OutsideHelper)?;
        Ok(OutsideHelper(Arc::new(Mutex::new(channel))))
    }

    /// Runs a program to its end. Several may run at once.
    pub fn run(&self, command: &OutsideCommand) -> Result<OutsideOutput, OutsideError> {
        let answer: Result<OutsideOutput, i32> =
            self.ask(&Request::Run(command.clone())).map_err(OutsideError::Helper)?;
        answer.map_err(|errno| OutsideError::Program {
            program: command.program.to_string_lossy().into_owned(),
            source: io::Error::from_raw_os_error(errno),
        })
    }

    /// Whether mounts are still there, in the order in which they were given.
    pub fn look(&self, mounts: &[MountedAt]) -> Result<Vec<Presence>, OutsideError> {
        self.ask(&Request::Look(mounts.to_vec())).map_err(OutsideError::Helper)
    }

    /// Sends one request over a connection of its own and reads the answer.
    pub(super) fn ask<T: DeserializeOwned>(&self, request: &Request) -> io::Result<T> {
        let (ours, theirs) = UnixStream::pair()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).send(&(), &[theirs.as_fd()])?;
        drop(theirs);
        let mut connection = File::from(std::os::fd::OwnedFd::from(ours));
        write_frame(&mut connection, request)?;
        read_frame(&mut connection)
    }
}

/// Writes a value as its length and its JSON text.
pub(super) fn write_frame<T: Serialize>(to: &mut impl Write, value: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    to.write_all(&(bytes.len() as u64).to_le_bytes())?;
    to.write_all(&bytes)
}

/// Reads what [`write_frame`] wrote.
pub(super) fn read_frame<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}
