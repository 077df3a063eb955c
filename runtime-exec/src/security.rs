//! How far the default confinement of a step is loosened or tightened.

use serde::{Deserialize, Serialize};

use crate::seccomp::profile::SystemCallFilter;

/// Changes to the default confinement. They mean nothing to a step that is not confined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityOptions {
    /// What filters its system calls.
    pub system_calls: SystemCalls,
    /// Paths of the kernel's file systems that are hidden or may not be written.
    pub system_paths: SystemPaths,
    /// Profile of AppArmor for its program; `None`: it stays in that of this process.
    pub apparmor: Option<String>,
}

/// What filters the system calls of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SystemCalls {
    /// Docker's default, for the capabilities it has.
    #[default]
    Default,
    /// A profile of the user.
    Filter(SystemCallFilter),
    /// Nothing.
    Unfiltered,
}

/// Paths of the kernel's file systems that are hidden or may not be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemPaths {
    /// Paths that are hidden besides the usual ones.
    pub more: Vec<String>,
    /// Which of the usual ones are left as they are.
    pub open: OpenPaths,
}

/// Which of the usual paths are left as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenPaths {
    /// All of them.
    All,
    /// These; one that ends in `/*` means all below it.
    These(Vec<String>),
}

impl Default for OpenPaths {
    fn default() -> Self {
        OpenPaths::These(Vec::new())
    }
}

impl OpenPaths {
    /// Whether a path is left as it is.
    pub(crate) fn contains(&self, path: &str) -> bool {
        match self {
            OpenPaths::All => true,
            OpenPaths::These(these) => these.iter().any(|open| match open.strip_suffix("/*") {
                Some(dir) => path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/')),
                None => open.trim_end_matches('/') == path,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_paths() {
        let these = |paths: &[&str]| OpenPaths::These(paths.iter().map(|path| (*path).to_owned()).collect());
        assert!(OpenPaths::All.contains("/proc/kcore"));
        assert!(these(&["/proc/kcore/"]).contains("/proc/kcore"));
        assert!(these(&["/sys/firmware", "/proc/*"]).contains("/proc/keys"));
        assert!(!these(&["/proc/kc", "/proc", "/sys/*"]).contains("/proc/kcore"));
        assert!(!these(&["/proc/a/*"]).contains("/proc/acpi"));
    }
}
