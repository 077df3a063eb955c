//! The processes of a step that has no process namespace, whose end would be theirs.

use std::io;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, set_child_subreaper, waitid,
};

use crate::channel::retry;

/// Has every process that loses its parent below this one become a child of this one.
pub(super) fn adopt() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Kills all children, and those that become children by that, until there are none. A child keeps its number
/// until it is waited for, so none but ours can be hit.
pub(super) fn end_all() -> io::Result<()> {
    loop {
        for child in children()? {
            // It may have ended by itself.
            let _ = kill_process(child, Signal::KILL);
        }
        match retry(|| waitid(WaitId::All, WaitIdOptions::EXITED)) {
            Ok(_) => {}
            Err(rustix::io::Errno::CHILD) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        while let Ok(Some(_)) = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {}
    }
}

/// The processes whose parent this one is.
fn children() -> io::Result<Vec<Pid>> {
    let own = getpid().as_raw_nonzero().get();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // Gone meanwhile.
        let Ok(text) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        if parent(&text) == Some(own) {
            found.extend(Pid::from_raw(pid));
        }
    }
    Ok(found)
}

/// The name of a program may hold anything; the state and the parent follow its last bracket.
fn parent(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parent;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent("7 (sh) S 3 7 7 0"), Some(3));
        assert_eq!(parent("7 (a) S 9 (b) S 3 7"), Some(3));
        assert_eq!(parent("nonsense"), None);
    }
}
