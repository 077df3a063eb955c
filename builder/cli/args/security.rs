//! `--security-opt`, with the options of docker and podman.

use std::path::PathBuf;
use std::str::FromStr;

/// One option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecurityArg {
    /// Whether set-user-id programs gain nothing.
    NoNewPrivileges(Switch),
    /// No filter of system calls.
    Unfiltered,
    /// The usual filter of system calls.
    UsualFilter,
    /// A filter of system calls, in a file.
    Profile(PathBuf),
    /// A profile of AppArmor.
    AppArmor(String),
    /// No labels of SELinux, which nothing here gets anyway.
    NoLabels,
    /// Nothing of the kernel's file systems is hidden or protected.
    AllPaths,
    /// Paths to hide.
    Mask(Vec<String>),
    /// Paths to leave as they are.
    Unmask(Vec<String>),
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    On,
    Off,
}

const KNOWN: &str = "known are no-new-privileges, seccomp=FILE|builtin|unconfined, apparmor=PROFILE, label=disable, \
                     systempaths=unconfined, mask=PATHS, unmask=ALL|PATHS";

impl FromStr for SecurityArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Docker took a colon before it took the sign of equality.
        let cut = text.find(['=', ':']);
        let (name, value) = match cut {
            Some(cut) => (&text[..cut], Some(&text[cut + 1..])),
            None => (text, None),
        };
        match (name, value) {
            ("no-new-privileges", None | Some("true")) => Ok(Self::NoNewPrivileges(Switch::On)),
            ("no-new-privileges", Some("false")) => Ok(Self::NoNewPrivileges(Switch::Off)),
            ("seccomp", Some("unconfined")) => Ok(Self::Unfiltered),
            ("seccomp", Some("builtin")) => Ok(Self::UsualFilter),
            ("seccomp", Some(file)) if !file.is_empty() => Ok(Self::Profile(file.into())),
            ("apparmor", Some(profile)) if is_profile(profile) => Ok(Self::AppArmor(profile.to_owned())),
            ("label", Some("disable")) => Ok(Self::NoLabels),
            ("label", Some(_)) => Err("labels of SELinux are not supported: label=disable is".to_owned()),
            ("systempaths", Some("unconfined")) => Ok(Self::AllPaths),
            ("mask", Some(list)) => paths(list).map(Self::Mask),
            ("unmask", Some(all)) if all.eq_ignore_ascii_case("all") => Ok(Self::AllPaths),
            ("unmask", Some(list)) => paths(list).map(Self::Unmask),
            (_, _) => Err(format!("{text:?} is not supported; {KNOWN}")),
        }
    }
}

fn is_profile(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn paths(list: &str) -> Result<Vec<String>, String> {
    let all: Vec<String> = list.split(':').map(str::to_owned).collect();
    match all.iter().find(|path| !path.starts_with('/')) {
        Some(bad) => Err(format!("{bad:?} is no absolute path")),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let list = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        for (text, expected) in [
            ("no-new-privileges", SecurityArg::NoNewPrivileges(Switch::On)),
            ("no-new-privileges:false", SecurityArg::NoNewPrivileges(Switch::Off)),
            ("seccomp=unconfined", SecurityArg::Unfiltered),
            ("seccomp=builtin", SecurityArg::UsualFilter),
            ("seccomp=dir/a.json", SecurityArg::Profile("dir/a.json".into())),
            ("apparmor=docker-default", SecurityArg::AppArmor("docker-default".to_owned())),
            ("label=disable", SecurityArg::NoLabels),
            ("systempaths=unconfined", SecurityArg::AllPaths),
            ("mask=/proc/a:/sys/b", SecurityArg::Mask(list(&["/proc/a", "/sys/b"]))),
            ("unmask=ALL", SecurityArg::AllPaths),
            ("unmask=/proc/*", SecurityArg::Unmask(list(&["/proc/*"]))),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for bad in
            ["", "no-new-privileges=maybe", "seccomp=", "apparmor=", "apparmor=a b", "label=type:x", "mask=a"]
        {
            assert!(bad.parse::<SecurityArg>().is_err(), "{bad}");
        }
    }
}
