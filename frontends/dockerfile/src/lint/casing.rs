//! Capital and small letters.

use super::Remark;
use crate::instruction::{Instruction, InstructionKind, StageName};

/// How a word is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Lower,
    Upper,
    Mixed,
}

impl Case {
    fn of(word: &str) -> Self {
        if word == word.to_lowercase() {
            Self::Lower
        } else if word == word.to_uppercase() {
            Self::Upper
        } else {
            Self::Mixed
        }
    }
}

fn stage(instruction: &Instruction) -> Option<&StageName> {
    let InstructionKind::From(from) = &instruction.kind else {
        return None;
    };
    from.name.as_ref()
}

/// `StageNameCasing`
pub(super) fn stage_name(instruction: &Instruction) -> Option<Remark<'_>> {
    let written = &stage(instruction)?.written.value;
    let message = || format!("Stage name '{written}' should be lowercase");
    (Case::of(written) != Case::Lower).then(|| Remark::new("StageNameCasing", message(), instruction))
}

/// `FromAsCasing`
pub(super) fn from_and_as(instruction: &Instruction) -> Option<Remark<'_>> {
    let word = &stage(instruction)?.keyword.value;
    let from = &instruction.keyword.value;
    let case = Case::of(from);
    // A keyword in mixed case is the business of another rule.
    (case != Case::Mixed && Case::of(word) != case).then(|| {
        let message = format!("'{word}' and '{from}' keywords' casing do not match");
        Remark::new("FromAsCasing", message, instruction)
    })
}

/// `ConsistentInstructionCasing`; the global `ARG`s have no say in it.
pub(super) fn keywords(instructions: &[Instruction]) -> impl Iterator<Item = Remark<'_>> {
    let global = instructions.iter().take_while(|i| !matches!(i.kind, InstructionKind::From(_))).count();
    let instructions = &instructions[global..];
    let count = |case| instructions.iter().filter(|i| Case::of(&i.keyword.value) == case).count();
    let (wanted, name) = if count(Case::Lower) > count(Case::Upper) {
        (Case::Lower, "lowercase")
    } else {
        (Case::Upper, "uppercase")
    };
    let differing = instructions.iter().filter(move |i| Case::of(&i.keyword.value) != wanted);
    differing.map(move |instruction| {
        let written = &instruction.keyword.value;
        let message = format!("Command '{written}' should match the case of the command majority ({name})");
        Remark { comments: &[], ..Remark::new("ConsistentInstructionCasing", message, instruction) }
    })
}
