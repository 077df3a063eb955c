//! Physical lines, and logical lines put together from them.

use graph::Span;

use super::EscapeChar;

/// A line of the file, with its line end.
#[derive(Clone, Copy, Debug)]
pub(super) struct PhysicalLine<'a> {
    /// Offset of the first byte in the file.
    pub start: usize,
    /// The bytes, line end included.
    pub bytes: &'a [u8],
}

impl<'a> PhysicalLine<'a> {
    /// Without the line end. Every trailing CR goes, as BuildKit does it.
    pub fn body(&self) -> &'a [u8] {
        let mut body = self.bytes;
        while let [rest @ .., b'\r' | b'\n'] = body {
            body = rest;
        }
        body
    }

    /// The span without the line end.
    pub fn span(&self) -> Span {
        Span { start: self.start, end: self.start + self.body().len() }
    }

    /// The text without line end and leading white space, and the offset of its first byte.
    pub fn trimmed(&self) -> (usize, &'a [u8]) {
        let body = self.body();
        let text = body.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let blanks = text.len() - text.trim_start().len();
        (self.start + blanks, &body[blanks..])
    }

    /// Whether the first visible character is `#`.
    pub fn is_comment(&self) -> bool {
        self.trimmed().1.first() == Some(&b'#')
    }

    /// Whether nothing visible is on it.
    pub fn is_empty(&self) -> bool {
        self.trimmed().1.is_empty()
    }
}

/// The lines of a file, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Lines<'a> {
    file: &'a [u8],
    at: usize,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<'a> Lines<'a> {
    /// From the start of the file; a byte order mark is skipped.
    pub fn new(file: &'a [u8]) -> Self {
        let at = if file.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Self { file, at }
    }

    /// Offset of the next line.
    pub fn offset(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = PhysicalLine<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.file.get(self.at..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |end| end + 1);
        let line = PhysicalLine { start: self.at, bytes: &rest[..length] };
        self.at += length;
        Some(line)
    }
}

/// A line with its continuations, and where each part of it came from.
#[derive(Clone, Debug, Default)]
pub(super) struct LogicalLine {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    /// Offset in the text.
    at: usize,
    /// Where that came from.
    source: Span,
}

impl LogicalLine {
    /// Adds bytes that start at an offset of the file. What is not UTF-8 is replaced.
    pub fn push(&mut self, start: usize, bytes: &[u8]) {
        self.parts.push(Part { at: self.text.len(), source: Span { start, end: start + bytes.len() } });
        self.text.push_str(&String::from_utf8_lossy(bytes));
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of the file that a range of the text came from.
    pub fn span(&self, start: usize, end: usize) -> Span {
        let first = self.source_of(start, false);
        let last = if end > start { self.source_of(end, true) } else { first };
        Span { start: first, end: last.max(first) }
    }

    /// `closing`: of two parts that meet at `at`, the earlier.
    fn source_of(&self, at: usize, closing: bool) -> usize {
        let before = self.parts.partition_point(|part| if closing { part.at < at } else { part.at <= at });
        let found = before.checked_sub(1).and_then(|last| self.parts.get(last));
        match found.or(self.parts.first()) {
            Some(part) => (part.source.start + at.saturating_sub(part.at)).min(part.source.end),
            None => 0,
        }
    }
}

/// Cuts a continuation off: the text before it, or `None` if the line ends here.
///
/// The escape character must be the last visible one (blanks and tabs may follow) and must not
/// follow another.
pub(super) fn continued(line: &[u8], escape: EscapeChar) -> Option<&[u8]> {
    let mut visible = line;
    while let [rest @ .., b' ' | b'\t'] = visible {
        visible = rest;
    }
    let (last, before) = visible.split_last()?;
    let escape = escape.char() as u8;
    (*last == escape && before.last() != Some(&escape)).then_some(before)
}
