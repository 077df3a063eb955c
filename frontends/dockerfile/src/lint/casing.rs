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

/// `StageNameCasing` and `FromAsCasing`
pub(super) fn from(instruction: &Instruction) -> Vec<Remark<'_>> {
    let InstructionKind::From(from) = &instruction.kind else { return Vec::new() };
    let Some(StageName { written, keyword, .. }) = &from.name else { return Vec::new() };
    let words = [from.image.value.as_str(), &keyword.value, &written.value];
    let found = of_from(&instruction.keyword.value, &words).into_iter();
    found.map(|(rule, message)| Remark::new(rule, message, instruction)).collect()
}

/// The same, of a `FROM` of which no more is known than its words: rules and messages.
pub(super) fn of_from(from: &str, words: &[&str]) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let [_, keyword, rest @ ..] = words else { return found };
    if let [written] = rest
        && Case::of(written) != Case::Lower
    {
        found.push(("StageNameCasing", format!("Stage name '{written}' should be lowercase")));
    }
    let agree = match Case::of(from) {
        Case::Lower => keyword.to_lowercase() == *keyword,
        Case::Upper => keyword.to_uppercase() == *keyword,
        // A keyword in mixed case is the business of another rule.
        Case::Mixed => true,
    };
    if !rest.is_empty() && !agree {
        found.push(("FromAsCasing", format!("'{keyword}' and '{from}' keywords' casing do not match")));
    }
    found
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
