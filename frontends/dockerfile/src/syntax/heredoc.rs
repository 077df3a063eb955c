//! Heredocs: `<<WORD` in a line, and the lines after it up to `WORD`.

use std::ops::Range;

use graph::Span;

use super::EscapeChar;
use super::lines::{Lines, LogicalLine};
use crate::expand::{Escapes, ExpandError, Mode, Quotes, Unset, lex};

/// A heredoc and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, without quotes.
    pub name: String,
    /// The file descriptor before `<<`, if any.
    pub descriptor: Option<u32>,
    /// `false` if any part of the word is quoted.
    pub expand: bool,
    /// `<<-`: leading tabs of the body do not count.
    pub strip_tabs: bool,
    /// The lines as they stand in the file.
    pub content: String,
    /// The word in the instruction.
    pub span: Span,
    /// The body, without the line that ends it.
    pub body: Span,
}

impl Heredoc {
    /// The body, without leading tabs where `<<-` says so.
    pub fn text(&self) -> String {
        if !self.strip_tabs {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// What a word of the form `<<WORD` announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeredocWord {
    pub name: String,
    pub descriptor: Option<u32>,
    pub expand: bool,
    pub strip_tabs: bool,
}

const KEEP_UNSET: Mode = Mode { quotes: Quotes::Remove, escapes: Escapes::Remove, unset: Unset::Keep };

/// Reads a word as the start of a heredoc. `None`: it is none.
pub(crate) fn parse_heredoc(word: &str) -> Result<Option<HeredocWord>, ExpandError> {
    let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let Some(rest) = word[digits..].strip_prefix("<<") else {
        return Ok(None);
    };
    let (rest, strip_tabs) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let nothing = |_: &str| None;
    let plain = lex(rest, &nothing, EscapeChar::Backslash, KEEP_UNSET)?.words;
    let [plain] = plain.as_slice() else {
        return Ok(None);
    };
    let raw = lex(rest, &nothing, EscapeChar::Backslash, Mode { quotes: Quotes::Keep, ..KEEP_UNSET })?;
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    Ok(Some(HeredocWord {
        expand: quotes(&raw.text) == quotes(&plain.text),
        name: plain.text.clone(),
        descriptor: word[..digits].parse().ok(),
        strip_tabs,
    }))
}

/// The heredocs that a line announces, and where. A line that is no sequence of words (an open
/// quote) announces none.
pub(super) fn announced(line: &str) -> Result<Vec<(HeredocWord, Range<usize>)>, ExpandError> {
    let raw = Mode { quotes: Quotes::Keep, escapes: Escapes::Keep, unset: Unset::Keep };
    let Ok(lexed) = lex(line, &|_| None, EscapeChar::Backslash, raw) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for word in lexed.words {
        // A blank after `<<` does not end a word, but one after `<<-` does: `<<- WORD` announces nothing.
        if let Some(heredoc) = parse_heredoc(&word.text)? {
            found.push((heredoc, word.place));
        }
    }
    Ok(found)
}

/// The word behind a `<<-` that stands alone: nearly a heredoc, but the blank ends its word.
pub(crate) fn parted_name(text: &str) -> Option<&str> {
    let mut words = text.split_whitespace();
    words.find(|word| word.trim_start_matches(|c: char| c.is_ascii_digit()) == "<<-")?;
    words.next()
}

/// Whether a word is `<<` after optional digits, and nothing more.
pub(crate) fn is_open(word: &str) -> bool {
    word.trim_start_matches(|c: char| c.is_ascii_digit()) == "<<"
}

/// Reads the bodies. `Err` is the heredoc that does not end.
pub(super) fn read_bodies(
    announced: Vec<(HeredocWord, Range<usize>)>,
    line: &LogicalLine,
    lines: &mut Lines<'_>,
) -> Result<(Vec<Heredoc>, Option<usize>), (HeredocWord, Span)> {
    let mut heredocs = Vec::with_capacity(announced.len());
    let mut end = None;
    for (word, place) in announced {
        let span = line.span(place.start, place.end);
        let Some((content, body, after)) = read_body(&word, lines) else {
            return Err((word, span));
        };
        end = Some(after);
        let HeredocWord { name, descriptor, expand, strip_tabs } = word;
        heredocs.push(Heredoc { name, descriptor, expand, strip_tabs, content, span, body });
    }
    Ok((heredocs, end))
}

fn read_body(word: &HeredocWord, lines: &mut Lines<'_>) -> Option<(String, Span, usize)> {
    let mut bytes = Vec::new();
    let start = lines.offset();
    for line in lines {
        let mut possible = line.body();
        while word.strip_tabs
            && let [b'\t', rest @ ..] = possible
        {
            possible = rest;
        }
        if possible == word.name.as_bytes() {
            let content = String::from_utf8_lossy(&bytes).into_owned();
            return Some((content, Span { start, end: line.start }, line.span().end));
        }
        bytes.extend_from_slice(line.bytes);
    }
    None
}
