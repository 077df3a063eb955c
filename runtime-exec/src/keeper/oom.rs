//! What can be said of a step that was killed and has no control group which counts kills for memory.

use std::fs;

use crate::running::Exit;

/// How many processes the kernel has killed for want of memory, in any control group of the machine.
pub(super) fn kills() -> Option<u64> {
    let text = fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

/// A step that ended by `SIGKILL`, itself or as its shell says, while the kernel killed for memory. Whom it
/// killed the count does not tell.
pub(super) fn explain(exit: Exit, before: Option<u64>, now: impl FnOnce() -> Option<u64>) -> Exit {
    let code = match exit {
        Exit::Signal(libc::SIGKILL) => None,
        Exit::Code(code) if i32::from(code) == 128 + libc::SIGKILL => Some(code),
        Exit::Signal(_) | Exit::Code(_) | Exit::OutOfMemory { .. } | Exit::PerhapsOutOfMemory { .. } => {
            return exit;
        }
    };
    match before.zip(now()) {
        Some((before, now)) if now > before => Exit::PerhapsOutOfMemory { code },
        Some(_) | None => exit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_the_whole_machine_is_never_certain() {
        let (killed, said) = (Exit::Signal(libc::SIGKILL), Exit::Code(137));
        for (exit, before, now, expected) in [
            (killed, Some(1), Some(1), killed),
            (killed, Some(1), Some(2), Exit::PerhapsOutOfMemory { code: None }),
            (killed, None, Some(2), killed),
            (killed, Some(1), None, killed),
            (said, Some(1), Some(1), said),
            (said, Some(1), Some(2), Exit::PerhapsOutOfMemory { code: Some(137) }),
            (Exit::Signal(libc::SIGTERM), Some(1), Some(2), Exit::Signal(libc::SIGTERM)),
            (Exit::Code(0), Some(1), Some(2), Exit::Code(0)),
            (Exit::Code(1), Some(1), Some(2), Exit::Code(1)),
        ] {
            assert_eq!(explain(exit, before, || now), expected, "{exit:?} {before:?} {now:?}");
        }
    }
}
