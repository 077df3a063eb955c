//! The control group of a step, one directory in each hierarchy that a limit needs.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::hierarchies::Hierarchies;
use crate::limits::{Limits, Setting, Version};
use crate::running::Exit;

const PREFIX: &str = "rbuild-";

/// A group, removed when this is dropped: it has to be empty by then.
pub(super) struct Group {
    name: String,
    made: Vec<(Version, PathBuf)>,
    /// Groups around it that were made for it, outermost first.
    around: Vec<PathBuf>,
    /// Limits that could not be set, and why.
    pub(super) unmet: Vec<String>,
}

impl Group {
    /// Makes a group with these limits; those that cannot be had are `unmet`. Groups whose makers are
    /// gone are removed on the way.
    pub(super) fn make(limits: &Limits) -> Group {
        let mut group = Group {
            name: name_of(std::process::id()),
            made: Vec::new(),
            around: Vec::new(),
            unmet: Vec::new(),
        };
        let hierarchies = match Hierarchies::own() {
            Ok(hierarchies) => hierarchies,
            Err(error) => {
                group.unmet.push(format!("limits: control groups cannot be read: {error}"));
                return group;
            }
        };
        match &limits.parent {
            Some(parent) => group.make_within(hierarchies.within(parent), limits),
            None => {
                hierarchies.parents().for_each(sweep);
                group.limit(&hierarchies, limits);
            }
        }
        group
    }

    /// In a group that is named: in every hierarchy, limited there or not.
    fn make_within(&mut self, hierarchies: Hierarchies, limits: &Limits) {
        for (version, top, parent) in hierarchies.places() {
            if let Err(error) = self.open(version, top, parent, limits) {
                self.unmet.push(format!("control group {}: {error}", parent.display()));
            }
        }
        hierarchies.parents().for_each(sweep);
        self.limit(&hierarchies, limits);
        for (version, _, parent) in hierarchies.places() {
            if let Err(reason) = self.make_in(version, parent) {
                self.unmet.push(format!("the step is not in its control group: {reason}"));
            }
        }
    }

    /// Makes what is missing of the way to a group, and lets what is limited be limited along it.
    fn open(&mut self, version: Version, top: &Path, parent: &Path, limits: &Limits) -> io::Result<()> {
        let mut way: Vec<&Path> = parent.ancestors().take_while(|dir| *dir != top).collect();
        way.reverse();
        let mut above = top;
        for dir in way {
            if !dir.exists() {
                fs::create_dir(dir)?;
                self.around.push(dir.to_owned());
                prepare(above, dir);
            }
            if version == Version::Two {
                let offered = fs::read_to_string(above.join("cgroup.controllers"))?;
                let offered =
                    |setting: &Setting| offered.split_whitespace().any(|known| known == setting.controller);
                for setting in limits.settings(version).iter().filter(|setting| offered(setting)) {
                    enable(above, setting.controller)?;
                }
            }
            above = dir;
        }
        Ok(())
    }

    /// Makes the group in one hierarchy, if it is not there.
    fn make_in(&mut self, version: Version, parent: &Path) -> Result<PathBuf, String> {
        let directory = parent.join(&self.name);
        if !self.made.iter().any(|(_, made)| *made == directory) {
            fs::create_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
            self.made.push((version, directory.clone()));
            prepare(parent, &directory);
        }
        Ok(directory)
    }

    fn limit(&mut self, hierarchies: &Hierarchies, limits: &Limits) {
        // A controller is in one hierarchy, so what the versions share stands in one list each.
        for version in [Version::One, Version::Two] {
            for setting in limits.settings(version) {
                match hierarchies.of(setting.controller) {
                    Some((found, parent)) if found == version => {
                        if let Err(reason) = self.set(version, parent, &setting) {
                            self.unmet.push(format!("{} is not limited: {reason}", setting.file));
                        }
                    }
                    Some(_) => {}
                    None if has_controller(hierarchies, setting.controller) => {}
                    None if version == Version::Two => self.unmet.push(format!(
                        "{} is not limited: this host has no controller {:?} for it",
                        setting.file, setting.controller
                    )),
                    None => {}
                }
            }
        }
    }

