//! From statements to instructions, and the rules about their order.

use graph::{Diagnostic, Span};

use super::{
    File, Instruction, InstructionKind, Keyword, copy, from, health, key_value, onbuild, run, simple,
};
use crate::suggest::with_guess;
use crate::syntax::{EscapeChar, Statement, parted_name, read_file, read_one};

/// Reads a Dockerfile. On failure, every error that could be found.
pub fn parse(text: &[u8]) -> Result<File, Vec<Diagnostic>> {
    let (file, errors) = parse_leniently(text);
    if errors.is_empty() { Ok(file) } else { Err(errors) }
}

/// Reads a Dockerfile as far as it can be read: what is right in it, and every error. With errors,
/// the file is good for remarks about it and nothing else.
pub fn parse_leniently(text: &[u8]) -> (File, Vec<Diagnostic>) {
    let parsed = read_file(text);
    let mut errors = Vec::new();
    let mut instructions = Vec::with_capacity(parsed.statements.len());
    let mut in_stage = false;
    let mut parted = None;
    for statement in &parsed.statements {
        match statement.instruction {
            Some(Keyword::Run | Keyword::Copy | Keyword::Add) => parted = parted_name(&statement.original),
            Some(_) => parted = None,
            None => {}
        }
        match in_order(statement, &mut in_stage).and_then(|()| complete(statement)) {
            Ok(instruction) => instructions.push(instruction),
            // What should have been the body of a heredoc begins with one such error.
            Err(error) if statement.instruction.is_none() => errors.push(match parted.take() {
                Some(name) => error.with_help(format!("a heredoc has no blank before its name: <<-{name}")),
                None => error,
            }),
            Err(error) => errors.push(error),
        }
    }
    errors.extend(parsed.failure);
    if errors.is_empty() && !in_stage {
        errors.push(nothing_to_build(text, instructions.last()));
    }
    (File { directives: parsed.directives, instructions, warnings: parsed.warnings }, errors)
}

/// Reads one instruction, with its heredocs, that is not in a file: a trigger that an image
/// brought along. Spans are places in `text`.
pub fn parse_instruction(text: &str, escape: EscapeChar) -> Result<Instruction, Diagnostic> {
    let statement = read_one(text, escape)?;
    onbuild::refuse(&statement)?;
    complete(&statement)
}

fn complete(statement: &Statement) -> Result<Instruction, Diagnostic> {
    let instruction = typed(statement)?;
    if let InstructionKind::Copy(copy) = &instruction.kind {
        copy::check_from(copy)?;
    }
    Ok(instruction)
}

/// Gives a statement its meaning.
pub(super) fn typed(statement: &Statement) -> Result<Instruction, Diagnostic> {
    let Some(keyword) = statement.instruction else {
        return Err(unknown(statement));
    };
    let kind = match keyword {
        Keyword::Add => InstructionKind::Add(copy::add(statement)?),
        Keyword::Arg => InstructionKind::Arg(key_value::args(statement)?),
        Keyword::Cmd => InstructionKind::Cmd(simple::command(statement)?),
        Keyword::Copy => InstructionKind::Copy(copy::copy(statement)?),
        Keyword::Entrypoint => InstructionKind::Entrypoint(simple::command(statement)?),
        Keyword::Env => InstructionKind::Env(key_value::pairs(statement, keyword)?),
        Keyword::Expose => InstructionKind::Expose(simple::expose(statement)?),
        Keyword::From => InstructionKind::From(from::parse(statement)?),
        Keyword::Healthcheck => InstructionKind::Healthcheck(health::parse(statement)?),
        Keyword::Label => InstructionKind::Label(key_value::pairs(statement, keyword)?),
        Keyword::Maintainer => InstructionKind::Maintainer(simple::text(statement, keyword)?.value),
        Keyword::OnBuild => InstructionKind::OnBuild(onbuild::parse(statement)?),
        Keyword::Run => InstructionKind::Run(run::parse(statement)?),
        Keyword::Shell => InstructionKind::Shell(simple::shell(statement)?),
        Keyword::StopSignal => InstructionKind::StopSignal(simple::text(statement, keyword)?),
        Keyword::User => InstructionKind::User(simple::text(statement, keyword)?),
        Keyword::Volume => InstructionKind::Volume(simple::volume(statement)?),
        Keyword::Workdir => InstructionKind::Workdir(simple::text(statement, keyword)?),
    };
    Ok(Instruction {
        span: statement.span,
        keyword: statement.keyword.clone(),
        comments: statement.comments.clone(),
        original: statement.original.clone(),
        kind,
    })
}

fn unknown(statement: &Statement) -> Diagnostic {
    let written = &statement.keyword.value;
    let message = format!("unknown instruction: {written}");
    Diagnostic::error(with_guess(message, written, Keyword::ALL.map(Keyword::name)), statement.keyword.span)
}

/// Before the first `FROM` there is only `ARG`.
fn in_order(statement: &Statement, in_stage: &mut bool) -> Result<(), Diagnostic> {
    match statement.instruction {
        Some(Keyword::From) => *in_stage = true,
        Some(Keyword::Arg) | None => {}
        Some(keyword) if !*in_stage => {
            // One such error is enough.
            *in_stage = true;
            typed(statement)?;
            let message = format!("no build stage in current context: {keyword} before the first FROM");
            let help = "only ARG may come before the first FROM";
            return Err(Diagnostic::error(message, statement.span).with_help(help));
        }
        Some(_) => {}
    }
    Ok(())
}

/// The file has no error and no stage either.
fn nothing_to_build(text: &[u8], last: Option<&Instruction>) -> Diagnostic {
    let whole = Span { start: 0, end: text.len() };
    match last {
        Some(last) => Diagnostic::error("dockerfile contains no stages to build", last.span),
        None if text.trim_ascii().is_empty() => Diagnostic::error("the Dockerfile cannot be empty", whole),
        None => Diagnostic::error("file with no instructions", whole),
    }
    .with_help("a Dockerfile needs a FROM")
}
