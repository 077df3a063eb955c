//! Names in profiles: actions, operators, architectures, errors.

use super::Machine;
use super::bpf::{ALLOW, FAIL, KILL};
use super::calls::Column;
use super::profile::ProfileError;
use super::rules::{Comparison, Operator, Rule};

/// `SECCOMP_RET_KILL_PROCESS`, `_TRAP`, `_TRACE` and `_LOG`.
const KILL_PROCESS: u32 = 0x8000_0000;
const TRAP: u32 = 0x0003_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;

/// The kernel's word for an action; `number` goes with those that take one.
pub(super) fn action(name: &str, number: Option<u16>) -> Result<u32, ProfileError> {
    let number = u32::from(number.unwrap_or(libc::EPERM as u16));
    Ok(match name {
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_ERRNO" => FAIL | number,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => KILL,
        "SCMP_ACT_KILL_PROCESS" => KILL_PROCESS,
        "SCMP_ACT_TRAP" => TRAP,
        "SCMP_ACT_TRACE" => TRACE | number,
        "SCMP_ACT_LOG" => LOG,
        "SCMP_ACT_NOTIFY" => return Err(ProfileError::Notify),
        _ => return Err(ProfileError::Action(name.to_owned())),
    })
}

/// Errors that podman's profiles have by name.
pub(super) fn errno(name: &str) -> Result<u16, ProfileError> {
    let number = match name {
        "EPERM" => libc::EPERM,
        "ENOSYS" => libc::ENOSYS,
        "EACCES" => libc::EACCES,
        "EINVAL" => libc::EINVAL,
        "ENOENT" => libc::ENOENT,
        "ENOTSUP" | "EOPNOTSUPP" => libc::ENOTSUP,
        _ => return Err(ProfileError::Errno(name.to_owned())),
    };
    Ok(number as u16)
}

/// What one name of an architecture stands for here; `None`: another machine's.
pub(super) fn column(machine: Machine, name: &str) -> Result<Option<Column>, ProfileError> {
    const OTHERS: [&str; 18] = [
        "MIPS",
        "MIPS64",
        "MIPS64N32",
        "MIPSEL",
        "MIPSEL64",
        "MIPSEL64N32",
        "PPC",
        "PPC64",
        "PPC64LE",
        "S390",
        "S390X",
        "PARISC",
        "PARISC64",
        "RISCV64",
        "LOONGARCH64",
        "M68K",
        "SH",
        "SHEB",
    ];
    let bare = name.strip_prefix("SCMP_ARCH_").unwrap_or_default();
    Ok(match (machine, bare) {
        (Machine::X86_64, "X86_64" | "NATIVE") => Some(Column::X86_64),
        (Machine::X86_64, "X86") => Some(Column::X86),
        (Machine::X86_64, "X32") => Some(Column::X32),
        (Machine::Aarch64, "AARCH64" | "NATIVE") => Some(Column::Aarch64),
        (Machine::Aarch64, "ARM") => Some(Column::Arm),
        (_, "X86_64" | "X86" | "X32" | "AARCH64" | "ARM") => None,
        (_, other) if OTHERS.contains(&other) => None,
        (_, _) => return Err(ProfileError::Architecture(name.to_owned())),
    })
}

/// The name of a machine in `includes` and `excludes`.
pub(super) fn docker_arch(machine: Machine) -> &'static str {
    match machine {
        Machine::X86_64 => "amd64",
        Machine::Aarch64 => "arm64",
    }
}

/// Calls that programs of 32 bits can also make through another call, by the number in its first
/// argument.
const WITHIN: [(&str, &[(&str, u64)]); 2] = [
    (
        "socketcall",
        &[
            ("socket", 1),
            ("bind", 2),
            ("connect", 3),
            ("listen", 4),
            ("accept", 5),
            ("getsockname", 6),
            ("getpeername", 7),
            ("socketpair", 8),
            ("send", 9),
            ("recv", 10),
            ("sendto", 11),
            ("recvfrom", 12),
            ("shutdown", 13),
            ("setsockopt", 14),
            ("getsockopt", 15),
            ("sendmsg", 16),
            ("recvmsg", 17),
            ("accept4", 18),
            ("recvmmsg", 19),
            ("sendmmsg", 20),
        ],
    ),
    (
        "ipc",
        &[
            ("semop", 1),
            ("semget", 2),
            ("semctl", 3),
            ("semtimedop", 4),
            ("msgsnd", 11),
            ("msgrcv", 12),
            ("msgget", 13),
            ("msgctl", 14),
            ("shmat", 21),
            ("shmdt", 22),
            ("shmget", 23),
            ("shmctl", 24),
        ],
    ),
];

/// What rules say of the calls that are made through `outer`. A rule with conditions has no say
/// there: the arguments lie in memory.
pub(super) fn within(outer: &str, rules: &[(String, Rule)]) -> Vec<Rule> {
    let inner = WITHIN.iter().find(|(name, _)| *name == outer).map(|(_, calls)| *calls);
    let number = |name: &str| inner?.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    let plain = rules.iter().filter(|(_, rule)| rule.tests.is_empty());
    plain
        .filter_map(|(name, rule)| {
            let operator = Operator::Is(number(name)?);
            Some(Rule { tests: vec![Comparison { argument: 0, operator }], answer: rule.answer })
        })
        .collect()
}
