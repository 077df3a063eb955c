//! Which thread has which credentials.
//!
//! The kernel itself keeps that: a thread's timer slack, in nanoseconds, is inherited by what it
//! forks and executes, exactly as credentials are, so its last digits number the credentials. Nothing
//! has to be known of threads that start and end, and no number can be stale.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::credentials::Credentials;

/// The slack of a thread with the first credentials: what every thread has by default.
const FIRST: u64 = 50_000;
/// As many different credentials as one step may have; further from the first, timers would suffer.
const MOST: usize = 50_000;

/// All credentials of a step, and how to tell whose they are.
#[derive(Debug)]
pub(super) struct Threads {
    all: Vec<Credentials>,
    numbers: HashMap<Credentials, usize>,
    /// Processes that execute a file which will change their credentials.
    executing: HashMap<i32, Executing>,
}

/// What a process will be, once it runs that file.
#[derive(Clone, Copy, Debug)]
struct Executing {
    file: (u64, u64),
    number: usize,
}

impl Threads {
    /// All threads have these.
    pub(super) fn new(first: Credentials) -> Threads {
        let numbers = HashMap::from([(first.clone(), 0)]);
        Threads { all: vec![first], numbers, executing: HashMap::new() }
    }

    /// The credentials of a thread; `proc` is the kernel's file system of processes.
    pub(super) fn of(&mut self, proc: &OwnedFd, thread: i32) -> Result<&Credentials, Errno> {
        self.settle(proc, thread)?;
        let number = if self.all.len() == 1 { 0 } else { slack(proc, thread)? };
        self.all.get(number).or(self.all.first()).ok_or(Errno::SRCH)
    }

    /// Gives a thread other ones.
    pub(super) fn set(&mut self, proc: &OwnedFd, thread: i32, new: Credentials) -> Result<(), Errno> {
        let number = self.number(new)?;
        set_slack(proc, thread, number)
    }

    /// Gives a process other ones as soon as it turns out to run `file` (device and inode).
    pub(super) fn set_when_executed(
        &mut self,
        process: i32,
        file: (u64, u64),
        new: Credentials,
    ) -> Result<(), Errno> {
        let number = self.number(new)?;
        self.executing.insert(process, Executing { file, number });
        Ok(())
    }

    fn number(&mut self, credentials: Credentials) -> Result<usize, Errno> {
        if let Some(known) = self.numbers.get(&credentials) {
            return Ok(*known);
        }
        let number = self.all.len();
        if number >= MOST {
            return Err(Errno::AGAIN);
        }
        self.numbers.insert(credentials.clone(), number);
        self.all.push(credentials);
        Ok(number)
    }

    /// Whether an announced execution took place.
    fn settle(&mut self, proc: &OwnedFd, thread: i32) -> Result<(), Errno> {
        let Some(executing) = self.executing.remove(&thread) else { return Ok(()) };
        let runs = statat(proc, format!("{thread}/exe"), AtFlags::empty())?;
        if (runs.st_dev, runs.st_ino) == executing.file {
            set_slack(proc, thread, executing.number)?;
        }
        Ok(())
    }
}

fn slack(proc: &OwnedFd, thread: i32) -> Result<usize, Errno> {
    let mut text = [0; 24];
    let file = open(proc, thread, OFlags::RDONLY)?;
    let length = rustix::io::read(&file, &mut text)?;
    let text = std::str::from_utf8(text.get(..length).unwrap_or_default()).unwrap_or_default();
    let slack: u64 = text.trim().parse().map_err(|_| Errno::INVAL)?;
    Ok(slack.checked_sub(FIRST).and_then(|number| usize::try_from(number).ok()).unwrap_or(0))
}

fn set_slack(proc: &OwnedFd, thread: i32, number: usize) -> Result<(), Errno> {
    let text = (FIRST + number as u64).to_string();
    rustix::io::write(open(proc, thread, OFlags::WRONLY)?, text.as_bytes()).map(drop)
}

fn open(proc: &OwnedFd, thread: i32, access: OFlags) -> Result<OwnedFd, Errno> {
    openat(proc.as_fd(), format!("{thread}/timerslack_ns"), access | OFlags::CLOEXEC, Mode::empty())
}
