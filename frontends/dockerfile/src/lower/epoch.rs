//! `SOURCE_DATE_EPOCH`.

use std::collections::BTreeMap;

use graph::{Diagnostic, Need, Remote, Span};

use super::args::EPOCH;
use super::contexts::{self, Found};
use super::env::Env;
use super::epoch_stage;
use super::options::{NamedContext, Options};
use super::pass::World;
use crate::instruction::{File, Instruction, InstructionKind};

/// What is known of the time.
pub(crate) enum Epoch {
    /// Something was asked for.
    Asked,
    /// Seconds since 1970, if there is a time.
    Known(Option<i64>),
}

/// Seconds since 1970, from a build argument or an `ARG` before the first `FROM`. An empty value is
/// none; a name stands for the time of a context or of a stage's source. Arguments are changed to
/// what the name stands for.
pub(crate) fn resolve(
    options: &Options,
    file: &File,
    arguments: &mut BTreeMap<String, String>,
    globals: &mut Env,
    world: &mut World<'_>,
) -> Result<Epoch, Diagnostic> {
    let value = match (arguments.get(EPOCH), globals.get(EPOCH)) {
        (Some(value), _) => value.clone(),
        (None, Some(value)) if !value.is_empty() => value.to_owned(),
        (None, Some(_) | None) => return Ok(Epoch::Known(None)),
    };
    let epoch = match value.parse::<i64>() {
        Ok(seconds) => Epoch::Known(Some(seconds)),
        Err(_) if value.is_empty() => Epoch::Known(None),
        Err(_) => named(&value, options, file, arguments, globals, world)?,
    };
    match &epoch {
        Epoch::Asked => {}
        Epoch::Known(Some(seconds)) => {
            arguments.insert(EPOCH.to_owned(), seconds.to_string());
            globals.set(EPOCH, &seconds.to_string());
        }
        Epoch::Known(None) => {
            arguments.remove(EPOCH);
            globals.remove(EPOCH);
        }
    }
    Ok(epoch)
}

/// The time of a context or of a stage's source.
fn named(
    name: &str,
    options: &Options,
    file: &File,
    arguments: &BTreeMap<String, String>,
    globals: &Env,
    world: &mut World<'_>,
) -> Result<Epoch, Diagnostic> {
    let nowhere = Span { start: 0, end: 0 };
    if name == "context" {
        return Ok(options
            .context_source
            .as_ref()
            .map_or(Epoch::Known(None), |source| time(source.clone(), None, world)));
    }
    if let Some((key, context)) = contexts::find(options, name, &options.build_platform) {
        return named_context(key, context, options, nowhere, world);
    }
    let from = file.instructions.iter().position(|instruction| is_stage(instruction, name));
    let Some(from) = from else {
        return Err(Diagnostic::error(format!("invalid {EPOCH}: {name}"), None)
            .with_help("it is a number of seconds since 1970, context, or the name of a context or stage"));
    };
    let stage = &file.instructions[from..];
    let mut env = globals.clone();
    env.remove(EPOCH);
    match epoch_stage::source(stage, env, arguments, file.directives.escape, world)? {
        Some(source) => Ok(time(source, Some(stage[0].span), world)),
        None => Ok(Epoch::Asked),
    }
}

/// Directories and images have no time.
fn named_context(
    key: &str,
    context: &NamedContext,
    options: &Options,
    span: Span,
    world: &mut World<'_>,
) -> Result<Epoch, Diagnostic> {
    match context {
        NamedContext::Local
        | NamedContext::Image(_)
        | NamedContext::Scratch
        | NamedContext::OciLayout(_)
        | NamedContext::Target(_) => return Ok(Epoch::Known(None)),
        NamedContext::Git(_) | NamedContext::Http(_) => {}
    }
    Ok(match contexts::look_at_context(key, context, &options.build_platform, span, world)? {
        None => Epoch::Asked,
        Some(Found::Git(git)) => time(Remote::Git(git), None, world),
        Some(Found::Http(http)) => time(Remote::Http(http), None, world),
        Some(Found::Empty | Found::Image { .. } | Found::Local(_)) => Epoch::Known(None),
    })
}

fn is_stage(instruction: &Instruction, name: &str) -> bool {
    let InstructionKind::From(from) = &instruction.kind else { return false };
    from.name.as_ref().is_some_and(|own| own.name.eq_ignore_ascii_case(name))
}

fn time(source: Remote, span: Option<Span>, world: &mut World<'_>) -> Epoch {
    match world.known.times.get(&source) {
        Some(time) => Epoch::Known(*time),
        None => {
            world.needs.entry(Need::Time(source)).or_insert(span);
            Epoch::Asked
        }
    }
}
