//! `SOURCE_DATE_EPOCH`.

use std::collections::BTreeMap;

use graph::{Diagnostic, Span};

use super::args::EPOCH;
use super::contexts;
use super::env::Env;
use super::options::{NamedContext, Options};
use super::stages::SCRATCH;
use crate::instruction::{File, Instruction, InstructionKind};

/// Seconds since 1970, from a build argument or an `ARG` before the first `FROM`. An empty value is
/// none; a name stands for the time of a context or of a stage's source. Arguments are changed to
/// what the name stands for.
pub(crate) fn resolve(
    options: &Options,
    file: &File,
    arguments: &mut BTreeMap<String, String>,
    globals: &mut Env,
) -> Result<Option<i64>, Diagnostic> {
    let value = match (arguments.get(EPOCH), globals.get(EPOCH)) {
        (Some(value), _) => value.clone(),
        (None, Some(value)) if !value.is_empty() => value.to_owned(),
        (None, Some(_) | None) => return Ok(None),
    };
    let epoch = match value.parse::<i64>() {
        Ok(seconds) => Some(seconds),
        Err(_) if value.is_empty() => None,
        Err(_) => named(&value, options, file)?,
    };
    if epoch.is_none() {
        arguments.remove(EPOCH);
        globals.remove(EPOCH);
    }
    Ok(epoch)
}

/// The time of a source. Directories and images have none.
fn named(name: &str, options: &Options, file: &File) -> Result<Option<i64>, Diagnostic> {
    if name == "context" {
        return Ok(None);
    }
    let unsupported = |what: &str, span: Option<Span>| {
        let message = format!("{EPOCH}={name}: the time of {what} is not supported yet");
        Err(Diagnostic::error(message, span).with_help("give the number of seconds since 1970"))
    };
    if let Some((_, context)) = contexts::find(options, name, &options.build_platform) {
        return match context {
            NamedContext::Local
            | NamedContext::Image(_)
            | NamedContext::Scratch
            | NamedContext::OciLayout(_) => Ok(None),
            NamedContext::Git(_) => unsupported("a git repository", None),
            NamedContext::Http(_) => unsupported("a URL", None),
        };
    }
    let stage = file.instructions.iter().position(|instruction| {
        let InstructionKind::From(from) = &instruction.kind else { return false };
        from.name.as_ref().is_some_and(|own| own.name.eq_ignore_ascii_case(name))
    });
    let Some(stage) = stage else {
        return Err(Diagnostic::error(format!("invalid {EPOCH}: {name}"), None)
            .with_help("it is a number of seconds since 1970, context, or the name of a context or stage"));
    };
    only_a_source(&file.instructions[stage..])?;
    unsupported("a stage's source", Some(file.instructions[stage].span))
}

/// Whether a stage, given from its `FROM` on, does nothing but fetch one remote source.
fn only_a_source(instructions: &[Instruction]) -> Result<(), Diagnostic> {
    let error =
        |message: &str, at: &Instruction| Err(Diagnostic::error(format!("{EPOCH} stage {message}"), at.span));
    let mut sources = 0;
    for (position, instruction) in instructions.iter().enumerate() {
        match &instruction.kind {
            InstructionKind::From(from) if position == 0 && from.image.value != SCRATCH => {
                return error("must use FROM scratch", instruction);
            }
            InstructionKind::From(_) if position > 0 => break,
            InstructionKind::From(_) | InstructionKind::Arg(_) => {}
            InstructionKind::Add(add) if add.files.is_empty() && add.sources.len() == 1 => sources += 1,
            InstructionKind::Add(_) => {
                return error("must contain exactly one remote ADD source", instruction);
            }
            InstructionKind::Cmd(_)
            | InstructionKind::Copy(_)
            | InstructionKind::Entrypoint(_)
            | InstructionKind::Env(_)
            | InstructionKind::Expose(_)
            | InstructionKind::Healthcheck(_)
            | InstructionKind::Label(_)
            | InstructionKind::Maintainer(_)
            | InstructionKind::OnBuild(_)
            | InstructionKind::Run(_)
            | InstructionKind::Shell(_)
            | InstructionKind::StopSignal(_)
            | InstructionKind::User(_)
            | InstructionKind::Volume(_)
            | InstructionKind::Workdir(_) => {
                let keyword = &instruction.keyword.value;
                let message =
                    format!("does not meet source-only requirements: unsupported {keyword} instruction");
                return error(&message, instruction);
            }
        }
    }
    if sources == 1 { Ok(()) } else { error("must contain exactly one remote ADD", &instructions[0]) }
}
