//! What the kernel runs programs of other machines with (`binfmt_misc`).

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// How programs of every machine with ELF files begin.
const ELF: &str = "7f454c46";

/// An interpreter for programs of another machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emulator {
    /// The name under which it is registered.
    pub name: String,
    /// Its file.
    pub path: String,
    /// Where that is looked for.
    pub lookup: Lookup,
}

/// Where an interpreter is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lookup {
    /// It was opened when it was registered (flag `F`), and serves whatever the root of a process is.
    AtRegistration,
    /// Below the root of the process that starts a program.
    InTheRoot,
}

/// The emulators that are registered and not switched off, by name; `None`: the list is not mounted.
pub fn registered() -> Option<Vec<Emulator>> {
    let dir = Path::new("/proc/sys/fs/binfmt_misc");
    fs::metadata(dir.join("status")).ok()?;
    let entries = fs::read_dir(dir).ok()?.flatten();
    let one = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).ok()?;
        emulator(&entry.file_name().to_string_lossy(), &text)
    };
    let mut emulators: Vec<Emulator> = entries.filter_map(one).collect();
    emulators.sort_by(|one, other| one.name.cmp(&other.name));
    Some(emulators)
}

/// One entry of the list. `None`: it is switched off, or is for other files than programs.
pub(super) fn emulator(name: &str, text: &str) -> Option<Emulator> {
    let field = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    if text.lines().next() != Some("enabled") || !field("magic ")?.starts_with(ELF) {
        return None;
    }
    let lookup = match field("flags: ")?.contains('F') {
        true => Lookup::AtRegistration,
        false => Lookup::InTheRoot,
    };
    Some(Emulator { name: name.to_owned(), path: field("interpreter ")?.to_owned(), lookup })
}
