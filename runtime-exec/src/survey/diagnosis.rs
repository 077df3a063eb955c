//! From facts about a host to what they mean, and what to change.

use std::fmt;

use serde::Serialize;

use super::{Lookup, Refusal, Survey, Trial};
use crate::host::HostMode;
use crate::spec::Isolation;

/// What the facts mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The mode that commands use; `None`: nothing can be run here.
    pub mode: Option<HostMode>,
    /// What was looked at, in the order in which one builds on another.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub topic: Topic,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, in words.
    pub found: String,
    /// The call that was refused.
    pub refused: Option<Refusal>,
    /// What to change.
    pub advice: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Good,
    /// Builds run, something is not to be had.
    Limited,
    /// No build runs.
    Blocking,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Topic {
    Kernel,
    User,
    Surroundings,
    UserNamespace,
    IdMaps,
    Namespaces,
    Mounts,
    Proc,
    SystemCallFilter,
    Landlock,
    Store,
    Overlay,
    ControlGroups,
    PrivateNetwork,
    Fuse,
    OtherMachines,
    WithoutNamespaces,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Topic::Kernel => "kernel",
            Topic::User => "user",
            Topic::Surroundings => "surroundings",
            Topic::UserNamespace => "user namespace",
            Topic::IdMaps => "id maps",
            Topic::Namespaces => "namespaces",
            Topic::Mounts => "mounts",
            Topic::Proc => "/proc",
            Topic::SystemCallFilter => "system call filter",
            Topic::Landlock => "landlock",
            Topic::Store => "store",
            Topic::Overlay => "overlay",
            Topic::ControlGroups => "control groups",
            Topic::PrivateNetwork => "private network",
            Topic::Fuse => "/dev/fuse",
            Topic::OtherMachines => "other machines",
            Topic::WithoutNamespaces => "chroot isolation",
        })
    }
}

impl Diagnosis {
    /// Whether builds can run.
    pub fn can_build(&self) -> bool {
        self.mode.is_some() && self.findings.iter().all(|finding| finding.severity != Severity::Blocking)
    }
}

impl Finding {
    fn new(topic: Topic, severity: Severity, found: impl Into<String>) -> Finding {
        Finding { topic, severity, found: found.into(), refused: None, advice: None }
    }

    fn good(topic: Topic, found: impl Into<String>) -> Finding {
        Finding::new(topic, Severity::Good, found)
    }

    /// What is refused matters to nobody who does without.
    fn need_no_namespaces(&mut self) {
        let concerned = match self.topic {
            Topic::UserNamespace
            | Topic::IdMaps
            | Topic::Namespaces
            | Topic::Mounts
            | Topic::Proc
            | Topic::SystemCallFilter
            | Topic::Overlay
            | Topic::PrivateNetwork => true,
            Topic::Kernel
            | Topic::User
            | Topic::Surroundings
            | Topic::Landlock
            | Topic::Store
            | Topic::ControlGroups
            | Topic::Fuse
            | Topic::OtherMachines
            | Topic::WithoutNamespaces => false,
        };
        if concerned && self.severity != Severity::Good {
            self.severity = Severity::Good;
            self.found = "not to be had, and not needed".to_owned();
            self.advice = None;
        }
    }

    fn refused(mut self, refusal: &Refusal) -> Finding {
        self.refused = Some(refusal.clone());
        self
    }

    fn advice(mut self, advice: impl Into<String>) -> Finding {
        self.advice = Some(advice.into());
        self
    }
}

pub(super) fn diagnose(survey: &Survey) -> Diagnosis {
    let mut findings = [
        kernel(survey),
        user(survey),
        surroundings(survey),
        user_namespace(survey),
        id_maps(survey),
        namespaces(survey),
        mounts(survey),
        proc(survey),
        filter(survey),
        landlock(survey),
        store(survey),
        overlay(survey),
        control_groups(survey),
        private_network(survey),
        fuse(survey),
        other_machines(survey),
        without_namespaces(survey),
    ];
    match survey.isolation {
        Isolation::Namespaces => {}
        Isolation::Chroot => findings.iter_mut().for_each(Finding::need_no_namespaces),
    }
    Diagnosis { mode: survey.entered.as_ref().ok().copied(), findings: findings.to_vec() }
}

