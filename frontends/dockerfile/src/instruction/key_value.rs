//! `ENV`, `LABEL` and `ARG`.

use graph::{Diagnostic, Span};

use super::flags::Flags;
use super::{ArgDecl, KeyValue, Keyword};
use crate::syntax::{Operands, Spanned, Statement, Word};

pub(super) fn pairs(statement: &Statement, keyword: Keyword) -> Result<Vec<KeyValue>, Diagnostic> {
    Flags::read(statement, &[])?;
    let Operands::Pairs(pairs) = &statement.operands else {
        return Err(super::simple::at_least_one(statement, keyword));
    };
    match pairs.iter().find(|pair| pair.key.value.is_empty()) {
        Some(pair) => Err(blank_name(keyword, pair.key.span)),
        None => Ok(pairs.clone()),
    }
}

/// Flags of `ARG` are ignored, as BuildKit ignores them.
pub(super) fn args(statement: &Statement) -> Result<Vec<ArgDecl>, Diagnostic> {
    let words = statement.operands.words();
    if words.is_empty() {
        return Err(super::simple::at_least_one(statement, Keyword::Arg));
    }
    words.iter().map(arg).collect()
}

fn arg(word: &Word) -> Result<ArgDecl, Diagnostic> {
    let Some((name, default)) = word.value.split_once('=') else {
        return Ok(ArgDecl { name: word.clone(), default: None });
    };
    if name.is_empty() {
        return Err(blank_name(Keyword::Arg, word.span));
    }
    // A word with a continuation inside is longer in the file; its places stay within it.
    let border = (word.span.start + name.len()).min(word.span.end);
    let after = (border + 1).min(word.span.end);
    Ok(ArgDecl {
        name: Spanned::new(name.to_owned(), Span { start: word.span.start, end: border }),
        default: Some(Spanned::new(default.to_owned(), Span { start: after, end: word.span.end })),
    })
}

fn blank_name(keyword: Keyword, span: Span) -> Diagnostic {
    Diagnostic::error(format!("{keyword} names can not be blank"), span)
}
