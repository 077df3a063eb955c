//! The calls that are asked about, and the filter that asks.

use crate::seccomp::bpf::{
    self, ALLOW, ARCHITECTURE, ARGUMENTS, ASK, JUMP_ANY_BIT, JUMP_EQUAL, JUMP_NOT_LESS, LOAD, NUMBER, RETURN,
    X32_BIT, plain, unless,
};
use crate::sys::seccomp::Instruction;

/// A call, by what has to be done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(super) enum Call {
    Stat,
    Lstat,
    Fstat,
    StatAt,
    Statx,
    Chown,
    Lchown,
    Fchown,
    ChownAt,
    Creat,
    Open,
    OpenAt,
    OpenAt2,
    Mkdir,
    MkdirAt,
    Mknod,
    MknodAt,
    Symlink,
    SymlinkAt,
    Exec,
    ExecAt,
    ListAttributes,
    ListLinkAttributes,
    ListFileAttributes,
    Identity(IdentityCall),
}

/// The calls about credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(super) enum IdentityCall {
    User,
    EffectiveUser,
    Group,
    EffectiveGroup,
    Users,
    ThreeGroups,
    Groups,
    SetUser,
    SetGroup,
    SetUsers,
    SetTwoGroups,
    SetAllUsers,
    SetThreeGroups,
    SetGroups,
    SetFileUser,
    SetFileGroup,
    Capabilities,
    SetCapabilities,
    Process,
}

/// When a call is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// The lower half of that argument has any of these bits.
    Any(u32, u32),
    /// The lower half of the first argument is one of these.
    First(&'static [u32]),
}

/// Flags of opening that make a file, or a file without a name.
const MAKES: u32 = libc::O_CREAT as u32 | UNNAMED;
/// The bit of `O_TMPFILE` that is its own.
pub(super) const UNNAMED: u32 = libc::O_TMPFILE as u32 & !(libc::O_DIRECTORY as u32);

const PROCESS: &[u32] =
    &[libc::PR_GET_KEEPCAPS as u32, libc::PR_SET_KEEPCAPS as u32, libc::PR_SET_TIMERSLACK as u32];

/// Numbers of this machine. What it lacks among them, its programs do by the others.
#[cfg(target_arch = "x86_64")]
const OF_THIS_MACHINE: &[(i64, Call, When)] = &[
    (libc::SYS_stat, Call::Stat, When::Always),
    (libc::SYS_lstat, Call::Lstat, When::Always),
    (libc::SYS_chown, Call::Chown, When::Always),
    (libc::SYS_lchown, Call::Lchown, When::Always),
    (libc::SYS_creat, Call::Creat, When::Always),
    (libc::SYS_open, Call::Open, When::Any(1, MAKES)),
    (libc::SYS_mkdir, Call::Mkdir, When::Always),
    (libc::SYS_mknod, Call::Mknod, When::Always),
    (libc::SYS_symlink, Call::Symlink, When::Always),
];
#[cfg(target_arch = "aarch64")]
const OF_THIS_MACHINE: &[(i64, Call, When)] = &[];

