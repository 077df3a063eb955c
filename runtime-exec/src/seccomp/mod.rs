//! The system call filter of a default sandbox.
//!
//! For each architecture whose calls the kernel serves, the calls are put in order of their numbers,
//! neighbours with the same verdict are joined, and the ranges become a binary search. A call that
//! the policy does not know fails with `EPERM`, or with `ENOSYS` if it is newer than all it knows,
//! so that programs fall back as on an older kernel.

pub(crate) mod bpf;
mod calls;
mod emit;
mod names;
mod others;
mod policy;
pub(crate) mod profile;
mod rules;
#[cfg(test)]
mod tests;

use defence::Defence;
use rustix::thread::CapabilitySet;

use crate::sys::seccomp::Instruction;
use bpf::{AUDIT_AARCH64, AUDIT_ARM, AUDIT_X86, AUDIT_X86_64, X32_BIT};
use calls::{CALLS, Column};
use emit::{Program, Range};
use policy::{Verdict, verdict};
use rules::Decision;

/// Machines that this can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machine {
    X86_64,
    Aarch64,
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the system call filter knows x86_64 and aarch64");

const THIS: Machine = if cfg!(target_arch = "aarch64") { Machine::Aarch64 } else { Machine::X86_64 };

/// The filter for a step with these capabilities on this machine.
pub(crate) fn default_filter(capabilities: CapabilitySet) -> Vec<Instruction> {
    filter(THIS, capabilities)
}

fn filter(machine: Machine, capabilities: CapabilitySet) -> Vec<Instruction> {
    let program = |columns: &[(Column, u32)]| {
        let ranges = columns.iter().flat_map(|(column, base)| ranges(*column, *base, capabilities)).collect();
        Program::new(ranges)
    };
    let foreign = |column| match defence::stands(Defence::ForeignCallsFiltered) {
        true => program(&[(column, 0)]),
        false => Program::new(vec![Range { first: 0, decision: Decision::Policy(Verdict::Allow) }]),
    };
    match machine {
        Machine::X86_64 => emit::architectures(&[
            (AUDIT_X86_64, program(&[(Column::X86_64, 0), (Column::X32, X32_BIT)])),
            (AUDIT_X86, foreign(Column::X86)),
        ]),
        Machine::Aarch64 => emit::architectures(&[
            (AUDIT_AARCH64, program(&[(Column::Aarch64, 0)])),
            (AUDIT_ARM, foreign(Column::Arm)),
        ]),
    }
}

/// Verdicts for all numbers from `base` on, in order and without gaps, up to the next interface.
fn ranges(column: Column, base: u32, capabilities: CapabilitySet) -> Vec<Range> {
    let known: Vec<(u32, Decision)> = CALLS
        .iter()
        .filter_map(|(name, numbers)| {
            let number = u32::try_from(numbers[column as usize]).ok()?;
            Some((base + number, Decision::Policy(verdict(name, capabilities))))
        })
        .collect();
    let fail = |errno: i32| Decision::Policy(Verdict::Fail(errno as u16));
    without_gaps(base, known, fail(libc::EPERM), fail(libc::ENOSYS))
}

/// Ranges for all numbers from `base` on: for those in between that are not `known`, and for those
/// behind the last.
fn without_gaps(
    base: u32,
    mut known: Vec<(u32, Decision)>,
    between: Decision,
    behind: Decision,
) -> Vec<Range> {
    known.sort_by_key(|(number, _)| *number);
    let mut ranges: Vec<Range> = Vec::new();
    let mut add = |first: u32, decision: &Decision| {
        if ranges.last().is_none_or(|last| last.decision != *decision) {
            ranges.push(Range { first, decision: decision.clone() });
        }
    };
    let mut next = base;
    for (number, decision) in &known {
        if *number > next {
            add(next, &between);
        }
        add(*number, decision);
        next = number + 1;
    }
    add(next, &behind);
    ranges
}
