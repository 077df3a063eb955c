//! The JSON form of operands: an array of strings.

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
    let Ok(members) = serde_json::from_str::<Vec<serde_json::Value>>(operand.trim()) else {
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
