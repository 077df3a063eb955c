//! The operands of each instruction, cut into words.

use std::ops::Range;

use graph::Diagnostic;

use super::json::{self, JsonForm};
use super::lines::LogicalLine;
use super::statement::{self, Statement};
use super::words::{between_blanks, quoted, without_dangling_escape};
use super::{EscapeChar, Spanned, Word, is_blank};
use crate::instruction::{KeyValue, Keyword};

/// Operands, in the form that the instruction asks for.
#[derive(Clone, Debug)]
pub(crate) enum Operands {
    /// None at all.
    Absent,
    /// The text as it is.
    Text(Word),
    /// Words.
    Words(Vec<Word>),
    /// Members of a JSON array.
    Json(Vec<Word>),
    /// `key=value` pairs.
    Pairs(Vec<KeyValue>),
    /// A first word, and what follows it (`HEALTHCHECK`).
    Typed(Word, Box<Operands>),
    /// Another instruction (`ONBUILD`).
    Inner(Box<Statement>),
}

impl Operands {
    /// The words, or the members of an array; empty for other forms.
    pub fn words(&self) -> &[Word] {
        match self {
            Self::Words(words) | Self::Json(words) => words,
            Self::Absent | Self::Text(_) | Self::Pairs(_) | Self::Typed(..) | Self::Inner(_) => &[],
        }
    }

    /// The text, where it is not cut.
    pub fn text(&self) -> Option<&Word> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent
            | Self::Words(_)
            | Self::Json(_)
            | Self::Pairs(_)
            | Self::Typed(..)
            | Self::Inner(_) => None,
        }
    }
}

/// A part of a logical line.
#[derive(Clone)]
pub(super) struct Part<'a> {
    pub line: &'a LogicalLine,
    pub at: Range<usize>,
}

impl<'a> Part<'a> {
    pub fn text(&self) -> &'a str {
        &self.line.text()[self.at.clone()]
    }

    /// The word at a place relative to this part.
    fn word(&self, place: Range<usize>) -> Word {
        let text = self.text()[place.clone()].to_owned();
        self.spanned(text, place)
    }

    fn spanned(&self, text: String, place: Range<usize>) -> Word {
        let start = self.at.start;
        Spanned::new(text, self.line.span(start + place.start, start + place.end))
    }

    fn whole(&self) -> Word {
        self.word(0..self.text().len())
    }

    /// The part from a place on, without outer white space.
    pub fn tail(&self, from: usize) -> Part<'a> {
        let rest = &self.text()[from..];
        let start = self.at.start + from + rest.len() - rest.trim_start().len();
        Part { line: self.line, at: start..start + rest.trim().len() }
    }
}

/// Cuts the operands of an instruction.
pub(super) fn read(
    keyword: Option<Keyword>,
    part: &Part<'_>,
    escape: EscapeChar,
) -> Result<Operands, Diagnostic> {
    let Some(keyword) = keyword.filter(|_| !part.text().is_empty()) else {
        return Ok(Operands::Absent);
    };
    match keyword {
        Keyword::Add | Keyword::Copy | Keyword::Volume => {
            Ok(json_form(part)?.unwrap_or_else(|| Operands::Words(blank_words(part))))
        }
        Keyword::From | Keyword::Expose => Ok(Operands::Words(blank_words(part))),
        Keyword::Cmd | Keyword::Entrypoint | Keyword::Run | Keyword::Shell => json_or_text(part),
        Keyword::Maintainer | Keyword::StopSignal | Keyword::User | Keyword::Workdir => {
            Ok(Operands::Text(part.whole()))
        }
        Keyword::Arg => {
            Ok(Operands::Words(quoted_words(part, escape).map(|place| part.word(place)).collect()))
        }
        Keyword::Env | Keyword::Label => pairs(keyword, part, escape),
        Keyword::Healthcheck => typed(part),
        Keyword::OnBuild => inner(part, escape),
    }
}

