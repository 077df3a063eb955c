//! What the needed stages take from the caller, noted while they are lowered.

use std::collections::{BTreeMap, BTreeSet};

use graph::Span;

use super::env::Env;
use crate::instruction::{ArgDecl, Instruction, InstructionKind};
use crate::survey::{Argument, Outline, Taken};

/// Notes, by name. What is noted later, nearer to the target, counts.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    target: (Option<String>, Option<String>),
    arguments: BTreeMap<String, Declared>,
    /// Names that had a value where they were used.
    used: BTreeSet<String>,
    secrets: BTreeMap<String, Taken>,
    agents: BTreeMap<String, Taken>,
    caches: BTreeMap<String, Taken>,
}

#[derive(Debug)]
struct Declared {
    argument: Argument,
    /// Names that its default uses.
    uses: BTreeSet<String>,
}

/// What a step can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    Secret,
    Agent,
    Cache,
}

impl Notes {
    /// The stage that is built.
    pub(crate) fn target(&mut self, name: Option<&str>, from: &Instruction) {
        let description = name.and_then(|name| from.doc_comment(name)).map(str::to_owned);
        self.target = (name.map(str::to_owned), description);
    }

    /// The arguments before the first `FROM`.
    pub(crate) fn globals(&mut self, instructions: &[Instruction], values: &Env) {
        for instruction in instructions {
            let InstructionKind::Arg(declared) = &instruction.kind else { return };
            for ArgDecl { name, default } in declared {
                let uses = default.iter().flat_map(|word| named_in(&word.value)).collect();
                self.declare(instruction, &name.value, values.get(&name.value), uses);
            }
        }
    }

    /// An argument of a stage.
    pub(crate) fn declare(
        &mut self,
        instruction: &Instruction,
        name: &str,
        value: Option<&str>,
        uses: BTreeSet<String>,
    ) {
        let argument = Argument {
            name: name.to_owned(),
            description: instruction.doc_comment(name).map(str::to_owned),
            value: value.map(str::to_owned),
            span: instruction.span,
        };
        self.arguments.insert(name.to_owned(), Declared { argument, uses });
    }

    /// The names of all arguments so far.
    pub(crate) fn declared(&self) -> impl Iterator<Item = &str> {
        self.arguments.keys().map(String::as_str)
    }

    /// Names that an instruction uses.
    pub(crate) fn used(&mut self, names: impl IntoIterator<Item = impl AsRef<str>>) {
        for name in names {
            if !self.used.contains(name.as_ref()) {
                self.used.insert(name.as_ref().to_owned());
            }
        }
    }

    /// Something that a step takes. Of several steps the strictest counts.
    pub(crate) fn take(&mut self, what: Taking, id: &str, required: bool, span: Span) {
        let all = match what {
            Taking::Secret => &mut self.secrets,
            Taking::Agent => &mut self.agents,
            Taking::Cache => &mut self.caches,
        };
        let taken = Taken { id: id.to_owned(), required, span };
        all.entry(id.to_owned()).and_modify(|known| known.required |= required).or_insert(taken);
    }

    /// All of it.
    pub(crate) fn outline(mut self) -> Outline {
        let mut waiting: Vec<String> = self.used.iter().cloned().collect();
        while let Some(name) = waiting.pop() {
            let uses = self.arguments.get(&name).map(|declared| declared.uses.clone()).unwrap_or_default();
            waiting.extend(uses.into_iter().filter(|name| self.used.insert(name.clone())));
        }
        let used = self.arguments.into_values().map(|declared| declared.argument);
        let mut arguments: Vec<Argument> = used.filter(|arg| self.used.contains(&arg.name)).collect();
        arguments.sort_by_key(|argument| argument.span);
        let (name, description) = self.target;
        Outline {
            name,
            description,
            arguments,
            secrets: in_order(self.secrets),
            agents: in_order(self.agents),
            caches: in_order(self.caches),
        }
    }
}

fn in_order(all: BTreeMap<String, Taken>) -> Vec<Taken> {
    let mut all: Vec<Taken> = all.into_values().collect();
    all.sort_by_key(|taken| taken.span);
    all
}

/// The variables in a word, whether they have a value or not.
fn named_in(word: &str) -> BTreeSet<String> {
    let none = |_: &str| None;
    crate::expand(word, &none, crate::EscapeChar::Backslash)
        .map(|expanded| expanded.unmatched)
        .unwrap_or_default()
}
