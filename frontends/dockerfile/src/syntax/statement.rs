//! Statements: keyword, flags, operands and heredocs of an instruction, still without a meaning.

use graph::{Diagnostic, Span};

use super::directives::{Directives, Seen, detect_syntax};
use super::heredoc::{self, Heredoc};
use super::lines::{Lines, LogicalLine, PhysicalLine, continued};
use super::operands::{self, Operands, Part};
use super::{EscapeChar, Spanned, Word, flags, is_blank};
use crate::instruction::Keyword;

/// One instruction as the text has it.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// All of it.
    pub span: Span,
    /// The keyword as written, known or not.
    pub keyword: Spanned<String>,
    /// The instruction, if there is one of that name.
    pub instruction: Option<Keyword>,
    /// `--name` and `--name=value`, quotes removed.
    pub flags: Vec<Word>,
    /// What follows.
    pub operands: Operands,
    /// The text and place of the operands.
    pub rest: Word,
    /// Bodies that follow the line.
    pub heredocs: Vec<Heredoc>,
    /// Comment lines above.
    pub comments: Vec<String>,
    /// The joined line.
    pub original: String,
}

impl Statement {
    /// An `ONBUILD` within another one, of which nothing counts but that it is there.
    pub(super) fn chained(keyword: Word, part: &Part<'_>) -> Self {
        let span = part.line.span(part.at.start, part.at.end);
        Self {
            span,
            instruction: Some(Keyword::OnBuild),
            flags: Vec::new(),
            operands: Operands::Absent,
            rest: Spanned::new(String::new(), span),
            heredocs: Vec::new(),
            comments: Vec::new(),
            original: part.text().to_owned(),
            keyword,
        }
    }

    /// The statement that may have heredocs: this one, or the one inside `ONBUILD`.
    fn heredoc_holder(&self) -> Option<&Self> {
        if let Operands::Inner(inner) = &self.operands {
            return inner.heredoc_holder();
        }
        let able = matches!(self.instruction, Some(Keyword::Add | Keyword::Copy | Keyword::Run));
        (able && !matches!(self.operands, Operands::Json(_))).then_some(self)
    }

    fn attach(&mut self, heredocs: Vec<Heredoc>, end: Option<usize>) {
        self.span.end = end.unwrap_or(self.span.end);
        if let Operands::Inner(inner) = &mut self.operands {
            inner.attach(heredocs.clone(), end);
        }
        self.heredocs = heredocs;
    }
}

/// A file as far as it could be read.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub directives: Directives,
    pub statements: Vec<Statement>,
    pub warnings: Vec<Diagnostic>,
    /// Why reading ended before the end of the file.
    pub failure: Option<Diagnostic>,
}

/// Reads a whole file.
pub(crate) fn read_file(file: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    parsed.failure = read_statements(file, &mut parsed).err();
    if parsed.directives.syntax.is_none() {
        parsed.directives.syntax = detect_syntax(file);
    }
    parsed
}

/// Reads one statement, with its heredocs, from text that is not a file.
pub(crate) fn read_one(text: &str, escape: EscapeChar) -> Result<Statement, Diagnostic> {
    let mut lines = Lines::new(text.as_bytes());
    let mut warnings = Vec::new();
    let line = lines.next().unwrap_or(PhysicalLine { start: 0, bytes: b"" });
    read_statement(&line, &mut lines, escape, Vec::new(), &mut warnings)
}

fn read_statements(file: &[u8], parsed: &mut Parsed) -> Result<(), Diagnostic> {
    let mut lines = Lines::new(file);
    let mut seen = Seen::default();
    let mut comments = Vec::new();
    while let Some(line) = lines.next() {
        if parsed.directives.take(&mut seen, &line)? {
            continue;
        }
        if line.is_comment() {
            note_comment(&line, &mut comments);
        } else if !line.is_empty() {
            let comments = std::mem::take(&mut comments);
            let escape = parsed.directives.escape;
            let statement = read_statement(&line, &mut lines, escape, comments, &mut parsed.warnings)?;
            parsed.statements.push(statement);
        }
    }
    Ok(())
}

