//! Rules about `FROM` and the names of stages.

use std::collections::{BTreeMap, BTreeSet};

use graph::Span;
use oci::{Platform, Reference};

use super::args;
use super::check::Lint;
use super::pass::Scope;
use crate::expand::Expanded;
use crate::instruction::{From, Instruction, InstructionKind};
use crate::suggest::nearest;
use crate::syntax::{EscapeChar, Word};

const RESERVED: &[&str] = &["context", "scratch"];

/// `UndefinedArgInFrom`
pub(crate) fn undefined(unmatched: &BTreeSet<String>, span: Span, scope: &mut Scope<'_, '_>) {
    let known: BTreeSet<&str> =
        scope.globals.names().chain(scope.declared.iter().map(String::as_str)).collect();
    for name in unmatched.iter().filter(|name| !known.contains(name.as_str())) {
        let guess = nearest(name, known.iter().copied()).map(|guess| format!(" (did you mean {guess}?)"));
        let message = format!("FROM argument '{name}' is not declared{}", guess.unwrap_or_default());
        scope.lint.warn("UndefinedArgInFrom", span, message);
    }
}

/// `RedundantTargetPlatform` and `FromPlatformFlagConstDisallowed`
pub(crate) fn platform(from: &From, word: &Word, expanded: &Expanded, span: Span, scope: &mut Scope<'_, '_>) {
    let Expanded { text, matched, unmatched } = expanded;
    let whole = scope.globals.get("TARGETPLATFORM");
    if matched.len() == 1
        && unmatched.is_empty()
        && matched.contains("TARGETPLATFORM")
        && whole == Some(text.as_str())
    {
        let message = format!(
            "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
            word.value
        );
        scope.lint.warn("RedundantTargetPlatform", span, message);
    }
    if !matched.is_empty() || !unmatched.is_empty() {
        return;
    }
    let Ok(platform) = text.parse::<Platform>() else { return };
    let name = from.name.as_ref().map_or("", |name| name.name.as_str());
    if !name.contains(&platform.os) && !name.contains(&platform.architecture) {
        let message = format!("FROM --platform flag should not use constant value {text:?}");
        scope.lint.warn("FromPlatformFlagConstDisallowed", span, message);
    }
}

/// `DuplicateStageName` and `ReservedStageName`
pub(crate) fn names(instructions: &[Instruction], lint: &mut Lint) {
    let mut seen = BTreeSet::new();
    for (from, instruction) in stages(instructions) {
        let Some(name) = from.name.as_ref().map(|name| name.name.as_str()) else { continue };
        if RESERVED.contains(&name) {
            let message = format!("Stage name should not use the same name as reserved stage {name:?}");
            lint.warn("ReservedStageName", instruction.span, message);
        }
        if !seen.insert(name) {
            let message = format!("Duplicate stage name {name:?}, stage names should be unique");
            lint.warn("DuplicateStageName", instruction.span, message);
        }
    }
}

/// `InvalidDefaultArgInFrom`: base images whose names are broken when no build argument is given.
pub(crate) fn defaults(
    instructions: &[Instruction],
    predefined: super::env::Env,
    escape: EscapeChar,
    lint: &mut Lint,
) {
    let Ok(globals) = args::globals(predefined, instructions, &BTreeMap::new(), escape) else { return };
    for (from, instruction) in stages(instructions) {
        let values = |name: &str| globals.get(name).map(str::to_owned);
        let Ok(expanded) = crate::expand(&from.image.value, &values, escape) else { return };
        if expanded.text.parse::<Reference>().is_err() {
            let message = format!(
                "Default value for ARG {} results in empty or invalid base image name",
                from.image.value
            );
            lint.warn("InvalidDefaultArgInFrom", instruction.span, message);
        }
    }
}

fn stages(instructions: &[Instruction]) -> impl Iterator<Item = (&From, &Instruction)> {
    instructions.iter().filter_map(|instruction| {
        let InstructionKind::From(from) = &instruction.kind else { return None };
        Some((from, instruction))
    })
}
