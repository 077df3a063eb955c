//! Decisions of our filters, compared with those that libseccomp makes of the same policy.

use std::fs::File;
use std::io::{Read, Seek};

use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use rustix::thread::CapabilitySet;

use super::calls::{CALLS, Column};
use super::policy::{Question, Test, Verdict, verdict};
use super::{AUDIT_AARCH64, AUDIT_ARM, AUDIT_X86, AUDIT_X86_64, Machine, X32_BIT, filter};
use crate::sys::seccomp::Instruction;

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x5_0000 | libc::EPERM as u32;
const ENOSYS: u32 = 0x5_0000 | libc::ENOSYS as u32;

fn decide(program: &[Instruction], arch: u32, number: u32, arg: u64) -> u32 {
    decide_all(program, arch, number, [arg, 0, 0, 0, 0, 0])
}

/// Runs a filter as the kernel does.
pub(super) fn decide_all(program: &[Instruction], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let load = |offset: u32| match offset {
        0 => number,
        4 => arch,
        16.. => (args[(offset as usize - 16) / 8] >> (offset % 8 * 8)) as u32,
        _ => 0,
    };
    let (mut at, mut a) = (0, 0_u32);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let mut skip = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match code {
            0x20 => a = load(k),
            0x54 => a &= k,
            0x05 => at += k as usize,
            0x15 => skip(a == k),
            0x25 => skip(a > k),
            0x35 => skip(a >= k),
            0x45 => skip(a & k != 0),
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// The same policy through libseccomp; none where the library does not know the architecture.
fn oracle(arches: &[ScmpArch], capabilities: CapabilitySet) -> Vec<Instruction> {
    let mut context = ScmpFilterContext::new(ScmpAction::Errno(libc::EPERM)).unwrap();
    for arch in arches {
        context.add_arch(*arch).unwrap();
    }
    if !arches.contains(&ScmpArch::native()) {
        context.remove_arch(ScmpArch::Native).unwrap();
    }
    for (name, _) in CALLS {
        let Ok(call) = ScmpSyscall::from_name(name) else { continue };
        match verdict(name, capabilities) {
            Verdict::Allow => drop(context.add_rule(ScmpAction::Allow, call).unwrap()),
            Verdict::Fail(libc_errno) if i32::from(libc_errno) == libc::EPERM => {}
            Verdict::Fail(errno) => drop(context.add_rule(ScmpAction::Errno(errno.into()), call).unwrap()),
            Verdict::If(tests) => {
                for test in tests {
                    context.add_rule_conditional(ScmpAction::Allow, call, &[comparison(test)]).unwrap();
                }
            }
        }
    }
    exported(&context)
}

/// The program that libseccomp makes.
pub(super) fn exported(context: &ScmpFilterContext) -> Vec<Instruction> {
    let mut file: File = tempfile::tempfile().unwrap();
    context.export_bpf(&file).unwrap();
    file.rewind().unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let instruction = |chunk: &[u8]| Instruction {
        code: u16::from_le_bytes([chunk[0], chunk[1]]),
        jt: chunk[2],
        jf: chunk[3],
        k: u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]),
    };
    bytes.chunks(8).map(instruction).collect()
}

fn comparison(test: &Test) -> ScmpArgCompare {
    let (op, value) = match test.question {
        Question::Is(value) => (ScmpCompareOp::Equal, value),
        Question::HalfIs(value) => (ScmpCompareOp::Equal, value.into()),
        Question::HalfBelow(value) => (ScmpCompareOp::Less, value.into()),
        Question::HalfAbove(value) => (ScmpCompareOp::Greater, value.into()),
        Question::Lacks(bits) => (ScmpCompareOp::MaskedEqual(bits.into()), 0),
    };
    ScmpArgCompare::new(test.argument.into(), op, value)
}

/// Values on both sides of every boundary of the policy.
fn arguments() -> Vec<u64> {
    let mut values =
        vec![0, 1, 7, 8, 9, 0x11, 0x1_ffff, 0x2_0000, 0x2_0001, 0x2_0008, 0xffff_fffe, 0xffff_ffff];
    values.extend(36..=42);
    values.extend((0..32).map(|bit| 1 << bit));
    values
}

/// Numbers that our table has and the installed libseccomp does not know.
fn newer(column: Column, arch: ScmpArch) -> Vec<u32> {
    CALLS
        .iter()
        .filter(|(name, _)| {
            !ScmpSyscall::from_name_by_arch(name, arch)
                .is_ok_and(|call| !call.is_undef() && call.as_raw_syscall() >= 0)
        })
        .filter_map(|(_, numbers)| u32::try_from(numbers[column as usize]).ok())
        .collect()
}

