//! Profiles: decisions compared with those of libseccomp, and conditions.

use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use rustix::thread::CapabilitySet;

use super::super::Machine;
use super::super::bpf::{AUDIT_AARCH64, AUDIT_X86, AUDIT_X86_64, X32_BIT};
use super::super::tests::{decide_all, exported};
use super::{Circumstances, ProfileError, compile};

const ALLOW: u32 = 0x7fff_0000;
const FAIL: u32 = 0x5_0000;

fn here(capabilities: CapabilitySet) -> Circumstances {
    Circumstances { machine: Machine::X86_64, capabilities, kernel: (5, 10) }
}

/// A rule, once for a profile and once for libseccomp.
struct Both(&'static str, &'static [(u32, &'static str, u64, u64)], &'static str, ScmpAction);

const TOP: u64 = 0x8000_0001_0000_0002;

fn rules() -> Vec<Both> {
    let (allow, errno) = (("SCMP_ACT_ALLOW", ScmpAction::Allow), ScmpAction::Errno(libc::EPERM));
    vec![
        Both("read", &[], allow.0, allow.1),
        Both("personality", &[(0, "SCMP_CMP_EQ", TOP, 0)], allow.0, allow.1),
        Both("kill", &[(0, "SCMP_CMP_NE", TOP, 0)], allow.0, allow.1),
        Both("ioctl", &[(1, "SCMP_CMP_LT", TOP, 0)], allow.0, allow.1),
        Both("fcntl", &[(1, "SCMP_CMP_LE", TOP, 0)], allow.0, allow.1),
        Both("lseek", &[(1, "SCMP_CMP_GE", TOP, 0)], allow.0, allow.1),
        Both("mmap", &[(5, "SCMP_CMP_GT", TOP, 0)], allow.0, allow.1),
        Both("clone", &[(0, "SCMP_CMP_MASKED_EQ", 0x1_0000_00ff, 0x1_0000_0002)], allow.0, allow.1),
        Both("prctl", &[(0, "SCMP_CMP_EQ", 2, 0), (1, "SCMP_CMP_GT", 5, 0)], allow.0, allow.1),
        Both("keyctl", &[], "SCMP_ACT_KILL_PROCESS", ScmpAction::KillProcess),
        Both("mount", &[], "SCMP_ACT_TRAP", ScmpAction::Trap),
        Both("swapon", &[], "SCMP_ACT_LOG", ScmpAction::Log),
        Both("io_uring_setup", &[], "SCMP_ACT_KILL", ScmpAction::KillThread),
        Both("bind", &[], "SCMP_ACT_TRAP", ScmpAction::Trap),
        Both("shmget", &[], "SCMP_ACT_LOG", ScmpAction::Log),
        Both("ptrace", &[], "SCMP_ACT_ERRNO", errno),
    ]
}

fn profile(default: &str, rules: &[Both], architectures: &str) -> String {
    let entries: Vec<String> = rules
        .iter()
        .map(|Both(name, args, action, _)| {
            let args: Vec<String> = args
                .iter()
                .map(|(index, op, value, two)| {
                    format!(r#"{{"index":{index},"op":"{op}","value":{value},"valueTwo":{two}}}"#)
                })
                .collect();
            format!(
                r#"{{"names":["{name}","no_such_call"],"action":"{action}","args":[{}]}}"#,
                args.join(",")
            )
        })
        .collect();
    format!(
        r#"{{"defaultAction":"{default}","defaultErrnoRet":99,{architectures}"syscalls":[{}]}}"#,
        entries.join(",")
    )
}

fn comparison(&(index, op, value, two): &(u32, &str, u64, u64)) -> ScmpArgCompare {
    let (op, datum) = match op {
        "SCMP_CMP_EQ" => (ScmpCompareOp::Equal, value),
        "SCMP_CMP_NE" => (ScmpCompareOp::NotEqual, value),
        "SCMP_CMP_LT" => (ScmpCompareOp::Less, value),
        "SCMP_CMP_LE" => (ScmpCompareOp::LessOrEqual, value),
        "SCMP_CMP_GE" => (ScmpCompareOp::GreaterEqual, value),
        "SCMP_CMP_GT" => (ScmpCompareOp::Greater, value),
        _ => (ScmpCompareOp::MaskedEqual(value), two),
    };
    ScmpArgCompare::new(index, op, datum)
}

/// Values on both sides of every boundary, in both halves.
fn values() -> Vec<u64> {
    let mut all =
        vec![0, 1, 2, 3, 5, 6, 23, 24, 0xff, 0x102, u64::MAX, 0x1_0000_0002, 0x1_0000_0102, 0x1_0000_0003];
    for high in [0x8000_0000_u64, 0x8000_0001, 0x8000_0002] {
        all.extend(
            [0x1_u64, 2, 3, 0x1_0000_0001, 0x1_0000_0002].map(|low| (high << 32) | (low & 0xffff_ffff)),
        );
    }
    all
}

#[test]
fn profiles_decide_as_libseccomp_does() {
    for (name, default) in [("SCMP_ACT_ALLOW", ScmpAction::Allow), ("SCMP_ACT_ERRNO", ScmpAction::Errno(99))]
    {
        let usable: Vec<Both> = rules().into_iter().filter(|rule| rule.3 != default).collect();
        let text = profile(name, &usable, r#""architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],"#);
        let ours = compile(&text, &here(CapabilitySet::empty())).unwrap();
        let mut context = ScmpFilterContext::new(default).unwrap();
        context.add_arch(ScmpArch::X8664).unwrap();
        context.add_arch(ScmpArch::X86).unwrap();
        for Both(name, args, _, action) in &usable {
            let call = ScmpSyscall::from_name(name).unwrap();
            let tests: Vec<_> = args.iter().map(comparison).collect();
            context.add_rule_conditional(*action, call, &tests).unwrap();
        }
        let theirs = exported(&context);
        // Behind the newest call that the profile knows, ours is another answer on purpose.
        for (arch, numbers) in [(AUDIT_X86_64, 0..=425), (AUDIT_X86, 0..=425), (AUDIT_AARCH64, 0..=3)] {
            for number in numbers {
                for value in values() {
                    for other in [0, 2, 7] {
                        let args = [value, other, 0, 0, 0, value];
                        let swapped = [other, value, 0, 0, 0, 0];
                        for args in [args, swapped] {
                            // Of the arguments of 32-bit programs the kernel shows as many bits.
                            let args =
                                args.map(|arg| if arch == AUDIT_X86 { arg & 0xffff_ffff } else { arg });
                            let (ours, theirs) = (
                                decide_all(&ours, arch, number, args),
                                decide_all(&theirs, arch, number, args),
                            );
                            assert_eq!(ours, theirs, "{name}: {arch:#x} call {number} with {args:#x?}");
                        }
                    }
                }
            }
        }
        let x32 = decide_all(&ours, AUDIT_X86_64, X32_BIT, [0; 6]);
        assert_eq!(x32, decide_all(&theirs, AUDIT_X86_64, X32_BIT, [0; 6]));
        let newer = decide_all(&ours, AUDIT_X86_64, 460, [0; 6]);
        let fails = FAIL | libc::ENOSYS as u32;
        assert_eq!(newer, if name == "SCMP_ACT_ALLOW" { ALLOW } else { fails });
    }
}

#[test]
fn rules_follow_their_conditions() {
    let admin = CapabilitySet::SYS_ADMIN;
    let refused = FAIL | libc::EPERM as u32;
    for (condition, capabilities, expected) in [
        ("", CapabilitySet::empty(), ALLOW),
        (r#","includes":{"caps":["CAP_SYS_ADMIN"]}"#, CapabilitySet::empty(), refused),
        (r#","includes":{"caps":["CAP_SYS_ADMIN"]}"#, admin, ALLOW),
        (r#","includes":{"caps":["CAP_SYS_ADMIN","CAP_BPF"]}"#, admin, refused),
        (r#","excludes":{"caps":["CAP_SYS_ADMIN","CAP_BPF"]}"#, admin, refused),
        (r#","excludes":{"caps":["CAP_BPF"]}"#, admin, ALLOW),
        (r#","includes":{"arches":["arm64","s390x"]}"#, admin, refused),
        (r#","includes":{"arches":["amd64","x32"]}"#, admin, ALLOW),
        (r#","excludes":{"arches":["amd64"]}"#, admin, refused),
        (r#","includes":{"minKernel":"5.10"}"#, admin, ALLOW),
        (r#","includes":{"minKernel":"5.11"}"#, admin, refused),
        (r#","excludes":{"minKernel":"4.8"}"#, admin, refused),
        (r#","comment":"x","args":null,"excludes":{}"#, admin, ALLOW),
    ] {
        let text = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","archMap":[{{"architecture":"SCMP_ARCH_X86_64",
            "subArchitectures":["SCMP_ARCH_X86"]}}],"syscalls":[
            {{"name":"mount","action":"SCMP_ACT_ALLOW"{condition}}},
            {{"names":["mseal"],"action":"SCMP_ACT_ALLOW"}}]}}"#
        );
        let program = compile(&text, &here(capabilities)).unwrap();
        assert_eq!(decide_all(&program, AUDIT_X86_64, 165, [0; 6]), expected, "{condition}");
        assert_eq!(decide_all(&program, AUDIT_X86, 21, [0; 6]), expected, "{condition}, 32 bits");
    }
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let rule = |rest: &str| format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{{rest}}}]}}"#);
    let named = |rest: &str| rule(&format!(r#""names":["read"],{rest}"#));
    type Right = fn(&ProfileError) -> bool;
    let cases: [(String, Right); 12] = [
        ("{".to_owned(), |error| matches!(error, ProfileError::Json(_))),
        ("{}".to_owned(), |error| matches!(error, ProfileError::Json(_))),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","x":1}"#.to_owned(), |e| matches!(e, ProfileError::Json(_))),
        (r#"{"defaultAction":"ALLOW"}"#.to_owned(), |e| matches!(e, ProfileError::Action(_))),
        (named(r#""action":"SCMP_ACT_NOTIFY""#), |error| matches!(error, ProfileError::Notify)),
        (rule(r#""action":"SCMP_ACT_TRAP""#), |error| matches!(error, ProfileError::NoName)),
        (named(r#""action":"SCMP_ACT_TRAP","name":"x""#), |e| matches!(e, ProfileError::Both(..))),
        (named(r#""action":"SCMP_ACT_ERRNO","errno":"EX""#), |e| matches!(e, ProfileError::Errno(_))),
        (named(r#""action":"SCMP_ACT_TRAP","args":[{"index":6,"value":1,"op":"SCMP_CMP_EQ"}]"#), |error| {
            matches!(error, ProfileError::Argument(6))
        }),
        (named(r#""action":"SCMP_ACT_TRAP","args":[{"index":0,"value":1,"op":"EQ"}]"#), |error| {
            matches!(error, ProfileError::Operator(_))
        }),
        (named(r#""action":"SCMP_ACT_TRAP","includes":{"minKernel":"new"}"#), |error| {
            matches!(error, ProfileError::Kernel(_))
        }),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_VAX"]}"#.to_owned(), |error| {
            matches!(error, ProfileError::Architecture(_))
        }),
    ];
    for (text, right) in cases {
        let error = compile(&text, &here(CapabilitySet::empty())).unwrap_err();
        assert!(right(&error), "{text}: {error}");
    }
}

#[test]
fn numbers_of_calls_are_those_of_libseccomp() {
    use super::super::calls::CALLS;
    use super::super::others::OTHERS;
    let arches = [ScmpArch::X8664, ScmpArch::X86, ScmpArch::X32, ScmpArch::Aarch64, ScmpArch::Arm];
    let mut known = 0;
    for (name, numbers) in CALLS.iter().chain(OTHERS) {
        for (arch, number) in arches.iter().zip(numbers) {
            let Ok(call) = ScmpSyscall::from_name_by_arch(name, *arch) else { continue };
            let raw = call.as_raw_syscall();
            // Calls that an architecture lacks have negative numbers, and so have those newer than the library.
            if raw >= 0 {
                assert_eq!(raw & !(X32_BIT as i32), *number, "{name} {arch:?}");
                known += 1;
            }
        }
    }
    assert!(known > 1500, "{known}");
}