fn json_form(part: &Part<'_>) -> Result<Option<Operands>, Diagnostic> {
    match json::parse(part.text()) {
        JsonForm::Not => Ok(None),
        JsonForm::Strings(members) => {
            let word = |m: Spanned<String>| part.spanned(m.value, m.span.start..m.span.end);
            Ok(Some(Operands::Json(members.into_iter().map(word).collect())))
        }
        JsonForm::OtherMembers => {
            let message = "when using JSON array syntax, arrays must be comprised of strings only";
            Err(Diagnostic::error(message, part.whole().span)
                .with_help("put every member into double quotes"))
        }
    }
}

fn json_or_text(part: &Part<'_>) -> Result<Operands, Diagnostic> {
    Ok(json_form(part)?.unwrap_or_else(|| Operands::Text(part.whole())))
}

fn blank_words(part: &Part<'_>) -> Vec<Word> {
    between_blanks(part.text()).into_iter().map(|place| part.word(place)).collect()
}

fn quoted_words<'a>(part: &'a Part<'_>, escape: EscapeChar) -> impl Iterator<Item = Range<usize>> + 'a {
    let text = part.text();
    quoted(text, escape).into_iter().filter_map(move |place| {
        let length = without_dangling_escape(&text[place.clone()], escape).len();
        (length > 0).then_some(place.start..place.start + length)
    })
}

fn pairs(keyword: Keyword, part: &Part<'_>, escape: EscapeChar) -> Result<Operands, Diagnostic> {
    let text = part.text();
    let mut words = quoted_words(part, escape).peekable();
    match words.peek() {
        None => return Ok(Operands::Absent),
        Some(first) if !text[first.clone()].contains('=') => return legacy_pair(keyword, part),
        Some(_) => {}
    }
    let pair = |place: Range<usize>| {
        let word = &text[place.clone()];
        let Some((key, _)) = word.split_once('=') else {
            let message = format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value");
            let help = "put values with blanks into quotes";
            return Err(Diagnostic::error(message, part.word(place).span).with_help(help));
        };
        let border = place.start + key.len();
        Ok(KeyValue {
            key: part.word(place.start..border),
            value: part.word(border + 1..place.end),
            legacy: false,
        })
    };
    Ok(Operands::Pairs(words.map(pair).collect::<Result<_, _>>()?))
}

/// `KEY VALUE`: the first blank is the border, and the value is all the rest.
fn legacy_pair(keyword: Keyword, part: &Part<'_>) -> Result<Operands, Diagnostic> {
    let text = part.text();
    let Some(border) = text.find(is_blank) else {
        let message = format!("{keyword} must have two arguments");
        let help = format!("write {keyword} name=value");
        return Err(Diagnostic::error(message, part.whole().span).with_help(help));
    };
    let value = text.len() - text[border..].trim_start_matches(is_blank).len();
    Ok(Operands::Pairs(vec![KeyValue {
        key: part.word(0..border),
        value: part.word(value..text.len()),
        legacy: true,
    }]))
}

/// The instruction after `ONBUILD`. A chain of them ends here, so that its length does not become the depth
/// of a tree; it is refused where triggers are.
fn inner(part: &Part<'_>, escape: EscapeChar) -> Result<Operands, Diagnostic> {
    let border = part.text().find(is_blank).unwrap_or(part.text().len());
    let keyword = part.word(0..border);
    if Keyword::parse(&keyword.value) == Some(Keyword::OnBuild) {
        return Ok(Operands::Inner(Box::new(Statement::chained(keyword, part))));
    }
    let inner = statement::from_part(part, escape, Vec::new())?;
    Ok(Operands::Inner(Box::new(inner)))
}

fn typed(part: &Part<'_>) -> Result<Operands, Diagnostic> {
    let text = part.text();
    let border = text.find(char::is_whitespace).unwrap_or(text.len());
    let rest = part.tail(border);
    let rest = if rest.text().is_empty() { Operands::Absent } else { json_or_text(&rest)? };
    Ok(Operands::Typed(part.word(0..border), Box::new(rest)))
}
