//! Process 1 of a sandbox that is not its program: it starts the program, passes signals on and takes the ends
//! of processes whose parents are gone.
//!
//! It is this executable, which lies behind a mount that cannot be written, on a memory that nobody inside may
//! look into. It keeps no descriptor, and has the user, the capabilities and the filter of the program.

use std::io;

use defence::Defence;
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, WaitOptions, WaitStatus, kill_process, set_dumpable_behavior, wait,
};

use super::program::Program;
use super::{At, Report};
use crate::channel::Channel;
use crate::error::{Failure, Stage};
use crate::spec::{ProcessSpec, Terminal};
use crate::sys::clone::{Forked, fork_into};
use crate::sys::process::{block_signals, close_all, exit_now, next_signal, reset_signals};

const NAME: &std::ffi::CStr = c"rbuild-init";

/// To be done before anybody may send signals to this process: they wait from now on.
pub(super) fn expect_signals() {
    block_signals();
}

/// Starts the program and stays; returns only with the failure to start.
pub(super) fn start(spec: &ProcessSpec, program: &Program, reporter: &Channel) -> Failure {
    match attempt(spec, program, reporter) {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}

fn attempt(
    spec: &ProcessSpec,
    program: &Program,
    reporter: &Channel,
) -> Result<std::convert::Infallible, Failure> {
    if defence::stands(Defence::InitHidden) {
        set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Stage::Exec, "init")?;
    }
    match fork_into(0).at(Stage::Exec, "init")? {
        Forked::Child => {
            let failure = match lead(spec) {
                Ok(()) => program.execute(),
                Err(error) => Failure::new(Stage::Exec, "init", &error),
            };
            // Without a keeper, this process is about to be killed anyway.
            let _ = reporter.send(&Report::Failed(failure), &[]);
            exit_now(1)
        }
        Forked::Parent { pid, .. } => {
            let _ = rustix::thread::set_name(NAME);
            // A failure of the program is reported through its own copy, whose end is awaited.
            let _ = close_all();
            exit_now(stay(pid))
        }
    }
}

/// The program leads a group of its own, before the terminal if there is one, so that signals from the keyboard
/// reach it once.
fn lead(spec: &ProcessSpec) -> io::Result<()> {
    rustix::process::setpgid(None, None)?;
    match spec.terminal {
        Terminal::New { .. } => {
            let stdin = io::stdin();
            rustix::termios::tcsetpgrp(&stdin, rustix::process::getpid())?;
        }
        Terminal::None => {}
    }
    reset_signals();
    Ok(())
}

/// Until the program ends; its exit code, or as a shell gives it for a signal.
fn stay(program: Pid) -> i32 {
    loop {
        match next_signal() {
            Some(signal) if signal == rustix::process::Signal::CHILD => {
                if let Some(status) = reap(program) {
                    return code(status);
                }
            }
            // It may be another user's by now, or gone.
            Some(signal) => drop(kill_process(program, signal)),
            None => {}
        }
    }
}

/// Takes all ends there are; that of the program is the answer.
fn reap(program: Pid) -> Option<WaitStatus> {
    let mut end = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == program => end = Some(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return end,
        }
    }
}

fn code(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    }
}
