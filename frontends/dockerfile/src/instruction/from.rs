//! `FROM`.

use graph::Diagnostic;

use super::flags::{Flags, Takes};
use super::{From, StageName};
use crate::syntax::{Statement, Word};

pub(super) fn parse(statement: &Statement) -> Result<From, Diagnostic> {
    let mut flags = Flags::read(statement, &[("platform", Takes::Value)])?;
    let words = statement.operands.words();
    let name = match words {
        [_] => None,
        [_, keyword, name] if keyword.value.eq_ignore_ascii_case("as") => Some(stage_name(keyword, name)?),
        _ => {
            let message = "FROM requires either one or three arguments";
            let help = "write FROM image, or FROM image AS name";
            return Err(Diagnostic::error(message, statement.span).with_help(help));
        }
    };
    Ok(From { image: words[0].clone(), platform: flags.value("platform"), name })
}

fn stage_name(keyword: &Word, written: &Word) -> Result<StageName, Diagnostic> {
    let name = written.value.to_lowercase();
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(inside) {
        let message = format!(
            "invalid name for build stage: {:?}, name can't start with a number or contain symbols",
            written.value
        );
        let help = "a letter, then letters, digits, `-`, `_` and `.`";
        return Err(Diagnostic::error(message, written.span).with_help(help));
    }
    Ok(StageName { name, written: written.clone(), keyword: keyword.clone() })
}