/// The last resort, never taken unasked.
fn without_namespaces(survey: &Survey) -> Finding {
    let topic = Topic::WithoutNamespaces;
    let blocked = survey.entered.is_err();
    match (&survey.chroot, survey.isolation) {
        (Trial::Refused(refusal), Isolation::Chroot) => {
            Finding::new(topic, Severity::Blocking, "refused").refused(refusal).advice(NO_CHROOT)
        }
        (Trial::Refused(refusal), Isolation::Namespaces) => {
            let finding = Finding::good(topic, "not to be had").refused(refusal);
            if blocked { finding.advice(NO_CHROOT) } else { finding }
        }
        (Trial::Works(_) | Trial::Untried, Isolation::Chroot) => Finding::new(
            topic,
            Severity::Limited,
            "steps are not isolated: they run as root, without namespaces",
        ),
        (Trial::Works(_) | Trial::Untried, Isolation::Namespaces) if blocked => {
            Finding::good(topic, "possible").advice("--isolation=chroot builds here, without any isolation")
        }
        (Trial::Works(_) | Trial::Untried, Isolation::Namespaces) => {
            Finding::good(topic, "possible, not needed")
        }
    }
}

/// Why somebody else than root has nothing without namespaces.
const NO_CHROOT: &str = "without a namespace only root can change the root directory and give files to others: \
     start rbuild as root with the capabilities of a usual container, or allow user namespaces";

fn kernel(survey: &Survey) -> Finding {
    const OLDEST: (u32, u32) = (5, 12);
    let mut numbers =
        survey.kernel.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version >= OLDEST {
        true => Finding::good(Topic::Kernel, &survey.kernel),
        false => Finding::new(Topic::Kernel, Severity::Blocking, &survey.kernel)
            .advice("Linux 5.12 or newer is needed (mount_setattr)"),
    }
}

fn user(survey: &Survey) -> Finding {
    let user = &survey.user;
    let name = user.name.as_deref().unwrap_or("no name in /etc/passwd");
    let right = if user.may_mount { "may mount" } else { "may not mount" };
    let place = if user.namespaced { ", in a user namespace" } else { "" };
    Finding::good(Topic::User, format!("{} ({name}), {right}{place}", user.uid))
}

fn surroundings(survey: &Survey) -> Finding {
    let around = &survey.around;
    let mut found = Vec::new();
    if around.filtered {
        found.push("a system call filter".to_owned());
    }
    if around.no_new_privs {
        found.push("no_new_privs".to_owned());
    }
    found.extend(around.profile.iter().map(|profile| format!("security profile {profile}")));
    if around.masked_proc {
        found.push("masked /proc".to_owned());
    }
    found.extend(around.settings.iter().cloned());
    if found.is_empty() {
        return Finding::good(Topic::Surroundings, "nothing confines this process");
    }
    Finding::new(Topic::Surroundings, Severity::Good, found.join(", "))
}

/// Who may mount as it is needs no user namespace.
fn user_namespace(survey: &Survey) -> Finding {
    match &survey.user_namespace {
        Trial::Works(_) => Finding::good(Topic::UserNamespace, "works"),
        Trial::Untried => Finding::new(Topic::UserNamespace, Severity::Limited, "not tried"),
        Trial::Refused(refusal) if survey.user.may_mount => {
            Finding::good(Topic::UserNamespace, "refused, and not needed").refused(refusal)
        }
        Trial::Refused(refusal) => Finding::new(Topic::UserNamespace, Severity::Blocking, "refused")
            .refused(refusal)
            .advice(advice_for_user_namespaces(survey, refusal)),
    }
}

fn advice_for_user_namespaces(survey: &Survey, refusal: &Refusal) -> String {
    if survey.around.settings.iter().any(|setting| setting.starts_with("kernel.apparmor")) {
        return "allow it to this program alone by an AppArmor profile with `userns,` for the path of rbuild; \
                the setting of the whole host can stay"
            .to_owned();
    }
    if let Some(setting) = survey.around.settings.first() {
        let (name, _) = setting.split_once(" = ").unwrap_or((setting, ""));
        return format!("ask for another value of sysctl {name}");
    }
    match refusal.errno {
        libc::ENOSPC => {
            "too many user namespaces are in use: raise sysctl user.max_user_namespaces".to_owned()
        }
        libc::EUSERS => "user namespaces are nested too deeply".to_owned(),
        libc::ENOSYS | libc::EINVAL => "the kernel has no user namespaces (CONFIG_USER_NS)".to_owned(),
        _ if survey.around.filtered => "the system call filter of the container refuses: run it with a \
             profile that allows clone and unshare (docker run --security-opt seccomp=FILE, or a pod with \
             hostUsers: false)"
            .to_owned(),
        _ => "a security module refuses: see its log".to_owned(),
    }
}

