//! Words of filters: instructions of classic BPF, the data of a call, and verdicts of the kernel.

use crate::sys::seccomp::Instruction;

pub(crate) const LOAD: u16 = 0x20;
pub(crate) const JUMP: u16 = 0x05;
pub(crate) const JUMP_EQUAL: u16 = 0x15;
pub(crate) const JUMP_GREATER: u16 = 0x25;
pub(crate) const JUMP_NOT_LESS: u16 = 0x35;
pub(crate) const JUMP_ANY_BIT: u16 = 0x45;
pub(crate) const AND: u16 = 0x54;
pub(crate) const RETURN: u16 = 0x06;

// The call's data: number, architecture, instruction pointer, six arguments of 64 bits.
pub(crate) const NUMBER: u32 = 0;
pub(crate) const ARCHITECTURE: u32 = 4;
pub(crate) const ARGUMENTS: u32 = 16;

pub(crate) const ALLOW: u32 = 0x7fff_0000;
/// A listener answers.
pub(crate) const ASK: u32 = 0x7fc0_0000;
pub(crate) const FAIL: u32 = 0x0005_0000;
pub(crate) const KILL: u32 = 0;

// The kernel's names for architectures, as a filter sees them.
pub(crate) const AUDIT_X86_64: u32 = 0xc000_003e;
pub(crate) const AUDIT_X86: u32 = 0x4000_0003;
pub(crate) const AUDIT_AARCH64: u32 = 0xc000_00b7;
pub(crate) const AUDIT_ARM: u32 = 0x4000_0028;

/// Marks the calls of the x32 interface, which share the name of x86_64.
pub(crate) const X32_BIT: u32 = 0x4000_0000;

pub(crate) const fn plain(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

/// Skips one instruction unless the condition holds.
pub(crate) const fn unless(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 1, k }
}
