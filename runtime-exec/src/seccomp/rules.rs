//! Rules of profiles: what is asked about all 64 bits of arguments, and the verdict if all is so.

use super::bpf::{AND, ARGUMENTS, JUMP_EQUAL, JUMP_GREATER, JUMP_NOT_LESS, LOAD, RETURN, plain};
use super::policy::Verdict;
use crate::sys::seccomp::Instruction;

/// What is decided about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// As the default policy says.
    Policy(Verdict),
    /// By the first rule that holds.
    Rules {
        /// In order.
        rules: Vec<Rule>,
        /// The kernel's word where none holds.
        otherwise: u32,
    },
}

/// A verdict for calls of which all tests hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) tests: Vec<Comparison>,
    /// The kernel's word.
    pub(super) answer: u32,
}

/// A question about an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Which argument, from 0 to 5.
    pub(super) argument: u8,
    pub(super) operator: Operator,
}

/// How all 64 bits are compared, without a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Not(u64),
    Below(u64),
    AtMost(u64),
    Is(u64),
    AtLeast(u64),
    Above(u64),
    /// These bits have this value.
    Bits {
        mask: u64,
        value: u64,
    },
}

impl Rule {
    /// For an architecture whose arguments have 32 bits.
    pub(super) fn narrow(&self) -> Rule {
        let half = |value: u64| value & u64::from(u32::MAX);
        let narrow = |test: &Comparison| Comparison {
            argument: test.argument,
            operator: match test.operator {
                Operator::Not(value) => Operator::Not(half(value)),
                Operator::Below(value) => Operator::Below(half(value)),
                Operator::AtMost(value) => Operator::AtMost(half(value)),
                Operator::Is(value) => Operator::Is(half(value)),
                Operator::AtLeast(value) => Operator::AtLeast(half(value)),
                Operator::Above(value) => Operator::Above(half(value)),
                Operator::Bits { mask, value } => Operator::Bits { mask: half(mask), value: half(value) },
            },
        };
        Rule { tests: self.tests.iter().map(narrow).collect(), answer: self.answer }
    }
}

/// Where a comparison goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// To the next instruction.
    On,
    /// Behind the comparison: it holds.
    Holds,
    /// Behind the rule: it does not.
    Fails,
}

/// One step of a comparison: an operation, its operand, and the ways of both answers.
type Step = (u16, u32, Option<(Way, Way)>);

/// The first rule that holds decides.
pub(super) fn instructions(rules: &[Rule], otherwise: u32) -> Vec<Instruction> {
    let mut all: Vec<Instruction> = rules.iter().flat_map(one).collect();
    all.push(plain(RETURN, otherwise));
    all
}

fn one(rule: &Rule) -> Vec<Instruction> {
    // From the end, since a comparison that fails skips all that follows.
    let mut all = vec![plain(RETURN, rule.answer)];
    for test in rule.tests.iter().rev() {
        let mut block = compare(test, all.len());
        block.append(&mut all);
        all = block;
    }
    all
}

/// A comparison with `rest` instructions of its rule behind it.
fn compare(test: &Comparison, rest: usize) -> Vec<Instruction> {
    let steps = steps(test);
    let length = steps.len();
    let place = |(at, (code, k, ways)): (usize, Step)| {
        // At most six comparisons of six instructions each: no distance exceeds a byte.
        let distance = |way: Way| match way {
            Way::On => 0,
            Way::Holds => (length - at - 1) as u8,
            Way::Fails => (length - at - 1 + rest) as u8,
        };
        let (jt, jf) = ways.map_or((0, 0), |(yes, no)| (distance(yes), distance(no)));
        Instruction { code, jt, jf, k }
    };
    steps.into_iter().enumerate().map(place).collect()
}

fn steps(test: &Comparison) -> Vec<Step> {
    use Way::{Fails, Holds, On};
    // Both machines are little-endian: the lower half comes first.
    let low = ARGUMENTS + 8 * u32::from(test.argument);
    let (load_high, load_low): (Step, Step) = ((LOAD, low + 4, None), (LOAD, low, None));
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    // `last` decides where the upper halves are equal; else the greater one does.
    let order = |value: u64, last: u16, if_greater: Way, if_less: Way| {
        let (high, low) = halves(value);
        vec![
            load_high,
            (JUMP_GREATER, high, Some((if_greater, On))),
            (JUMP_EQUAL, high, Some((On, if_less))),
            load_low,
            (last, low, Some((if_greater, if_less))),
        ]
    };
    match test.operator {
        Operator::Above(value) => order(value, JUMP_GREATER, Holds, Fails),
        Operator::AtLeast(value) => order(value, JUMP_NOT_LESS, Holds, Fails),
        Operator::Below(value) => order(value, JUMP_NOT_LESS, Fails, Holds),
        Operator::AtMost(value) => order(value, JUMP_GREATER, Fails, Holds),
        Operator::Is(value) => {
            let (high, low) = halves(value);
            vec![
                load_high,
                (JUMP_EQUAL, high, Some((On, Fails))),
                load_low,
                (JUMP_EQUAL, low, Some((Holds, Fails))),
            ]
        }
        Operator::Not(value) => {
            let (high, low) = halves(value);
            vec![
                load_high,
                (JUMP_EQUAL, high, Some((On, Holds))),
                load_low,
                (JUMP_EQUAL, low, Some((Fails, Holds))),
            ]
        }
        Operator::Bits { mask, value } => {
            let ((high_mask, low_mask), (high, low)) = (halves(mask), halves(value));
            vec![
                load_high,
                (AND, high_mask, None),
                (JUMP_EQUAL, high, Some((On, Fails))),
                load_low,
                (AND, low_mask, None),
                (JUMP_EQUAL, low, Some((Holds, Fails))),
            ]
        }
    }
}
