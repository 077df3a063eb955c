//! Which system calls a step may make: what Docker allows by default, which follows from the
//! capabilities the step has.
//!
//! A call in the table of numbers that no rule here names is allowed to everyone.

use rustix::thread::CapabilitySet as Cap;

/// What the kernel does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It runs.
    Allow,
    /// It fails with this number.
    Fail(u16),
    /// It runs if any of these holds; else it fails with `EPERM`.
    If(&'static [Test]),
}

/// A question about an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Test {
    /// Which argument, from 0.
    pub(super) argument: u8,
    /// What is asked.
    pub(super) question: Question,
}

/// Questions about an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// All 64 bits are this.
    Is(u64),
    /// The lower half is less. The kernel reads such arguments as 32 bits, and so do these questions.
    HalfBelow(u32),
    /// The lower half is this.
    HalfIs(u32),
    /// The lower half is more.
    HalfAbove(u32),
    /// None of these bits is set.
    Lacks(u32),
}

/// Calls that belong to capabilities: a step with any of them may make the call.
const WITH: &[(Cap, &[&str])] = &[
    (Cap::DAC_READ_SEARCH, &["open_by_handle_at"]),
    (
        Cap::SYS_ADMIN,
        &[
            "bpf",
            "clone",
            "clone3",
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "lookup_dcookie",
            "lsm_get_self_attr",
            "lsm_list_modules",
            "lsm_set_self_attr",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "perf_event_open",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "syslog",
            "umount",
            "umount2",
            "unshare",
        ],
    ),
    (Cap::SYS_BOOT, &["reboot"]),
    (Cap::SYS_CHROOT, &["chroot"]),
    (Cap::SYS_MODULE, &["delete_module", "init_module", "finit_module"]),
    (Cap::SYS_PACCT, &["acct"]),
    (Cap::SYS_PTRACE, &["kcmp", "pidfd_getfd", "process_madvise"]),
    (Cap::SYS_RAWIO, &["iopl", "ioperm"]),
    (Cap::SYS_TIME, &["settimeofday", "stime", "clock_settime", "clock_settime64"]),
    (Cap::SYS_TTY_CONFIG, &["vhangup"]),
    (Cap::SYS_NICE, &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    (Cap::SYSLOG, &["syslog"]),
    (Cap::BPF, &["bpf"]),
    (Cap::PERFMON, &["perf_event_open"]),
];

const AF_ALG: u32 = 38;
const AF_VSOCK: u32 = 40;

/// All families but two.
const FAMILIES: &[Test] = &[
    Test { argument: 0, question: Question::HalfBelow(AF_ALG) },
    Test { argument: 0, question: Question::HalfIs(AF_ALG + 1) },
    Test { argument: 0, question: Question::HalfAbove(AF_VSOCK) },
];

/// `PER_LINUX`, `PER_LINUX32`, both with `UNAME26`, and asking for the current one.
const PERSONALITIES: &[Test] = &[
    Test { argument: 0, question: Question::Is(0) },
    Test { argument: 0, question: Question::Is(0x8) },
    Test { argument: 0, question: Question::Is(0x2_0000) },
    Test { argument: 0, question: Question::Is(0x2_0008) },
    Test { argument: 0, question: Question::Is(0xffff_ffff) },
];

/// No new namespace of any kind (the one for time cannot be asked for here).
const PLAIN_CLONE: &[Test] = &[Test {
    argument: 0,
    question: Question::Lacks(
        (libc::CLONE_NEWNS
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUSER
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWCGROUP) as u32,
    ),
}];

/// What a step with `capabilities` gets from the call `name` of the table.
pub(super) fn verdict(name: &str, capabilities: Cap) -> Verdict {
    let mut belongs = false;
    for (capability, names) in WITH {
        if names.contains(&name) {
            if capabilities.contains(*capability) {
                return Verdict::Allow;
            }
            belongs = true;
        }
    }
    match name {
        "socket" => Verdict::If(FAMILIES),
        "personality" => Verdict::If(PERSONALITIES),
        "clone" => Verdict::If(PLAIN_CLONE),
        // Its flags lie in memory, where a filter cannot look; programs then fall back to clone.
        "clone3" => Verdict::Fail(libc::ENOSYS as u16),
        _ if belongs => Verdict::Fail(libc::EPERM as u16),
        _ => Verdict::Allow,
    }
}