    fn set(&mut self, version: Version, parent: &Path, setting: &Setting) -> Result<(), String> {
        let failed = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
        if version == Version::Two {
            enable(parent, setting.controller).map_err(|error| failed(parent, error))?;
        }
        let directory = self.make_in(version, parent)?;
        let file = directory.join(setting.file);
        write(&file, &setting.value).map_err(|error| failed(&file, error))
    }

    /// Puts a process into the group, with all that it will start.
    pub(super) fn take(&self, pid: u32) -> io::Result<()> {
        self.made
            .iter()
            .try_for_each(|(_, directory)| write(&directory.join("cgroup.procs"), &pid.to_string()))
    }

    /// A step that failed after the kernel killed in this group for memory.
    pub(super) fn explain(&self, exit: Exit) -> Option<Exit> {
        let read = |file: &str| {
            self.made.iter().find_map(|(_, directory)| fs::read_to_string(directory.join(file)).ok())
        };
        let events = read("memory.events").or_else(|| read("memory.oom_control"))?;
        let kills: u64 = events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())?;
        let peak = read("memory.peak").or_else(|| read("memory.max_usage_in_bytes"));
        let peak = peak.and_then(|text| text.trim().parse().ok());
        match exit {
            Exit::Code(0) => Some(exit),
            Exit::Code(_) | Exit::Signal(_) if kills > 0 => Some(Exit::OutOfMemory { peak }),
            Exit::Code(_) | Exit::Signal(_) | Exit::OutOfMemory { .. } | Exit::PerhapsOutOfMemory { .. } => {
                Some(exit)
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for (_, directory) in &self.made {
            // One that cannot be removed is swept by the next step with limits.
            let _ = fs::remove_dir(directory);
        }
        for directory in self.around.iter().rev() {
            // Another step may be in it by now, and then it stays.
            let _ = fs::remove_dir(directory);
        }
    }
}

fn has_controller(hierarchies: &Hierarchies, controller: &str) -> bool {
    let twin = match controller {
        "blkio" => "io",
        "io" => "blkio",
        same => same,
    };
    hierarchies.of(controller).is_some() || hierarchies.of(twin).is_some()
}

/// A new set of processors of the first version takes no process before it has processors and memory.
fn prepare(parent: &Path, directory: &Path) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = directory.join(file);
        if fs::read_to_string(&own).is_ok_and(|own| own.trim().is_empty())
            && let Ok(above) = fs::read_to_string(parent.join(file))
        {
            // Where that fails, so does the limit, and says so.
            let _ = write(&own, above.trim());
        }
    }
}

/// Lets groups below `parent` use a controller.
fn enable(parent: &Path, controller: &str) -> io::Result<()> {
    let file = parent.join("cgroup.subtree_control");
    if fs::read_to_string(&file)?.split_whitespace().any(|known| known == controller) {
        return Ok(());
    }
    write(&file, &format!("+{controller}"))
}

fn write(file: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes())
}

/// Removes groups whose makers are gone.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(is_orphan) {
            // One with processes in it stays, and so does one that another step has removed already.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The name of what belongs to a keeper, which tells whether that still lives.
pub(super) fn name_of(keeper: u32) -> String {
    format!("{PREFIX}{keeper}-{}", start_of(keeper).unwrap_or_default())
}

/// Whether something with such a name has lost its keeper.
pub(super) fn is_orphan(name: &str) -> bool {
    let Some((pid, start)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    pid.parse().is_ok_and(|pid| start_of(pid).is_none_or(|found| found != start))
}

/// When a process was started: what tells it from a later one with its number. One that ended and was
/// not waited for is gone.
fn start_of(pid: u32) -> Option<String> {
    start(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn start(stat: &str) -> Option<String> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_the_living_are_no_orphans() {
        let own = std::process::id();
        let start = start_of(own).unwrap();
        assert!(!is_orphan(&format!("{PREFIX}{own}-{start}")));
        assert!(is_orphan(&format!("{PREFIX}{own}-0")));
        assert!(is_orphan(&format!("{PREFIX}4194305-1")));
        assert!(!is_orphan("user.slice"));
    }

    #[test]
    fn the_ended_have_no_start() {
        let stat = |state: &str| format!("7 (a) b) {state} {} 99 1", vec!["0"; 18].join(" "));
        assert_eq!(start(&stat("S")).as_deref(), Some("99"));
        assert_eq!(start(&stat("Z")), None);
    }

    #[test]
    fn orphans_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["rbuild-4194305-1", "other"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        sweep(dir.path());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
