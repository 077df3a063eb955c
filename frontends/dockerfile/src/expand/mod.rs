//! Expansion of words: quotes, escapes and variables.
//!
//! A word is expanded once, with the values in scope where it stands; the result is never looked
//! at again. Names without a value expand to nothing and are reported beside the result.

use std::collections::BTreeSet;
use std::ops::Range;

use thiserror::Error;

use crate::syntax::EscapeChar;

mod lexer;
mod pattern;
mod substitution;

/// The values in scope.
pub type Values<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A word after expansion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The result.
    pub text: String,
    /// Names that were used and have a value.
    pub matched: BTreeSet<String>,
    /// Names that were used and have none.
    pub unmatched: BTreeSet<String>,
}

/// Text after expansion and splitting at white space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpandedWords {
    /// The words; quoted white space does not split.
    pub words: Vec<String>,
    /// Names that were used and have a value.
    pub matched: BTreeSet<String>,
    /// Names that were used and have none.
    pub unmatched: BTreeSet<String>,
}

/// A word that cannot be expanded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("failed to process {word:?}: {fault}")]
pub struct ExpandError {
    /// The word as written.
    pub word: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with a word.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// `'` without its partner.
    #[error("unexpected end of statement while looking for matching single-quote")]
    SingleQuote,
    /// `"` without its partner.
    #[error("unexpected end of statement while looking for matching double-quote")]
    DoubleQuote,
    /// `${` without its partner.
    #[error("syntax error: missing '}}'")]
    MissingBrace,
    /// `${name/pattern` without a second slash.
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash,
    /// `${}`, `${:x}`, `${{x}}`.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// What follows the name is no known operation.
    #[error("unsupported modifier ({0}) in substitution")]
    Modifier(String),
    /// A backslash in a pattern before a character that needs none.
    #[error("invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What follows the backslash; empty at the end.
        escaped: String,
    },
    /// `${name:?message}` without a value.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message, given or usual.
        message: String,
    },
    /// Substitutions inside substitutions without end.
    #[error("substitutions are nested more than {0} deep")]
    TooDeep(usize),
}

/// Expands a word: quotes and escapes are removed, variables replaced.
pub fn expand(word: &str, values: &Values<'_>, escape: EscapeChar) -> Result<Expanded, ExpandError> {
    lex(word, values, escape, Mode::default()).map(Lexed::into_expanded)
}

/// Expands text and splits the result into words (`EXPOSE`).
pub fn expand_words(
    text: &str,
    values: &Values<'_>,
    escape: EscapeChar,
) -> Result<ExpandedWords, ExpandError> {
    let Lexed { words, matched, unmatched, .. } = lex(text, values, escape, Mode::default())?;
    let words = words.into_iter().map(|word| word.text).collect();
    Ok(ExpandedWords { words, matched, unmatched })
}

/// Expands the body of a heredoc: quotes are characters like others, and the escape character is
/// always the backslash.
pub fn expand_heredoc(body: &str, values: &Values<'_>) -> Result<Expanded, ExpandError> {
    let mode = Mode { quotes: Quotes::Ordinary, ..Mode::default() };
    lex(body, values, EscapeChar::Backslash, mode).map(Lexed::into_expanded)
}

/// How to treat what is not plain text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mode {
    pub quotes: Quotes,
    pub escapes: Escapes,
    pub unset: Unset,
}

/// Quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// They quote and are removed.
    #[default]
    Remove,
    /// They quote and stay.
    Keep,
    /// They do not quote.
    Ordinary,
}

/// Escape characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// They escape and are removed.
    #[default]
    Remove,
    /// They escape and stay.
    Keep,
}

/// Variables without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unset {
    /// They expand to nothing.
    #[default]
    Empty,
    /// They stay as written.
    Keep,
}

/// Everything that lexing finds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lexed {
    pub text: String,
    pub words: Vec<LexedWord>,
    pub matched: BTreeSet<String>,
    pub unmatched: BTreeSet<String>,
}

impl Lexed {
    fn into_expanded(self) -> Expanded {
        Expanded { text: self.text, matched: self.matched, unmatched: self.unmatched }
    }
}

/// A word, and the bytes of the source that it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LexedWord {
    pub text: String,
    pub place: Range<usize>,
}

/// Expands and splits.
pub(crate) fn lex(
    text: &str,
    values: &Values<'_>,
    escape: EscapeChar,
    mode: Mode,
) -> Result<Lexed, ExpandError> {
    lexer::Lexer::new(text, values, escape.char(), mode)
        .finish()
        .map_err(|fault| ExpandError { word: text.to_owned(), fault })
}
