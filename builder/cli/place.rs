//! Spans as lines and columns, and excerpts of lines.

use std::fmt::Write;

use graph::Span;
use serde_json::{Value, json};

use crate::report::BuildFile;

/// Lines shown around what is marked.
const AROUND: usize = 2;

/// A place in a text; lines from 1, columns in characters from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub first: (usize, usize),
    pub last: (usize, usize),
}

/// Where a span is. `None`: not in the text.
pub fn place(span: Span, file: &BuildFile) -> Option<Place> {
    let text = file.text.as_deref()?;
    let marked = text.get(span.start..span.end)?.trim_end();
    let position = |at: usize| {
        let before = &text[..at];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (1 + before.matches('\n').count(), before[start..].chars().count())
    };
    Some(Place { first: position(span.start), last: position(span.start + marked.len()) })
}

/// The whole text, as BuildKit's answers carry it.
pub fn base64_text(file: &BuildFile) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(file.text.as_deref().unwrap_or_default())
}

/// As BuildKit's API has it. Whole lines where a remark is about instructions.
pub fn json_location(span: Option<Span>, file: &BuildFile) -> Value {
    let range = |place: Place| {
        json!({
            "start": {"line": place.first.0, "character": place.first.1},
            "end": {"line": place.last.0, "character": place.last.1},
        })
    };
    let ranges: Vec<Value> = span.and_then(|span| place(span, file)).map(range).into_iter().collect();
    json!({ "ranges": ranges })
}

/// The marked lines with some around them.
pub fn excerpt(span: Span, file: &BuildFile) -> String {
    let (Some(place), Some(text)) = (place(span, file), file.text.as_deref()) else { return String::new() };
    let lines: Vec<&str> = text.lines().collect();
    let from = place.first.0.saturating_sub(1 + AROUND);
    let to = (place.last.0 + AROUND).min(lines.len());
    let rule = "-".repeat(20);
    let mut out = format!("{}:{}\n{rule}\n", file.name, place.first.0);
    for (offset, line) in lines[from.min(to)..to].iter().enumerate() {
        let number = from + offset + 1;
        let mark = if (place.first.0..=place.last.0).contains(&number) { ">>>" } else { "   " };
        let shown = crate::progress::printable(line.as_bytes());
        let _ = writeln!(out, "{}", format!("{number:4} | {mark} {shown}").trim_end());
    }
    out + &rule + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> BuildFile {
        BuildFile { name: "Dockerfile".to_owned(), text: Some(text.to_owned()) }
    }

    #[test]
    fn places() {
        let file = file("FROM a\nRUN é \\\n  b\n");
        assert_eq!(place(Span { start: 0, end: 6 }, &file), Some(Place { first: (1, 0), last: (1, 6) }));
        assert_eq!(place(Span { start: 7, end: 20 }, &file), Some(Place { first: (2, 0), last: (3, 3) }));
        assert_eq!(place(Span { start: 7, end: 99 }, &file), None);
    }

    #[test]
    fn excerpts() {
        let text = "FROM a\nRUN b\nCMD c\nUSER d\nLABEL e=f\n";
        let shown = excerpt(Span { start: 13, end: 18 }, &file(text));
        let rule = "-".repeat(20);
        let expected = format!(
            "Dockerfile:3\n{rule}\n   1 |     FROM a\n   2 |     RUN b\n   3 | >>> CMD c\n   4 |     USER d\n   5 |     LABEL e=f\n{rule}\n"
        );
        assert_eq!(shown, expected);
    }
}
