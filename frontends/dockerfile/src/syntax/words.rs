//! Cutting operands into words. Places are relative to the operand.

use std::ops::Range;

use super::{EscapeChar, is_blank};

/// Words between blanks; quotes mean nothing.
pub(super) fn between_blanks(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        match (start, is_blank(c)) {
            (None, false) => start = Some(at),
            (Some(from), true) => {
                words.push(from..at);
                start = None;
            }
            (None, true) | (Some(_), false) => {}
        }
    }
    words.extend(start.map(|from| from..text.len()));
    words
}

/// Words between white space, where quotes and the escape character keep white space inside a
/// word. Quotes and escapes stay in the words.
pub(super) fn quoted(text: &str, escape: EscapeChar) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let Some(from) = start else {
            if !c.is_whitespace() {
                start = Some(at);
                quote = step(&mut chars, quote, c, escape);
            }
            continue;
        };
        if quote.is_none() && c.is_whitespace() {
            words.push(from..at);
            start = None;
        } else {
            quote = step(&mut chars, quote, c, escape);
        }
    }
    words.extend(start.map(|from| from..text.len()));
    words
}

/// The quote that is open after `c`; skips what `c` escapes.
fn step(
    chars: &mut std::str::CharIndices<'_>,
    quote: Option<char>,
    c: char,
    escape: EscapeChar,
) -> Option<char> {
    if c == escape.char() && quote != Some('\'') {
        chars.next();
        return quote;
    }
    match (quote, c) {
        (None, '\'' | '"') => Some(c),
        (Some(open), _) if open == c => None,
        (other, _) => other,
    }
}

/// A word without the escape character that ends it and escapes nothing.
pub(super) fn without_dangling_escape(word: &str, escape: EscapeChar) -> &str {
    let mut chars = word.chars();
    let mut quote = None;
    while let Some(c) = chars.next() {
        if c == escape.char() && quote != Some('\'') {
            if chars.next().is_none() {
                return &word[..word.len() - 1];
            }
            continue;
        }
        quote = match (quote, c) {
            (None, '\'' | '"') => Some(c),
            (Some(open), _) if open == c => None,
            (other, _) => other,
        };
    }
    word
}
