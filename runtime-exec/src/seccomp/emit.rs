//! From ranges of call numbers to instructions.

use super::bpf::{
    ALLOW, ARCHITECTURE, ARGUMENTS, FAIL, JUMP, JUMP_ANY_BIT, JUMP_EQUAL, JUMP_GREATER, JUMP_NOT_LESS, KILL,
    LOAD, NUMBER, RETURN, plain, unless,
};
use super::policy::{Question, Test, Verdict};
use super::rules::{self, Decision};
use crate::sys::seccomp::Instruction;

/// Calls from `first` up to the next range.
#[derive(Clone, Debug)]
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) decision: Decision,
}

/// The decisions for one architecture.
#[derive(Debug)]
pub(super) struct Program(Vec<Instruction>);

/// Chooses by architecture; calls of any other end the caller.
pub(super) fn architectures(programs: &[(u32, Program)]) -> Vec<Instruction> {
    let mut result = vec![plain(LOAD, ARCHITECTURE)];
    for (name, program) in programs {
        // The way past a program is longer than a condition can skip.
        result.push(Instruction { code: JUMP_EQUAL, jt: 1, jf: 0, k: *name });
        result.push(plain(JUMP, program.0.len() as u32));
        result.extend_from_slice(&program.0);
    }
    result.push(plain(RETURN, KILL));
    result
}

impl Program {
    /// `ranges` are in order, and the first begins at 0.
    pub(super) fn new(ranges: Vec<Range>) -> Program {
        let mut instructions = vec![plain(LOAD, NUMBER)];
        instructions.extend(search(&ranges));
        Program(instructions)
    }
}

fn search(ranges: &[Range]) -> Vec<Instruction> {
    match ranges {
        [] => vec![plain(RETURN, KILL)],
        [only] => decide(&only.decision),
        _ => {
            let (lower, upper) = ranges.split_at(ranges.len() / 2);
            let boundary = upper.first().map_or(0, |range| range.first);
            let (lower, upper) = (search(lower), search(upper));
            let mut result = vec![
                Instruction { code: JUMP_NOT_LESS, jt: 0, jf: 1, k: boundary },
                plain(JUMP, lower.len() as u32),
            ];
            if let Ok(distance) = u8::try_from(lower.len()) {
                result = vec![Instruction { code: JUMP_NOT_LESS, jt: distance, jf: 0, k: boundary }];
            }
            result.extend(lower);
            result.extend(upper);
            result
        }
    }
}

fn decide(decision: &Decision) -> Vec<Instruction> {
    match decision {
        Decision::Policy(verdict) => judge(*verdict),
        Decision::Rules { rules, otherwise } => rules::instructions(rules, *otherwise),
    }
}

fn judge(verdict: Verdict) -> Vec<Instruction> {
    match verdict {
        Verdict::Allow => vec![plain(RETURN, ALLOW)],
        Verdict::Fail(errno) => vec![plain(RETURN, FAIL | u32::from(errno))],
        Verdict::If(tests) => {
            let mut result: Vec<Instruction> = tests.iter().flat_map(ask).collect();
            result.push(plain(RETURN, FAIL | libc::EPERM as u32));
            result
        }
    }
}

/// Allows the call if the answer is yes, else goes on behind.
fn ask(test: &Test) -> Vec<Instruction> {
    // Both machines are little-endian: the lower half comes first.
    let low = ARGUMENTS + 8 * u32::from(test.argument);
    let half = |code, value| vec![plain(LOAD, low), unless(code, value), plain(RETURN, ALLOW)];
    match test.question {
        Question::Is(value) => vec![
            plain(LOAD, low + 4),
            Instruction { code: JUMP_EQUAL, jt: 0, jf: 3, k: (value >> 32) as u32 },
            plain(LOAD, low),
            unless(JUMP_EQUAL, value as u32),
            plain(RETURN, ALLOW),
        ],
        Question::HalfIs(value) => half(JUMP_EQUAL, value),
        Question::HalfAbove(value) => half(JUMP_GREATER, value),
        Question::HalfBelow(value) => {
            vec![
                plain(LOAD, low),
                Instruction { code: JUMP_NOT_LESS, jt: 1, jf: 0, k: value },
                plain(RETURN, ALLOW),
            ]
        }
        Question::Lacks(bits) => {
            vec![
                plain(LOAD, low),
                Instruction { code: JUMP_ANY_BIT, jt: 1, jf: 0, k: bits },
                plain(RETURN, ALLOW),
            ]
        }
    }
}