fn id_maps(survey: &Survey) -> Finding {
    let topic = Topic::IdMaps;
    if survey.user.may_mount {
        return Finding::good(topic, "not needed");
    }
    if survey.user.may_map && survey.entered == Ok(HostMode::Mapped) {
        return Finding::good(topic, "all that this user has, by its own right");
    }
    let missing: Vec<&str> = survey
        .map_programs
        .iter()
        .filter(|(_, path)| path.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    let alone = survey.entered == Ok(HostMode::SingleId);
    // Without help there is one id, and steps see others all the same.
    let (severity, so) = match alone {
        true => (Severity::Limited, "; the users of steps are emulated"),
        false => (Severity::Blocking, ""),
    };
    let [uids, gids] = &survey.subordinate;
    let user = survey.user.name.clone().unwrap_or_else(|| survey.user.uid.to_string());
    if !missing.is_empty() {
        return Finding::new(topic, severity, format!("{} not installed{so}", missing.join(" and ")))
            .advice("install the package uidmap (Debian) or shadow-utils (Fedora)");
    }
    for (file, ranges) in [("/etc/subuid", uids), ("/etc/subgid", gids)] {
        if ranges.is_empty() {
            return Finding::new(topic, severity, format!("{file} has no range for {user}{so}"))
                .advice(format!("add the line {user}:100000:65536 to {file}"));
        }
    }
    let advice = match survey.around.no_new_privs {
        true => {
            "no_new_privs keeps newuidmap from its privilege: start rbuild without it \
                 (allowPrivilegeEscalation: true)"
        }
        false => "newuidmap and newgidmap need their set-user-id bit or file capabilities",
    };
    match &survey.entered {
        Err(refusal) if refusal.call.starts_with("new") || refusal.call == "the kernel" => {
            Finding::new(topic, severity, "refused").refused(refusal).advice(advice)
        }
        Ok(HostMode::SingleId) => {
            Finding::new(topic, severity, format!("newuidmap was refused{so}")).advice(advice)
        }
        Ok(_) | Err(_) => {
            let count =
                |ranges: &[(u32, u32)]| ranges.iter().map(|(_, count)| u64::from(*count)).sum::<u64>();
            Finding::good(topic, format!("{} users and {} groups", count(uids), count(gids)))
        }
    }
}

fn namespaces(survey: &Survey) -> Finding {
    let refused = survey.namespaces.iter().find_map(|(name, trial)| match trial {
        Trial::Refused(refusal) => Some((name, refusal)),
        Trial::Works(_) | Trial::Untried => None,
    });
    match refused {
        Some((name, refusal)) => Finding::new(
            Topic::Namespaces,
            Severity::Blocking,
            format!("{name} refused"),
        )
        .refused(refusal)
        .advice(if survey.user.may_mount {
            "the kernel lacks it, or the container's system call filter refuses"
        } else {
            "a security module lets user namespaces be made and allows nothing in them: with AppArmor, \
                     a profile with `userns,` for the path of rbuild"
        }),
        None if survey.namespaces.iter().any(|(_, trial)| *trial == Trial::Untried) => Finding::new(
            Topic::Namespaces,
            Severity::Blocking,
            "not tried, since user namespaces are refused",
        ),
        None => Finding::good(Topic::Namespaces, "mount, pid, ipc, uts, net and cgroup work"),
    }
}

/// A finding about something that every sandbox needs.
fn needed(topic: Topic, trial: &Trial, advice: &str) -> Finding {
    match trial {
        Trial::Works(words) if words.is_empty() => Finding::good(topic, "works"),
        Trial::Works(words) => Finding::good(topic, words),
        Trial::Untried => Finding::new(topic, Severity::Blocking, "not tried"),
        Trial::Refused(refusal) => {
            Finding::new(topic, Severity::Blocking, "refused").refused(refusal).advice(advice)
        }
    }
}

fn mounts(survey: &Survey) -> Finding {
    needed(
        Topic::Mounts,
        &survey.mount,
        "a security module (AppArmor's docker-default, for one) refuses mounts: run the container with \
         --security-opt apparmor=unconfined, or outside of one",
    )
}

/// Where the kernel refuses a new one, the one around is shown.
fn proc(survey: &Survey) -> Finding {
    const ADVICE: &str = "parts of /proc are masked by the container around this: run it with --security-opt \
         systempaths=unconfined (docker, podman), or procMount: Unmasked (Kubernetes)";
    match &survey.proc {
        Trial::Refused(refusal) if refusal.errno == libc::EPERM && survey.around.masked_proc => {
            Finding::new(Topic::Proc, Severity::Limited, "refused; steps see that of the container around")
                .refused(refusal)
                .advice(ADVICE)
        }
        trial @ (Trial::Works(_) | Trial::Untried | Trial::Refused(_)) => needed(Topic::Proc, trial, ADVICE),
    }
}

fn filter(survey: &Survey) -> Finding {
    needed(
        Topic::SystemCallFilter,
        &survey.filter,
        "the kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)",
    )
}

fn landlock(survey: &Survey) -> Finding {
    match &survey.landlock {
        Trial::Works(version) => Finding::good(Topic::Landlock, version),
        Trial::Refused(refusal) => {
            Finding::good(Topic::Landlock, "not in this kernel; not needed").refused(refusal)
        }
        Trial::Untried => Finding::good(Topic::Landlock, "not tried"),
    }
}

fn store(survey: &Survey) -> Finding {
    const LITTLE: u64 = 1 << 30;
    let store = &survey.store;
    let place =
        format!("{} on {}, {} MiB free", store.directory.display(), store.file_system, store.free >> 20);
    match &store.write {
        Trial::Refused(refusal) => Finding::new(Topic::Store, Severity::Blocking, place)
            .refused(refusal)
            .advice("name a directory that can be written: --root DIR"),
        Trial::Works(_) | Trial::Untried if store.free < LITTLE => {
            Finding::new(Topic::Store, Severity::Limited, place).advice("little room for images: --root DIR")
        }
        Trial::Works(_) | Trial::Untried => Finding::good(Topic::Store, place),
    }
}

fn overlay(survey: &Survey) -> Finding {
    match &survey.overlay {
        Trial::Works(_) => Finding::good(Topic::Overlay, "works"),
        Trial::Untried => Finding::new(Topic::Overlay, Severity::Blocking, "not tried"),
        Trial::Refused(refusal) => Finding::new(
            Topic::Overlay,
            Severity::Limited,
            "refused; steps run on copies of their trees",
        )
        .refused(refusal)
        .advice("for quicker steps put the store on another file system: --root DIR on ext4, xfs or btrfs"),
    }
}

fn control_groups(survey: &Survey) -> Finding {
    let mut works = Vec::new();
    let mut lacking = Vec::new();
    let mut first = None;
    for (name, trial) in &survey.controllers {
        match trial {
            Trial::Works(_) => works.push(name.as_str()),
            Trial::Refused(refusal) => {
                lacking.push(name.as_str());
                first = first.or(Some(refusal));
            }
            Trial::Untried => lacking.push(name.as_str()),
        }
    }
    if lacking.is_empty() {
        return Finding::good(Topic::ControlGroups, works.join(", "));
    }
    let found = match works.is_empty() {
        true => format!("without {}", lacking.join(", ")),
        false => format!("{}; without {}", works.join(", "), lacking.join(", ")),
    };
    let finding = Finding::new(Topic::ControlGroups, Severity::Limited, found)
        .advice("limits such as --memory are left out with a warning; systemd-run --user --scope -p Delegate=yes gives a group");
    match first {
        Some(refusal) => finding.refused(refusal),
        None => finding,
    }
}

fn private_network(survey: &Survey) -> Finding {
    let topic = Topic::PrivateNetwork;
    match (&survey.pasta, &survey.tun) {
        (None, _) => Finding::new(topic, Severity::Limited, "pasta is not installed")
            .advice("for --network=private install the package passt"),
        (Some(_), Trial::Refused(refusal)) => Finding::new(topic, Severity::Limited, "no /dev/net/tun")
            .refused(refusal)
            .advice("--network=private needs /dev/net/tun, open to this user"),
        (Some(path), Trial::Works(_) | Trial::Untried) => {
            Finding::good(topic, format!("by {}", path.display()))
        }
    }
}

fn fuse(survey: &Survey) -> Finding {
    match &survey.fuse {
        Trial::Works(_) => Finding::good(Topic::Fuse, "can be opened; not needed"),
        Trial::Refused(refusal) => Finding::good(Topic::Fuse, "not to be had; not needed").refused(refusal),
        Trial::Untried => Finding::good(Topic::Fuse, "not tried"),
    }
}

fn other_machines(survey: &Survey) -> Finding {
    let topic = Topic::OtherMachines;
    const ADVICE: &str = "steps for other platforms need an interpreter registered with flag F \
                          (package qemu-user-static)";
    match &survey.emulators {
        None => Finding::new(topic, Severity::Limited, "binfmt_misc is not mounted").advice(ADVICE),
        Some(emulators) if emulators.is_empty() => {
            Finding::new(topic, Severity::Limited, "no interpreters").advice(ADVICE)
        }
        Some(emulators) => {
            let shown = emulators.iter().map(|emulator| match emulator.lookup {
                Lookup::AtRegistration => emulator.name.clone(),
                Lookup::InTheRoot => format!("{} (without flag F: {})", emulator.name, emulator.path),
            });
            let shown = shown.collect::<Vec<_>>().join(", ");
            match emulators.iter().any(|emulator| emulator.lookup == Lookup::InTheRoot) {
                false => Finding::good(topic, shown),
                true => Finding::new(topic, Severity::Limited, shown).advice(
                    "an interpreter without flag F has to be in the image of each step that needs it: \
                     register it anew with F (package qemu-user-static)",
                ),
            }
        }
    }
}