fn compare(machine: Machine, arches: &[ScmpArch], capabilities: CapabilitySet) {
    let ours = filter(machine, capabilities);
    let theirs = oracle(arches, capabilities);
    let columns: &[(Column, ScmpArch, u32, u32)] = match machine {
        Machine::X86_64 => &[
            (Column::X86_64, ScmpArch::X8664, AUDIT_X86_64, 0),
            (Column::X32, ScmpArch::X32, AUDIT_X86_64, X32_BIT),
            (Column::X86, ScmpArch::X86, AUDIT_X86, 0),
        ],
        Machine::Aarch64 => &[
            (Column::Aarch64, ScmpArch::Aarch64, AUDIT_AARCH64, 0),
            (Column::Arm, ScmpArch::Arm, AUDIT_ARM, 0),
        ],
    };
    let mut compared = 0;
    for (column, arch, audit, base) in columns {
        let newer = newer(*column, *arch);
        let last = CALLS.iter().map(|(_, numbers)| numbers[*column as usize]).max().unwrap() as u32;
        for number in (0..600).filter(|number| !newer.contains(number)) {
            for arg in arguments() {
                let ours = decide(&ours, *audit, base + number, arg);
                let theirs = decide(&theirs, *audit, base + number, arg);
                let expected = if number > last { ENOSYS } else { theirs };
                assert_eq!(ours, expected, "{arch:?} call {number} with {arg:#x}");
                compared += 1;
            }
        }
    }
    assert!(compared > 40_000, "{compared}");
}

fn default_capabilities() -> CapabilitySet {
    crate::capabilities::Capabilities::DEFAULT.set()
}

#[test]
fn x86_64_decides_as_libseccomp_does() {
    let arches = [ScmpArch::X8664, ScmpArch::X86, ScmpArch::X32];
    compare(Machine::X86_64, &arches, default_capabilities());
    compare(Machine::X86_64, &arches, CapabilitySet::empty());
    compare(Machine::X86_64, &arches, default_capabilities() | CapabilitySet::SYS_ADMIN);
}

#[test]
fn aarch64_decides_as_libseccomp_does() {
    compare(Machine::Aarch64, &[ScmpArch::Aarch64, ScmpArch::Arm], default_capabilities());
}

#[test]
fn every_capability_adds_calls() {
    let none = filter(Machine::X86_64, CapabilitySet::empty());
    let all = filter(Machine::X86_64, CapabilitySet::all());
    let calls = [
        ("mount", 165),
        ("reboot", 169),
        ("chroot", 161),
        ("init_module", 175),
        ("acct", 163),
        ("kcmp", 312),
        ("iopl", 172),
        ("settimeofday", 164),
        ("vhangup", 153),
        ("mbind", 237),
        ("syslog", 103),
        ("bpf", 321),
        ("perf_event_open", 298),
        ("open_by_handle_at", 304),
    ];
    for (name, number) in calls {
        assert_eq!(decide(&none, AUDIT_X86_64, number, 0), EPERM, "{name}");
        assert_eq!(decide(&all, AUDIT_X86_64, number, 0), ALLOW, "{name}");
    }
}

#[test]
fn new_and_odd_calls() {
    let program = filter(Machine::X86_64, default_capabilities());
    let cases = [
        ("clone3", AUDIT_X86_64, 435, 0, ENOSYS),
        ("mseal", AUDIT_X86_64, 462, 0, ALLOW),
        ("open_tree_attr, newer than the policy", AUDIT_X86_64, 467, 0, ENOSYS),
        ("io_uring_setup", AUDIT_X86_64, 425, 0, EPERM),
        ("keyctl", AUDIT_X86_64, 250, 0, EPERM),
        ("chroot, by capability", AUDIT_X86_64, 161, 0, ALLOW),
        ("clone of a thread", AUDIT_X86_64, 56, 0x3d_0f00, ALLOW),
        ("clone into a user namespace", AUDIT_X86_64, 56, 0x1000_0000, EPERM),
        ("socket AF_VSOCK", AUDIT_X86_64, 41, 40, EPERM),
        ("socket AF_VSOCK with bits the kernel ignores", AUDIT_X86_64, 41, 0x1_0000_0028, EPERM),
        ("socket AF_ALG", AUDIT_X86_64, 41, 38, EPERM),
        ("socket AF_INET", AUDIT_X86_64, 41, 2, ALLOW),
        ("read, x32", AUDIT_X86_64, X32_BIT, 0, ALLOW),
        ("no call", AUDIT_X86_64, u32::MAX, 0, ENOSYS),
        ("read, x86", AUDIT_X86, 3, 0, ALLOW),
        ("any call of another architecture", AUDIT_AARCH64, 0, 0, 0),
    ];
    for (name, arch, number, arg, expected) in cases {
        assert_eq!(decide(&program, arch, number, arg), expected, "{name}");
    }
}

#[test]
fn filters_are_short() {
    for machine in [Machine::X86_64, Machine::Aarch64] {
        let length = filter(machine, default_capabilities()).len();
        assert!(length < 1000, "{length} instructions");
    }
}
