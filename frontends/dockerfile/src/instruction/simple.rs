//! Instructions with plain operands.

use graph::Diagnostic;

use super::flags::Flags;
use super::{CommandForm, Keyword};
use crate::syntax::{Operands, Statement, Word};

/// Exactly one operand: all the text.
pub(super) fn text(statement: &Statement, keyword: Keyword) -> Result<Word, Diagnostic> {
    // BuildKit does not look at flags of STOPSIGNAL.
    if keyword != Keyword::StopSignal {
        Flags::read(statement, &[])?;
    }
    let message = || format!("{keyword} requires exactly one argument");
    let text = statement.operands.text().cloned();
    text.ok_or_else(|| Diagnostic::error(message(), statement.span))
}

pub(super) fn expose(statement: &Statement) -> Result<Vec<Word>, Diagnostic> {
    words(statement, Keyword::Expose)
}

pub(super) fn volume(statement: &Statement) -> Result<Vec<Word>, Diagnostic> {
    let words = words(statement, Keyword::Volume)?;
    if let Some(blank) = words.iter().find(|word| word.value.trim().is_empty()) {
        return Err(Diagnostic::error("VOLUME specified can not be an empty string", blank.span));
    }
    let trimmed = |word: Word| Word { value: word.value.trim().to_owned(), span: word.span };
    Ok(words.into_iter().map(trimmed).collect())
}

fn words(statement: &Statement, keyword: Keyword) -> Result<Vec<Word>, Diagnostic> {
    Flags::read(statement, &[])?;
    match statement.operands.words() {
        [] => Err(at_least_one(statement, keyword)),
        words => Ok(words.to_vec()),
    }
}

/// `CMD`, `ENTRYPOINT`.
pub(super) fn command(statement: &Statement) -> Result<CommandForm, Diagnostic> {
    Flags::read(statement, &[])?;
    Ok(form(&statement.operands))
}

pub(super) fn form(operands: &Operands) -> CommandForm {
    match operands {
        Operands::Json(members) => CommandForm::Exec(members.iter().map(|m| m.value.clone()).collect()),
        Operands::Text(text) => CommandForm::Shell(text.value.clone()),
        Operands::Absent
        | Operands::Words(_)
        | Operands::Pairs(_)
        | Operands::Typed(..)
        | Operands::Inner(_) => CommandForm::Shell(String::new()),
    }
}

pub(super) fn shell(statement: &Statement) -> Result<Vec<String>, Diagnostic> {
    match command(statement)? {
        CommandForm::Exec(members) if members.is_empty() => Err(at_least_one(statement, Keyword::Shell)),
        CommandForm::Exec(members) => Ok(members),
        CommandForm::Shell(text) if text.is_empty() => Err(at_least_one(statement, Keyword::Shell)),
        CommandForm::Shell(_) => {
            let message = "SHELL requires the arguments to be in JSON form";
            let help = "write SHELL [\"/bin/sh\", \"-c\"]";
            Err(Diagnostic::error(message, statement.rest.span).with_help(help))
        }
    }
}

pub(super) fn at_least_one(statement: &Statement, keyword: Keyword) -> Diagnostic {
    Diagnostic::error(format!("{keyword} requires at least one argument"), statement.span)
}