/// An empty comment separates what is above from the instruction below.
fn note_comment(line: &PhysicalLine<'_>, comments: &mut Vec<String>) {
    let text = String::from_utf8_lossy(line.trimmed().1);
    match text.get(1..).unwrap_or_default().trim() {
        "" => comments.clear(),
        comment => comments.push(comment.to_owned()),
    }
}

fn read_statement(
    first: &PhysicalLine<'_>,
    lines: &mut Lines<'_>,
    escape: EscapeChar,
    comments: Vec<String>,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Statement, Diagnostic> {
    let (line, end, empty) = join(first, lines, escape);
    if let Some(empty) = empty {
        let message = "Empty continuation line";
        let warning = Diagnostic::warning("NoEmptyContinuation", message, empty);
        warnings.push(warning.with_help("remove the empty line above, or put a # on it"));
    }
    let part = Part { line: &line, at: 0..line.text().len() }.tail(0);
    let mut statement = from_part(&part, escape, comments)?;
    statement.span.end = statement.span.end.max(end);
    if statement.heredoc_holder().is_some() && line.text().contains("<<") {
        let whole = statement.span;
        let announced =
            heredoc::announced(line.text()).map_err(|error| Diagnostic::error(error.to_string(), whole))?;
        let (heredocs, end) = heredoc::read_bodies(announced, &line, lines).map_err(|(word, span)| {
            let help = format!("no line up to the end of the file consists of {:?} alone", word.name);
            Diagnostic::error("unterminated heredoc", span).with_help(help)
        })?;
        statement.attach(heredocs, end);
    }
    Ok(statement)
}

/// Joins a line with its continuations: the line, the end of its last part, and, if there are empty lines
/// among them, the last line of all, which BuildKit's remark names.
fn join(
    first: &PhysicalLine<'_>,
    lines: &mut Lines<'_>,
    escape: EscapeChar,
) -> (LogicalLine, usize, Option<Span>) {
    let mut joined = LogicalLine::default();
    let (start, text) = first.trimmed();
    let mut open = add(&mut joined, start, text, escape);
    let mut end = first.span().end;
    let mut last = first.span();
    let mut any_empty = false;
    while open && let Some(line) = lines.next() {
        last = line.span();
        if line.is_comment() {
            continue;
        }
        if line.is_empty() {
            any_empty = true;
            continue;
        }
        open = add(&mut joined, line.start, line.body(), escape);
        end = line.span().end;
    }
    (joined, end, any_empty.then_some(last))
}

/// Adds a physical line; whether another one continues it.
fn add(joined: &mut LogicalLine, start: usize, text: &[u8], escape: EscapeChar) -> bool {
    let before = continued(text, escape);
    joined.push(start, before.unwrap_or(text));
    before.is_some()
}

/// Takes a statement out of a line, or out of the part of it after `ONBUILD`.
pub(super) fn from_part(
    part: &Part<'_>,
    escape: EscapeChar,
    comments: Vec<String>,
) -> Result<Statement, Diagnostic> {
    let text = part.text();
    let spanned = |text: &str, from: usize, to: usize| {
        Spanned::new(text.to_owned(), part.line.span(part.at.start + from, part.at.start + to))
    };
    let border = text.find(is_blank).unwrap_or(text.len());
    let keyword = spanned(&text[..border], 0, border);
    let instruction = Keyword::parse(&keyword.value);
    let (raw, rest) = flags::cut(&text[border..], escape);
    let flags = raw.iter().map(|f| spanned(&f.text, border + f.place.start, border + f.place.end)).collect();
    let rest = part.tail(border + rest);
    Ok(Statement {
        span: part.line.span(part.at.start, part.at.end),
        instruction,
        flags,
        operands: operands::read(instruction, &rest, escape)?,
        rest: Spanned::new(rest.text().to_owned(), rest.line.span(rest.at.start, rest.at.end)),
        heredocs: Vec::new(),
        comments,
        original: part.line.text()[part.at.start..].to_owned(),
        keyword,
    })
}
