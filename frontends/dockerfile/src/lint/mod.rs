//! Rules that need the text of the instructions and nothing else.
//!
//! Names and messages of the rules are BuildKit's. Whether a remark is wanted (`# check=`) is for
//! the caller to say; a remark brings along what that takes.

use graph::Diagnostic;

mod casing;
mod description;
mod heredoc;
mod own;
pub mod rules;
mod shape;

#[cfg(test)]
mod tests;

use crate::instruction::{Instruction, InstructionKind, Keyword, Refused};

/// A remark of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark<'a> {
    /// The remark.
    pub diagnostic: Diagnostic,
    /// The comments above the instruction, which may switch rules off for it.
    pub comments: &'a [String],
    /// Off unless it is switched on.
    pub experimental: bool,
}

impl<'a> Remark<'a> {
    fn new(rule: &'static str, message: String, at: &'a Instruction) -> Self {
        let diagnostic = Diagnostic::warning(rule, message, at.span);
        Self { diagnostic, comments: &at.comments, experimental: false }
    }
}

/// What the rules say about each instruction for itself, in the order of the file.
pub fn of_each(instructions: &[Instruction]) -> Vec<Remark<'_>> {
    instructions.iter().flat_map(about_one).collect()
}

/// What they say about an instruction that is refused: as much as its words show.
pub fn of_refused(refused: &Refused) -> Vec<Remark<'_>> {
    let remark = |(rule, message)| Remark {
        diagnostic: Diagnostic::warning(rule, message, refused.span),
        comments: &refused.comments,
        experimental: false,
    };
    match refused.instruction {
        Some(Keyword::Maintainer) => vec![remark(maintainer_remark())],
        Some(Keyword::From) => {
            let words: Vec<&str> = refused.words.iter().map(|word| word.value.as_str()).collect();
            casing::of_from(&refused.keyword, &words).into_iter().map(remark).collect()
        }
        Some(_) | None => Vec::new(),
    }
}

/// What they say about a file as a whole.
pub fn of_all(instructions: &[Instruction]) -> Vec<Remark<'_>> {
    casing::keywords(instructions).collect()
}

/// What rules of our own say. All of them are experimental, and they read the whole file: to be asked
/// only where somebody wants them.
pub fn own_remarks(instructions: &[Instruction]) -> Vec<Remark<'_>> {
    own::remarks(instructions)
}

fn about_one(instruction: &Instruction) -> Vec<Remark<'_>> {
    let mut remarks = Vec::new();
    remarks.extend(casing::from(instruction));
    remarks.extend(maintainer(instruction));
    remarks.extend(description::of_definition(instruction));
    remarks
}

fn maintainer_remark() -> (&'static str, String) {
    ("MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label".to_owned())
}

/// `MaintainerDeprecated`
fn maintainer(instruction: &Instruction) -> Option<Remark<'_>> {
    let InstructionKind::Maintainer(name) = &instruction.kind else {
        return None;
    };
    let (rule, message) = maintainer_remark();
    let mut remark = Remark::new(rule, message, instruction);
    let help = format!("write LABEL org.opencontainers.image.authors={name:?}");
    remark.diagnostic = remark.diagnostic.with_help(help);
    Some(remark)
}
