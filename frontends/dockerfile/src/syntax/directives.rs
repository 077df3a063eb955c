//! The comment lines at the very start that say something about the file: `# syntax=`,
//! `# escape=`, `# check=`.

use graph::{Diagnostic, Span};

use super::lines::{Lines, PhysicalLine};
use super::{EscapeChar, Spanned};

/// What the directives say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// The frontend that the file asks for, up to the first blank. It may also come after a `#!`
    /// line, as `// syntax=`, or as a member of a JSON document.
    pub syntax: Option<Spanned<String>>,
    /// The escape character.
    pub escape: EscapeChar,
    /// What `# check=` says, uninterpreted.
    pub check: Option<Spanned<String>>,
}

impl Directives {
    /// Takes one line. `Ok(true)`: it was a directive. After the first `Ok(false)` there are none.
    pub(super) fn take(&mut self, seen: &mut Seen, line: &PhysicalLine<'_>) -> Result<bool, Diagnostic> {
        if seen.over {
            return Ok(false);
        }
        let Some((key, value)) = directive(line, "#") else {
            seen.over = true;
            return Ok(false);
        };
        if std::mem::replace(seen.flag(key), true) {
            let message = format!("only one {} parser directive can be used", key.name());
            return Err(Diagnostic::error(message, line.span()));
        }
        match key {
            Key::Syntax => self.syntax = Some(first_word(value)),
            Key::Check => self.check = Some(value),
            Key::Escape => self.escape = escape_char(&value)?,
        }
        Ok(true)
    }
}

/// Which directives there were.
#[derive(Debug, Default)]
pub(super) struct Seen {
    over: bool,
    syntax: bool,
    escape: bool,
    check: bool,
}

impl Seen {
    fn flag(&mut self, key: Key) -> &mut bool {
        match key {
            Key::Syntax => &mut self.syntax,
            Key::Escape => &mut self.escape,
            Key::Check => &mut self.check,
        }
    }
}

#[derive(Clone, Copy)]
enum Key {
    Syntax,
    Escape,
    Check,
}

impl Key {
    fn parse(name: &str) -> Option<Self> {
        [Self::Syntax, Self::Escape, Self::Check]
            .into_iter()
            .find(|key| key.name().eq_ignore_ascii_case(name))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Escape => "escape",
            Self::Check => "check",
        }
    }
}

/// Reads `<mark> key = value`.
fn directive(line: &PhysicalLine<'_>, mark: &str) -> Option<(Key, Spanned<String>)> {
    let (start, text) = line.trimmed();
    let text = std::str::from_utf8(text).ok()?;
    let (name, value) = text.strip_prefix(mark)?.split_once('=')?;
    let key = Key::parse(name.trim())?;
    let value_start = start + text.len() - value.trim_start().len();
    let value = value.trim();
    if value.is_empty() {
        return None;
    }
    let span = Span { start: value_start, end: value_start + value.len() };
    Some((key, Spanned::new(value.to_owned(), span)))
}

fn first_word(value: Spanned<String>) -> Spanned<String> {
    let word = value.value.split(' ').next().unwrap_or_default().to_owned();
    let span = Span { start: value.span.start, end: value.span.start + word.len() };
    Spanned::new(word, span)
}

fn escape_char(value: &Spanned<String>) -> Result<EscapeChar, Diagnostic> {
    match value.value.as_str() {
        "\\" => Ok(EscapeChar::Backslash),
        "`" => Ok(EscapeChar::Backtick),
        other => {
            let message = format!("invalid escape token '{other}' does not match ` or \\");
            Err(Diagnostic::error(message, value.span))
        }
    }
}

/// Finds the syntax that a file asks for, whether the rest of it is a Dockerfile or not: in a
/// comment at its start or after a `#!` line, in a `//` comment, or in a JSON document.
pub fn detect_syntax(file: &[u8]) -> Option<Spanned<String>> {
    let mut lines = Lines::new(file);
    let mut after_shebang = lines.clone();
    if after_shebang.next().is_some_and(|line| line.bytes.starts_with(b"#!")) {
        lines = after_shebang;
    }
    let rest = &file[lines.offset()..];
    ["#", "//"]
        .into_iter()
        .find_map(|mark| leading_syntax(lines.clone(), mark))
        .or_else(|| json_syntax(file, rest))
}

fn leading_syntax(lines: Lines<'_>, mark: &str) -> Option<Spanned<String>> {
    for line in lines {
        let (key, value) = directive(&line, mark)?;
        match key {
            Key::Syntax => return Some(first_word(value)),
            Key::Escape | Key::Check => {}
        }
    }
    None
}

fn json_syntax(file: &[u8], document: &[u8]) -> Option<Spanned<String>> {
    let document: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(document).ok()?;
    let syntax = document.get("syntax")?.as_str()?.to_owned();
    Some(Spanned::new(syntax, Span { start: 0, end: file.len() }))
}
