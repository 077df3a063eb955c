//! Telling a step that the kernel killed for memory from one that was killed otherwise.

use std::fs;

use crate::running::Exit;

/// How many processes the kernel has killed for want of memory, here or in any control group.
pub(super) fn kills() -> Option<u64> {
    let text = fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

/// A step that ended by `SIGKILL`, itself or as its shell says, while the kernel killed for memory.
pub(super) fn explain(exit: Exit, before: Option<u64>) -> Exit {
    let killed = match exit {
        Exit::Signal(signal) => signal == libc::SIGKILL,
        Exit::Code(code) => i32::from(code) == 128 + libc::SIGKILL,
        Exit::OutOfMemory { .. } => true,
    };
    match before {
        Some(before) if killed && kills().is_some_and(|now| now > before) => Exit::OutOfMemory { peak: None },
        _ => exit,
    }
}