const OF_ALL: &[(i64, Call, When)] = &[
    (libc::SYS_fstat, Call::Fstat, When::Always),
    (libc::SYS_newfstatat, Call::StatAt, When::Always),
    (libc::SYS_statx, Call::Statx, When::Always),
    (libc::SYS_fchown, Call::Fchown, When::Always),
    (libc::SYS_fchownat, Call::ChownAt, When::Always),
    (libc::SYS_openat, Call::OpenAt, When::Any(2, MAKES)),
    (libc::SYS_openat2, Call::OpenAt2, When::Always),
    (libc::SYS_mkdirat, Call::MkdirAt, When::Always),
    (libc::SYS_mknodat, Call::MknodAt, When::Always),
    (libc::SYS_symlinkat, Call::SymlinkAt, When::Always),
    (libc::SYS_execve, Call::Exec, When::Always),
    (libc::SYS_execveat, Call::ExecAt, When::Always),
    (libc::SYS_listxattr, Call::ListAttributes, When::Always),
    (libc::SYS_llistxattr, Call::ListLinkAttributes, When::Always),
    (libc::SYS_flistxattr, Call::ListFileAttributes, When::Always),
    (libc::SYS_getuid, Call::Identity(IdentityCall::User), When::Always),
    (libc::SYS_geteuid, Call::Identity(IdentityCall::EffectiveUser), When::Always),
    (libc::SYS_getgid, Call::Identity(IdentityCall::Group), When::Always),
    (libc::SYS_getegid, Call::Identity(IdentityCall::EffectiveGroup), When::Always),
    (libc::SYS_getresuid, Call::Identity(IdentityCall::Users), When::Always),
    (libc::SYS_getresgid, Call::Identity(IdentityCall::ThreeGroups), When::Always),
    (libc::SYS_getgroups, Call::Identity(IdentityCall::Groups), When::Always),
    (libc::SYS_setuid, Call::Identity(IdentityCall::SetUser), When::Always),
    (libc::SYS_setgid, Call::Identity(IdentityCall::SetGroup), When::Always),
    (libc::SYS_setreuid, Call::Identity(IdentityCall::SetUsers), When::Always),
    (libc::SYS_setregid, Call::Identity(IdentityCall::SetTwoGroups), When::Always),
    (libc::SYS_setresuid, Call::Identity(IdentityCall::SetAllUsers), When::Always),
    (libc::SYS_setresgid, Call::Identity(IdentityCall::SetThreeGroups), When::Always),
    (libc::SYS_setgroups, Call::Identity(IdentityCall::SetGroups), When::Always),
    (libc::SYS_setfsuid, Call::Identity(IdentityCall::SetFileUser), When::Always),
    (libc::SYS_setfsgid, Call::Identity(IdentityCall::SetFileGroup), When::Always),
    (libc::SYS_capget, Call::Identity(IdentityCall::Capabilities), When::Always),
    (libc::SYS_capset, Call::Identity(IdentityCall::SetCapabilities), When::Always),
    (libc::SYS_prctl, Call::Identity(IdentityCall::Process), When::First(PROCESS)),
];

fn all() -> impl Iterator<Item = &'static (i64, Call, When)> {
    OF_ALL.iter().chain(OF_THIS_MACHINE)
}

/// The call with a number.
pub(super) fn call(number: i64) -> Option<Call> {
    all().find(|(known, _, _)| *known == number).map(|(_, call, _)| *call)
}

#[cfg(target_arch = "x86_64")]
const THIS: u32 = bpf::AUDIT_X86_64;
#[cfg(target_arch = "aarch64")]
const THIS: u32 = bpf::AUDIT_AARCH64;

/// Asks about the calls above, and allows all others, those of other interfaces too.
pub(super) fn filter() -> Vec<Instruction> {
    let mut program = vec![
        plain(LOAD, ARCHITECTURE),
        Instruction { code: JUMP_EQUAL, jt: 1, jf: 0, k: THIS },
        plain(RETURN, ALLOW),
        plain(LOAD, NUMBER),
        unless(JUMP_NOT_LESS, X32_BIT),
        plain(RETURN, ALLOW),
    ];
    for (number, _, when) in all() {
        let answer = match when {
            When::Always => vec![plain(RETURN, ASK)],
            When::Any(argument, bits) => vec![
                plain(LOAD, ARGUMENTS + 8 * argument),
                unless(JUMP_ANY_BIT, *bits),
                plain(RETURN, ASK),
                plain(RETURN, ALLOW),
            ],
            When::First(values) => {
                let mut answer = vec![plain(LOAD, ARGUMENTS)];
                for value in *values {
                    answer.push(unless(JUMP_EQUAL, *value));
                    answer.push(plain(RETURN, ASK));
                }
                answer.push(plain(RETURN, ALLOW));
                answer
            }
        };
        let number = u32::try_from(*number).unwrap_or(u32::MAX);
        let skip = u8::try_from(answer.len()).unwrap_or(u8::MAX);
        program.push(Instruction { code: JUMP_EQUAL, jt: 0, jf: skip, k: number });
        program.extend(answer);
    }
    program.push(plain(RETURN, ALLOW));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_one_number() {
        let mut numbers: Vec<i64> = all().map(|(number, _, _)| *number).collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
        assert!(filter().len() < 4096);
    }
}
