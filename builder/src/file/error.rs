//! What can go wrong while file actions run.

use std::fmt;
use std::io;
use std::path::PathBuf;

use graph::PatternError;
use layer_store::StoreError;
use thiserror::Error;

use crate::context::{ContextError, Hides, HidingRule};
use crate::error::{Categorised, Category};

/// A file action cannot be done. Paths are those of the build: absolute in the tree they belong to,
/// never paths of the host.
#[derive(Debug, Error)]
pub enum FileError {
    /// The context.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An exclude pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A source does not exist.
    #[error("{path} not found in {place}{}", hint(.hidden_by.as_ref(), .dead_link.as_ref(), .similar))]
    NotFound {
        /// What was asked for.
        path: String,
        /// Where.
        place: Place,
        /// The ignore rule that hides it.
        hidden_by: Option<HidingRule>,
        /// A link on the way that leads to nothing there, and its text.
        dead_link: Option<(String, String)>,
        /// What is there and has a similar name.
        similar: Vec<String>,
    },
    /// A directory would have to replace something else.
    #[error(
        "cannot copy the directory {source_path} onto {dest}, which is {what} there (copy into the directory it stands for instead, or remove it first)"
    )]
    NotADirectory {
        /// The directory.
        source_path: String,
        /// What is in its place.
        dest: String,
        /// Its kind.
        what: &'static str,
    },
    /// A file would have to replace a directory.
    #[error("cannot copy the file {source_path} onto {dest}, which is a directory there")]
    IsADirectory {
        /// The file.
        source_path: String,
        /// The directory in its place.
        dest: String,
    },
    /// A destination leads through something that is no directory.
    #[error("{path} is not a directory")]
    PathThroughFile {
        /// What it leads through.
        path: String,
    },
    /// A destination's directory is missing and not to be made.
    #[error("the directory {path} does not exist")]
    NoParent {
        /// The directory.
        path: String,
    },
    /// Links that lead in a circle.
    #[error("too many symbolic links in {path}")]
    Links {
        /// Where it began.
        path: String,
    },
    /// A name that would mean a deletion in a layer.
    #[error("{path}: names that begin with .wh. mean deletions in image layers and cannot be files")]
    Whiteout {
        /// The name's path.
        path: String,
    },
    /// A user or group that the tree does not know.
    #[error("{what} {name:?} is not in {file} of the image that is built")]
    UnknownName {
        /// `user` or `group`.
        what: &'static str,
        /// The name.
        name: String,
        /// Where it was looked for.
        file: &'static str,
    },
    /// A user file that cannot be used.
    #[error("{file} of the image that is built {reason}")]
    UserFile {
        /// Which.
        file: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A symbolic mode.
    #[error("mode {0:?} cannot be read")]
    Mode(String),
    /// A pattern in a source.
    #[error("pattern {0:?} cannot be read")]
    Glob(String),
    /// An archive that began well.
    #[error("archive {path}: {reason}")]
    Archive {
        /// The archive's path in its input.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Reading a file of an input.
    #[error("{path}: {source}")]
    Read {
        /// The file's path in its input.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The graph names an input that it does not have.
    #[error("the step has no input {0}")]
    NoInput(usize),
}

impl Categorised for FileError {
    fn category(&self) -> Category {
        match self {
            Self::Context(error) => error.category(),
            Self::Store(_) | Self::Read { .. } => Category::Local,
            Self::Pattern(_) | Self::Mode(_) | Self::Glob(_) => Category::Usage,
            Self::NotFound { .. }
            | Self::NotADirectory { .. }
            | Self::IsADirectory { .. }
            | Self::PathThroughFile { .. }
            | Self::NoParent { .. }
            | Self::Links { .. }
            | Self::Whiteout { .. }
            | Self::UnknownName { .. }
            | Self::UserFile { .. }
            | Self::Archive { .. }
            | Self::NoInput(_) => Category::Step,
        }
    }
}

/// Where a source is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory of the caller.
    Context,
    /// A stage or an image.
    Snapshot,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Context => "the build context",
            Self::Snapshot => "the file system that is copied from",
        })
    }
}

fn hint(hidden_by: Option<&HidingRule>, dead_link: Option<&(String, String)>, similar: &[String]) -> String {
    match (hidden_by, dead_link, similar) {
        (Some(rule), _, _) => {
            let place = rule.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
            let text = &rule.text;
            match rule.hides {
                Hides::Something => format!(": it is left out by the ignore rule {text:?}{place}"),
                Hides::Nothing => {
                    format!(", and the ignore rule {text:?}{place} would leave it out if it were")
                }
            }
        }
        (None, Some((link, target)), _) => {
            format!(": {link} is a symbolic link to {target}, which is not there either")
        }
        (None, None, []) => String::new(),
        (None, None, names) => format!("; there is {}", names.join(", ")),
    }
}

/// A path of a tree, as messages show it.
pub(super) fn shown(path: &std::path::Path) -> String {
    format!("/{}", PathBuf::from(path).display())
}
