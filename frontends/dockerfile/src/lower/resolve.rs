//! Which stages a target needs, and which facts those need.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Diagnostic, Span};
use oci::Platform;

use super::contexts::{self, Found};
use super::pass::{Pass, World};
use super::stages::{Origin, Stage, Stages};
use crate::instruction::{Instruction, InstructionKind};
use crate::syntax::EscapeChar;

/// The part of a file that a target needs.
#[derive(Debug, Default)]
pub(crate) struct Needed {
    /// Stages, by number.
    pub(crate) stages: BTreeSet<usize>,
    /// `ONBUILD` triggers that run at the beginning of a stage.
    pub(crate) triggers: BTreeMap<usize, Vec<Instruction>>,
    /// Something is copied or mounted from other than a stage.
    pub(crate) foreign: bool,
}

/// Follows bases and sources from the targets. What is missing ends in `world.needs`.
pub(crate) fn needed(
    targets: Vec<usize>,
    stages: &Stages<'_>,
    pass: &Pass<'_>,
    world: &mut World<'_>,
) -> Result<Needed, Diagnostic> {
    let mut found = Needed::default();
    let mut pending = targets;
    while let Some(index) = pending.pop() {
        if !found.stages.insert(index) {
            continue;
        }
        let stage = &stages.0[index];
        world.notes.used(&stage.uses);
        if stage.replaced.is_some() {
            replacement(stage, pass, world)?;
            continue;
        }
        let triggers = match &stage.base {
            Origin::Scratch => Vec::new(),
            Origin::Stage(base) => {
                pending.push(*base);
                inherited_triggers(&stages.0[*base])
            }
            Origin::Named(name) => {
                let platform = stage.platform.as_ref().unwrap_or(&pass.target_platform);
                let base = look(name, platform, stage.from.span, stages, pass, world)?;
                let config = base.as_ref().and_then(Found::config);
                config.and_then(|config| config.config.on_build.clone()).unwrap_or_default()
            }
        };
        let triggers = parse_triggers(&triggers, stage.from.span)?;
        let own = stage.instructions.iter().map(|instruction| (instruction, None));
        let brought = triggers.iter().map(|instruction| (instruction, Some(stage.from.span)));
        for (instruction, from) in brought.chain(own) {
            // An error in a trigger points to the FROM that brought it.
            let moved = |error: Diagnostic| Diagnostic { span: from.or(error.span), ..error };
            let span = from.unwrap_or(instruction.span);
            for origin in stages.origins(instruction).map_err(moved)? {
                match origin {
                    Origin::Stage(other) if other >= index => {
                        let is_mount = matches!(instruction.kind, InstructionKind::Run(_));
                        return Err(stages.not_yet(index, other, is_mount, span));
                    }
                    Origin::Stage(other) => pending.push(other),
                    Origin::Scratch => found.foreign = true,
                    Origin::Named(name) => {
                        found.foreign = true;
                        look(&name, &pass.target_platform, span, stages, pass, world)?;
                    }
                }
            }
        }
        if !triggers.is_empty() {
            found.triggers.insert(index, triggers);
        }
    }
    Ok(found)
}

/// Looks at the named context that takes the place of a stage.
pub(crate) fn replacement(
    stage: &Stage<'_>,
    pass: &Pass<'_>,
    world: &mut World<'_>,
) -> Result<Option<Found>, Diagnostic> {
    let key = stage.replaced.as_deref().unwrap_or_default();
    let Some(context) = pass.options.named_contexts.get(key) else { return Ok(None) };
    let platform = stage.platform.as_ref().unwrap_or(&pass.target_platform);
    contexts::look_at_context(key, context, platform, stage.from.span, world)
}

/// Looks at an image or a named context.
pub(crate) fn look(
    name: &str,
    platform: &Platform,
    span: Span,
    stages: &Stages<'_>,
    pass: &Pass<'_>,
    world: &mut World<'_>,
) -> Result<Option<Found>, Diagnostic> {
    let names: Vec<&str> = stages.names().collect();
    contexts::look(name, platform, span, &names, pass.options, world)
}

/// The triggers that a stage leaves to those built upon it.
fn inherited_triggers(base: &Stage<'_>) -> Vec<String> {
    if base.replaced.is_some() {
        return Vec::new();
    }
    base.instructions
        .iter()
        .filter_map(|instruction| {
            let InstructionKind::OnBuild(onbuild) = &instruction.kind else { return None };
            Some(onbuild.trigger.clone())
        })
        .collect()
}

fn parse_triggers(texts: &[String], span: Span) -> Result<Vec<Instruction>, Diagnostic> {
    let one = |text: &String| {
        let mut instruction =
            crate::parse_instruction(text, EscapeChar::Backslash).map_err(|error| Diagnostic {
                span: Some(span),
                message: format!("ONBUILD trigger {text:?} of the base: {}", error.message),
                ..error
            })?;
        instruction.span = span;
        Ok(instruction)
    };
    texts.iter().map(one).collect()
}
