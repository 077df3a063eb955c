//! What a build must not leave on the host: processes, mounts in any namespace, control groups,
//! network devices.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Fails unless everything that knows of a directory is gone. A process that was killed a moment ago
/// has some time to go.
pub fn none(dir: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let found = of(&dir.to_string_lossy());
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left behind below {}:\n{}", dir.display(), found.join("\n"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Every process that was started with a text among its words, or from a place below it, or that sees
/// a mount of it.
fn of(text: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let dir = process.path();
        let id = process.file_name().to_string_lossy().into_owned();
        if !id.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // A process may end while we look.
        let read = |name: &str| std::fs::read(dir.join(name)).unwrap_or_default();
        let words = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let place = |name: &str| std::fs::read_link(dir.join(name)).unwrap_or_default();
        let places = [place("cwd"), place("exe"), place("root")];
        let there = id != own
            && (words.contains(text) || places.iter().any(|place| place.to_string_lossy().contains(text)));
        if there {
            found.push(format!("process {id}: {words}"));
        }
        let mounts = String::from_utf8_lossy(&read("mountinfo")).into_owned();
        found.extend(
            mounts
                .lines()
                .filter(|line| line.contains(text))
                .map(|line| format!("mount seen by {id}: {line}")),
        );
    }
    found
}

/// Held by a test that makes control groups, and by one that looks for them: they have no name of the
/// test that made them.
pub fn alone_with_groups() -> MutexGuard<'static, ()> {
    static GROUPS: Mutex<()> = Mutex::new(());
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Control groups and network devices of the host.
pub fn groups_and_devices() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![Path::new("/sys/fs/cgroup").to_owned(), Path::new("/sys/class/net").to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if is_dir {
                open.push(entry.path());
            }
            if is_dir || is_link {
                found.insert(entry.path().to_string_lossy().into_owned());
            }
        }
    }
    found
}
