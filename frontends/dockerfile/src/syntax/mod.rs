//! The text of a Dockerfile: lines, directives, statements, words.
//!
//! Nothing here knows what an instruction means, except for which of them heredocs exist and how
//! the operands of each are cut into words.

use graph::Span;

mod directives;
mod flags;
mod heredoc;
mod json;
mod lines;
mod operands;
mod statement;
mod words;

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;

pub use directives::{Directives, detect_syntax};
pub use heredoc::Heredoc;
pub(crate) use heredoc::{is_open as is_open_heredoc, parse_heredoc, parted_name};
pub(crate) use operands::Operands;
pub(crate) use statement::{Statement, read_file, read_one};

/// A value and the bytes of the file it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place in the file.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value at a place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// A word as written: quotes, escapes and variables are still in it.
pub type Word = Spanned<String>;

/// The character that continues lines and escapes characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EscapeChar {
    /// `\`, unless a directive says otherwise.
    #[default]
    Backslash,
    /// `` ` ``, chosen by `# escape=` for the sake of Windows paths.
    Backtick,
}

impl EscapeChar {
    /// The character itself.
    pub fn char(self) -> char {
        match self {
            Self::Backslash => '\\',
            Self::Backtick => '`',
        }
    }
}

/// White space between words of one line. A line feed is none: it cannot be inside a line.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\x0b' | '\x0c' | '\r' | ' ')
}
