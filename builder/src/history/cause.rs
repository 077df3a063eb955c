//! First causes, and how they are told.

use std::fmt;

/// Why a step was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There is no earlier build to compare with.
    FirstBuild,
    /// An option keeps it from being found.
    NoCache,
    /// What it fetches has no checksum.
    Unpinned,
    /// Its key is known, but the last build did not finish it.
    Unfinished,
    /// Its key is known, but its result is no longer kept, or was made from other results.
    Gone,
    /// The instruction is new.
    New { line: usize, text: String },
    /// An instruction was taken out.
    Removed { text: String },
    /// An instruction is another one.
    Instruction { line: usize, old: String, new: String },
    /// A build argument has another value.
    Argument { name: String, old: Option<String>, new: Option<String> },
    /// An option has another value.
    Flag { name: String, old: Option<String>, new: Option<String> },
    /// The base image moved.
    Base { name: String, old: String, new: String },
    /// What is fetched is another version.
    Fetched { name: String },
    /// A file that the step reads.
    File { context: String, path: String, change: Change, others: usize },
    /// An ignore rule lets a file in or keeps it out.
    Ignore { rule: String, path: String, removed: bool },
    /// The files were checked out under another umask.
    Umask { path: String, old: u32, new: u32, others: usize },
    /// A part of the key that belongs to nothing above.
    Part { names: Vec<String> },
}

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has other content, another target, or other attributes.
    Content,
    /// It has other permission bits.
    Mode { old: u32, new: u32 },
    /// It is of another type.
    Type,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::FirstBuild => f.write_str("no earlier build to compare with"),
            Why::NoCache => f.write_str("the flag --no-cache or --no-cache-filter keeps it from being found"),
            Why::Unpinned => f.write_str("it is fetched without a checksum, so every build asks again"),
            Why::Unfinished => f.write_str("the last build did not finish this step"),
            Why::Gone => f.write_str("its earlier result is not kept any more, or its inputs were made anew"),
            Why::New { line, text } => write!(f, "instruction added, line {line}: {}", short(text)),
            Why::Removed { text } => write!(f, "instruction removed: {}", short(text)),
            Why::Instruction { line, old, new } => {
                write!(f, "instruction changed, line {line}: {} (was: {})", short(new), short(old))
            }
            Why::Argument { name, old, new } => {
                write!(f, "build argument {name} changed: {} (was: {})", value(new), value(old))
            }
            Why::Flag { name, old, new } => {
                write!(f, "flag --{name} changed: {} (was: {})", value(new), value(old))
            }
            Why::Base { name, old, new } => write!(f, "base image {name} moved: {new} (was: {old})"),
            Why::Fetched { name } => write!(f, "another version of {name}"),
            Why::File { context, path, change, others } => {
                write!(f, "file {path}{} {change}{}", of(context), more(*others))
            }
            Why::Ignore { rule, path, removed } => {
                let did = if *removed { "removed" } else { "added" };
                write!(f, "ignore rule {rule:?} {did}: it decides on {path}")
            }
            Why::Umask { path, old, new, others } => write!(
                f,
                "another umask: file {path} changed its mode from {old:04o} to {new:04o}{}; \
                 --context-metadata=git makes keys independent of it",
                more(*others)
            ),
            Why::Part { names } => write!(f, "changed: {}", names.join(", ")),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added => f.write_str("was added"),
            Change::Removed => f.write_str("was removed"),
            Change::Content => f.write_str("has other content"),
            Change::Mode { old, new } => write!(f, "changed its mode from {old:04o} to {new:04o}"),
            Change::Type => f.write_str("is of another type"),
        }
    }
}

fn of(context: &str) -> String {
    if context.is_empty() { String::new() } else { format!(" of context {context}") }
}

fn more(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" (and {others} more)") }
}

fn value(value: &Option<String>) -> String {
    value.as_deref().map_or_else(|| "not given".to_owned(), |text| format!("{:?}", short(text)))
}

/// The first line, cut to what fits a line of a log.
fn short(text: &str) -> String {
    const WIDTH: usize = 100;
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let cut: String = first.chars().take(WIDTH).collect();
    let whole = cut.len() == first.len() && lines.next().is_none();
    if whole { cut } else { format!("{cut}…") }
}
