//! From statements to instructions, and the rules about their order.

use graph::{Diagnostic, Span};

use super::{
    File, Instruction, InstructionKind, Keyword, copy, from, health, key_value, onbuild, run, simple,
};
use crate::suggest::with_guess;
use crate::syntax::{EscapeChar, Statement, Word, parted_name, read_file, read_one};

/// Reads a Dockerfile. On failure, every error that could be found.
pub fn parse(text: &[u8]) -> Result<File, Vec<Diagnostic>> {
    let Reading { file, errors, .. } = parse_leniently(text);
    if errors.is_empty() { Ok(file) } else { Err(errors) }
}

/// What could be read of a Dockerfile.
#[derive(Debug)]
pub struct Reading {
    /// All of it, if there is no error; else what stands before the first, and nothing where an error is one
    /// of the text itself (a heredoc without an end): so much can be remarked upon.
    pub file: File,
    /// The first instruction that cannot stand where it does.
    pub refused: Option<Refused>,
    /// Every error that was found.
    pub errors: Vec<Diagnostic>,
}

/// An instruction of which no more is known than its words.
#[derive(Debug)]
pub struct Refused {
    /// All of it.
    pub span: Span,
    /// The keyword as written.
    pub keyword: String,
    /// The instruction, if there is one of that name.
    pub instruction: Option<Keyword>,
    /// The comment lines right above.
    pub comments: Vec<String>,
    /// Its words, where it has any.
    pub words: Vec<Word>,
}

impl Refused {
    fn new(statement: &Statement) -> Self {
        Self {
            span: statement.span,
            keyword: statement.keyword.value.clone(),
            instruction: statement.instruction,
            comments: statement.comments.clone(),
            words: statement.operands.words().to_vec(),
        }
    }
}

/// Reads a Dockerfile as far as it can be read: what is right in it, and every error.
pub fn parse_leniently(text: &[u8]) -> Reading {
    let parsed = read_file(text);
    let mut file =
        File { directives: parsed.directives, instructions: Vec::new(), warnings: parsed.warnings };
    let mut refused = None;
    let mut errors = Vec::new();
    let mut in_stage = false;
    let mut parted = None;
    for statement in &parsed.statements {
        match statement.instruction {
            Some(Keyword::Run | Keyword::Copy | Keyword::Add) => parted = parted_name(&statement.original),
            Some(_) => parted = None,
            None => {}
        }
        let error = match in_order(statement, &mut in_stage).and_then(|()| typed(statement)) {
            Ok(instruction) if errors.is_empty() => {
                file.instructions.push(instruction);
                continue;
            }
            Ok(_) => continue,
            Err(error) => error,
        };
        refused.get_or_insert_with(|| Refused::new(statement));
        // What should have been the body of a heredoc begins with one such error.
        errors.push(match parted.take_if(|_| statement.instruction.is_none()) {
            Some(name) => error.with_help(format!("a heredoc has no blank before its name: <<-{name}")),
            None => error,
        });
    }
    if let Some(failure) = parsed.failure {
        errors.push(failure);
        refused = None;
        file.instructions.clear();
        file.warnings.clear();
    }
    if errors.is_empty() && !in_stage {
        errors.push(nothing_to_build(text, file.instructions.last()));
    }
    Reading { file, refused, errors }
}

/// Reads one instruction, with its heredocs, that is not in a file: a trigger that an image
/// brought along. Spans are places in `text`.
pub fn parse_instruction(text: &str, escape: EscapeChar) -> Result<Instruction, Diagnostic> {
    let statement = read_one(text, escape)?;
    onbuild::refuse(&statement)?;
    typed(&statement)
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
