//! What connects a command inside with the caller.

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use builder::error::Category;
use builder::toolchain::{self, RunIo};

use crate::failure::Failure;

/// What of the caller's a command gets besides output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Standard input.
    pub input: bool,
    /// The terminal.
    pub terminal: bool,
}

/// Copies of the caller's descriptors.
pub fn io(attached: Attached) -> Result<RunIo, Failure> {
    let own =
        |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map_err(|error| Failure::new(Category::Host, error));
    let stdin = if attached.input { Some(own(std::io::stdin().as_fd())?) } else { None };
    let keyboard = own(std::io::stdin().as_fd())?;
    let screen = own(std::io::stdout().as_fd())?;
    let attach: Box<dyn FnOnce(OwnedFd) + Send> = Box::new(move |container| {
        std::thread::spawn(move || drop(toolchain::attach_terminal(keyboard, screen, container)));
    });
    Ok(RunIo {
        stdin,
        stdout: own(std::io::stdout().as_fd())?,
        stderr: own(std::io::stderr().as_fd())?,
        on_terminal: attached.terminal.then_some(attach),
        on_starting: None,
        on_started: None,
    })
}

/// Height and width of the caller's terminal; `None`: standard input is none.
pub fn window() -> Option<(u16, u16)> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(std::io::stdin()).map(|size| (size.ws_row, size.ws_col));
    Some(size.unwrap_or((24, 80)))
}
