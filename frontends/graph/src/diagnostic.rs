//! What can be said about the user's text.

use serde::{Deserialize, Serialize};

/// A range of bytes in the build file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Severity {
    /// The build goes on.
    Warning,
    /// The build cannot go on.
    Error,
}

/// One remark about the user's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Name of the rule (`StageNameCasing`), for remarks that a rule made.
    pub rule: Option<&'static str>,
    /// How bad it is.
    pub severity: Severity,
    /// One line, lower case, no full stop.
    pub message: String,
    /// Where, in the build file. `None` where the text is not in it (a flag, an ignore file).
    pub span: Option<Span>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self { rule: None, severity: Severity::Error, message: message.into(), span: span.into(), help: None }
    }

    /// A rule's warning at a place.
    pub fn warning(rule: &'static str, message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self {
            rule: Some(rule),
            severity: Severity::Warning,
            message: message.into(),
            span: span.into(),
            help: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
