//! The JSON form of operands: an array of strings.

use std::borrow::Cow;

use super::Spanned;
use graph::Span;

/// What an operand is.
pub(super) enum JsonForm {
    /// No JSON array; the text is to be read in its other form.
    Not,
    /// An array of strings, with the place of each within the operand.
    Strings(Vec<Spanned<String>>),
    /// An array with something that is no string.
    OtherMembers,
}

/// Reads an operand as JSON.
pub(super) fn parse(operand: &str) -> JsonForm {
    if !operand.trim_start().starts_with('[') {
        return JsonForm::Not;
    }
    let text = without_lone_surrogates(operand.trim());
    let Ok(members) = serde_json::from_str::<Vec<serde_json::Value>>(&text) else {
        return JsonForm::Not;
    };
    let mut places = literals(operand);
    let mut strings = Vec::with_capacity(members.len());
    for member in members {
        let serde_json::Value::String(text) = member else {
            return JsonForm::OtherMembers;
        };
        let span = places.next().unwrap_or(Span { start: 0, end: operand.len() });
        strings.push(Spanned::new(text, span));
    }
    JsonForm::Strings(strings)
}

/// Go reads half of a surrogate pair as U+FFFD, where others see an error.
fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok().filter(|unit| (0xd800..0xe000).contains(unit))
    };
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    while let Some(c) = text[at..].chars().next() {
        let length = match (unit(at), unit(at + 6)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            (Some(_), _) => {
                out.push_str("\\ufffd");
                at += 6;
                continue;
            }
            // What is escaped is not looked at.
            (None, _) if c == '\\' => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
            (None, _) => c.len_utf8(),
        };
        out.push_str(&text[at..at + length]);
        at += length;
    }
    Cow::Owned(out)
}

/// The places of the string literals in a valid array of strings.
fn literals(text: &str) -> impl Iterator<Item = Span> {
    let mut open = None;
    let mut escaped = false;
    text.bytes().enumerate().filter_map(move |(at, byte)| match (open, byte) {
        (None, b'"') => {
            open = Some(at);
            None
        }
        (None, _) => None,
        (Some(_), _) if escaped => {
            escaped = false;
            None
        }
        (Some(_), b'\\') => {
            escaped = true;
            None
        }
        (Some(start), b'"') => {
            open = None;
            Some(Span { start, end: at + 1 })
        }
        (Some(_), _) => None,
    })
}
