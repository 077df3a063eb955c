//! The flags of an instruction: words that start with `--`, before its operands.

use std::ops::Range;

use super::EscapeChar;

/// A flag with quotes and escapes removed, and its place.
pub(super) struct RawFlag {
    /// `--name` or `--name=value`.
    pub text: String,
    /// Where it is written, relative to the text that was cut.
    pub place: Range<usize>,
}

/// Cuts flags off: the flags, and where the operands begin.
pub(super) fn cut(text: &str, escape: EscapeChar) -> (Vec<RawFlag>, usize) {
    let mut flags = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        at += rest.len() - rest.trim_start().len();
        if !text[at..].starts_with("--") {
            return (flags, at);
        }
        let flag = read(text, at, escape);
        at = flag.place.end;
        if flag.text == "--" {
            return (flags, at);
        }
        flags.push(flag);
    }
}

fn read(text: &str, start: usize, escape: EscapeChar) -> RawFlag {
    let mut value = String::new();
    let mut quote = None;
    let mut chars = text[start..].char_indices();
    while let Some((at, c)) = chars.next() {
        if c == escape.char() {
            value.extend(chars.next().map(|(_, escaped)| escaped));
            continue;
        }
        match quote {
            Some(open) if open == c => quote = None,
            Some(_) => value.push(c),
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c.is_whitespace() => return RawFlag { text: value, place: start..start + at },
            None => value.push(c),
        }
    }
    RawFlag { text: value, place: start..text.len() }
}
