//! Why a step has no result.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use layer_store::StoreError;
use runtime_exec::{SpawnError, Stage, UnknownResource, WaitError};
use thiserror::Error;

use super::cdi::CdiError;
use super::user::UserError;
use crate::error::{Categorised, Category};

/// Why a step has no result.
#[derive(Debug, Error)]
pub enum ExecError {
    /// The program ended with a code that is no success.
    #[error("exit code {code}")]
    Exit {
        /// The code.
        code: u8,
        /// The last lines it wrote.
        tail: Vec<String>,
    },
    /// A signal ended the program.
    #[error("killed by signal {signal}")]
    Signal {
        /// Its number.
        signal: i32,
        /// The last lines it wrote.
        tail: Vec<String>,
    },
    /// The kernel ended the program for want of memory.
    #[error("killed: out of memory{}", at_peak(*peak))]
    OutOfMemory {
        /// The most it ever used, in bytes, where that was counted.
        peak: Option<u64>,
        /// The last lines it wrote.
        tail: Vec<String>,
    },
    /// The program was killed, and the kernel killed something for want of memory meanwhile.
    #[error(
        "killed, perhaps for want of memory: the kernel killed something for that meanwhile, in this step or elsewhere"
    )]
    PerhapsOutOfMemory {
        /// The last lines it wrote.
        tail: Vec<String>,
    },
    /// The program ran for longer than it may.
    #[error("killed: it ran for longer than --step-timeout allows ({} s)", after.as_secs())]
    TooLong {
        /// How long it may run.
        after: Duration,
        /// The last lines it wrote.
        tail: Vec<String>,
    },
    /// The program did nothing for longer than it may.
    #[error("killed: it wrote nothing and used no processor for as long as --idle-timeout allows ({} s)", after.as_secs())]
    Idle {
        /// How long it may do nothing.
        after: Duration,
        /// The last lines it wrote.
        tail: Vec<String>,
    },
    /// The program ended without success, and the disk that it wrote to is full.
    #[error("{ended}, and the disk is full: {}", path.display())]
    DiskFull {
        /// How it ended.
        ended: Box<ExecError>,
        /// Where its files were going.
        path: PathBuf,
        /// What a write there is refused with.
        source: io::Error,
    },
    /// What takes namespaces, where there are none.
    #[error("{what} cannot be had with --isolation=chroot: {cause}")]
    NotIsolated {
        /// What the step wants.
        what: String,
        /// What it takes.
        cause: &'static str,
    },
    /// The sandbox or the program did not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// How the program ended cannot be told.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// `USER` means nobody.
    #[error(transparent)]
    User(#[from] UserError),
    /// A device that cannot be had.
    #[error(transparent)]
    Device(#[from] CdiError),
    /// A limit with an unknown name.
    #[error(transparent)]
    Limit(#[from] UnknownResource),
    /// A required secret was not given.
    #[error("secret {id:?} is required and was not given (--secret id={id},src=PATH)")]
    NoSecret {
        /// Its name.
        id: String,
    },
    /// A secret's file cannot be read.
    #[error("secret {id:?}: {}: {source}", path.display())]
    SecretFile {
        /// Its name.
        id: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A secret that cannot be a variable.
    #[error("secret {id:?} holds bytes that an environment variable cannot hold")]
    SecretText {
        /// Its name.
        id: String,
    },
    /// A required agent was not given.
    #[error("ssh agent {id:?} is required and was not given (--ssh {id})")]
    NoAgent {
        /// Its name.
        id: String,
    },
    /// The socket that a step reaches an agent by cannot be made.
    #[error("ssh agent {id:?}: the socket for the step: {source}")]
    Agent {
        /// Its name.
        id: String,
        /// Why.
        source: io::Error,
    },
    /// A mount names an input that the step does not have.
    #[error("the mount at {target} refers to input {input}, which the step does not have")]
    NoInput {
        /// Where it was to be mounted.
        target: String,
        /// The input.
        input: usize,
    },
    /// What is to be mounted is not in its input or cache.
    #[error("the mount at {target}: {source_path} not found in {place}")]
    NoSource {
        /// Where it was to be mounted.
        target: String,
        /// The path.
        source_path: String,
        /// Where it was looked for.
        place: &'static str,
    },
    /// A new cache directory cannot be set up.
    #[error("cache mount {id:?}: {}: {source}", path.display())]
    Cache {
        /// Its name.
        id: String,
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The initial content of a cache mount cannot be written.
    #[error("cache mount {id:?}: {source}")]
    Seed {
        /// Its name.
        id: String,
        /// Why.
        source: crate::export::TreeError,
    },
    /// Pipes to the program cannot be made or read.
    #[error("pipe to the step: {0}")]
    Pipe(io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn at_peak(peak: Option<u64>) -> String {
    peak.map(|bytes| format!(" (it used {} KiB)", bytes >> 10)).unwrap_or_default()
}

impl ExecError {
    /// The last lines that the program wrote.
    pub fn tail(&self) -> &[String] {
        match self {
            ExecError::Exit { tail, .. }
            | ExecError::Signal { tail, .. }
            | ExecError::OutOfMemory { tail, .. }
            | ExecError::PerhapsOutOfMemory { tail }
            | ExecError::TooLong { tail, .. }
            | ExecError::Idle { tail, .. } => tail,
            ExecError::DiskFull { ended, .. } => ended.tail(),
            ExecError::NotIsolated { .. }
            | ExecError::Spawn(_)
            | ExecError::Wait(_)
            | ExecError::User(_)
            | ExecError::Device(_)
            | ExecError::Limit(_)
            | ExecError::NoSecret { .. }
            | ExecError::SecretFile { .. }
            | ExecError::SecretText { .. }
            | ExecError::NoAgent { .. }
            | ExecError::Agent { .. }
            | ExecError::NoInput { .. }
            | ExecError::NoSource { .. }
            | ExecError::Cache { .. }
            | ExecError::Seed { .. }
            | ExecError::Pipe(_)
            | ExecError::Store(_) => &[],
        }
    }
}

impl Categorised for ExecError {
    fn category(&self) -> Category {
        match self {
            ExecError::Exit { .. }
            | ExecError::Signal { .. }
            | ExecError::OutOfMemory { .. }
            | ExecError::PerhapsOutOfMemory { .. }
            | ExecError::TooLong { .. }
            | ExecError::Idle { .. }
            | ExecError::NoSource { .. }
            | ExecError::User(_) => Category::Step,
            ExecError::Spawn(error) if error.stage() == Some(Stage::Exec) => Category::Step,
            ExecError::NotIsolated { .. } | ExecError::Spawn(_) | ExecError::Wait(_) => Category::Host,
            ExecError::Device(error) => error.category(),
            ExecError::Limit(_)
            | ExecError::NoSecret { .. }
            | ExecError::NoAgent { .. }
            | ExecError::SecretText { .. } => Category::Usage,
            ExecError::DiskFull { .. }
            | ExecError::SecretFile { .. }
            | ExecError::Agent { .. }
            | ExecError::NoInput { .. }
            | ExecError::Cache { .. }
            | ExecError::Seed { .. }
            | ExecError::Pipe(_)
            | ExecError::Store(_) => Category::Local,
        }
    }
}
