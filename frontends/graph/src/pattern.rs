//! Ignore patterns, as moby's patternmatcher defines them.
//!
//! Three kinds of questions: one path alone ([`Patterns::matches`]), one path with all directories
//! above it ([`Patterns::matches_or_parent`]), and a walk from the root down
//! ([`Patterns::visit`]), which also says whether an excluded directory needs to be entered.

mod compiled;

use thiserror::Error;

use crate::{glob::Glob, path};
use compiled::Compiled;

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("bad pattern {pattern:?}: {reason}")]
pub struct PatternError {
    /// The text.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A list of patterns in file order; the last one that matches decides.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    rules: Vec<Rule>,
    exceptions: Exceptions,
}

#[derive(Clone, Debug)]
struct Rule {
    /// `!pattern`: what it matches is in again.
    exception: bool,
    pattern: Compiled,
}

/// What is known of the exceptions, to decide whether an excluded directory must be entered.
#[derive(Clone, Debug, Default)]
enum Exceptions {
    #[default]
    None,
    /// All are plain paths (a trailing `/*` or `/**` aside): these, each with a slash at its end.
    Paths(Vec<String>),
    /// At least one may match anywhere.
    Anywhere,
}

/// What a walk knows about a directory, needed for its children.
#[derive(Clone, Debug, Default)]
pub struct WalkState(Option<Vec<bool>>);

/// What a walk is told about one path.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The path itself is left out.
    pub excluded: bool,
    /// Below it (if it is a directory) something may be in. Always `true` when it is not excluded.
    pub enter: bool,
    /// To be handed to the visits of its children.
    pub state: WalkState,
}

impl Patterns {
    /// Reads patterns; blank ones are skipped, each is cleaned as a path.
    pub fn new<T: AsRef<str>>(patterns: impl IntoIterator<Item = T>) -> Result<Self, PatternError> {
        let mut rules = Vec::new();
        let mut texts = Vec::new();
        for text in patterns {
            let trimmed = text.as_ref().trim();
            if trimmed.is_empty() {
                continue;
            }
            let error = |reason| PatternError { pattern: trimmed.to_owned(), reason };
            let cleaned = path::clean(trimmed);
            let (exception, text) = match cleaned.strip_prefix('!') {
                Some("") => return Err(error("an exclamation mark alone")),
                Some(rest) => (true, rest),
                None => (false, cleaned.as_str()),
            };
            let glob = Glob::new(text).map_err(|_| error("bracket or backslash without its end"))?;
            // An exception that nothing stands before can change nothing, and is not looked at.
            let idle = exception && rules.iter().all(|rule: &Rule| rule.exception);
            if glob.has_backward_range() && !idle {
                return Err(error("a range that runs backwards"));
            }
            rules.push(Rule { exception, pattern: Compiled::new(text) });
            if exception {
                texts.push(text.to_owned());
            }
        }
        Ok(Self { rules, exceptions: Exceptions::of(&texts) })
    }

    /// Whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether any pattern begins with `!`.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.exception)
    }

    /// Whether the path itself is matched; directories above it do not count.
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        let path = path.as_ref();
        self.decide(|rule| rule.pattern.matches(path))
    }

    /// Whether the path, or a directory above it, is matched. The path is relative and clean; a
    /// trailing slash makes the path count as a directory above itself.
    pub fn matches_or_parent(&self, path: impl AsRef<[u8]>) -> bool {
        let path = path.as_ref();
        self.decide(|rule| rule.pattern.matches_or_parent(path))
    }

    fn decide(&self, matches: impl Fn(&Rule) -> bool) -> bool {
        let mut excluded = false;
        for rule in &self.rules {
            // A rule that could not change the verdict is not evaluated.
            if rule.exception == excluded && matches(rule) {
                excluded = !rule.exception;
            }
        }
        excluded
    }

    /// One step of a walk: the verdict on `path` (relative to the root, clean), given what the walk
    /// knows about its parent. The children of the root get `WalkState::default()`.
    pub fn visit(&self, parent: &WalkState, path: impl AsRef<[u8]>) -> Visit {
        let path = path.as_ref();
        let mut excluded = false;
        let mut state = Vec::with_capacity(self.rules.len());
        for (position, rule) in self.rules.iter().enumerate() {
            let mut matched = parent.0.as_ref().is_some_and(|parent| parent[position]);
            if !matched && rule.exception == excluded {
                matched = match parent.0 {
                    Some(_) => rule.pattern.matches(path),
                    None => rule.pattern.matches_or_parent(path),
                };
            }
            if matched {
                excluded = !rule.exception;
            }
            state.push(matched);
        }
        Visit { excluded, enter: !excluded || self.exceptions.reach(path), state: WalkState(Some(state)) }
    }
}

impl Exceptions {
    fn of(texts: &[String]) -> Self {
        if texts.is_empty() {
            return Self::None;
        }
        let paths: Vec<&str> = texts.iter().map(|text| without_trailing_glob(text)).collect();
        if paths.iter().any(|path| path.contains(['*', '?', '[', '^', '\\'])) {
            return Self::Anywhere;
        }
        Self::Paths(paths.into_iter().map(|path| format!("{path}/")).collect())
    }

    /// Whether one of them can match below the directory.
    fn reach(&self, directory: &[u8]) -> bool {
        match self {
            Self::None => false,
            Self::Anywhere => true,
            Self::Paths(paths) => paths.iter().any(|path| {
                let path = path.as_bytes();
                path.len() > directory.len() && path.starts_with(directory) && path[directory.len()] == b'/'
            }),
        }
    }
}

fn without_trailing_glob(pattern: &str) -> &str {
    pattern.strip_suffix("/**").or_else(|| pattern.strip_suffix("/*")).unwrap_or(pattern)
}

/// The patterns of an ignore file, in order, cleaned: a byte order mark is dropped, `#` in the first
/// column makes a comment, blanks around and a leading slash go.
pub fn parse_ignore_file(text: &[u8]) -> Vec<String> {
    parse_ignore_lines(text).into_iter().map(|(_, pattern)| pattern).collect()
}

/// The same, each with the number of its line, from 1.
pub fn parse_ignore_lines(text: &[u8]) -> Vec<(usize, String)> {
    let text = String::from_utf8_lossy(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text));
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    lines.filter_map(|(position, line)| Some((position + 1, ignore_line(line)?))).collect()
}

fn ignore_line(line: &str) -> Option<String> {
    let line = line.trim();
    let (mark, pattern) = match line.strip_prefix('!') {
        Some(rest) => ("!", rest.trim()),
        None => ("", line),
    };
    if pattern.is_empty() {
        return (!mark.is_empty()).then(|| mark.to_owned());
    }
    let cleaned = path::clean(pattern);
    let rootless = if cleaned.len() > 1 { cleaned.strip_prefix('/').unwrap_or(&cleaned) } else { &cleaned };
    Some(format!("{mark}{rootless}"))
}
