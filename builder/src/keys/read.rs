//! What an op reads of each of its inputs.

use graph::{Copy, FileAction, MountKind, Op};

/// A part of an input that an op reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// All of it.
    Whole,
    /// What a copy selects.
    Copy(Box<Copy>),
    /// One path with everything below it.
    Path(String),
}

impl Reading {
    /// A short name for people: the path that is read.
    pub(crate) fn name(&self) -> &str {
        match self {
            Reading::Whole => "/",
            Reading::Copy(copy) => &copy.source,
            Reading::Path(path) => path,
        }
    }
}

/// What `op` reads of the input at `position`, in the op's own order. Empty: nothing of it.
///
/// An op that reads all of an input is answered with that alone.
pub(crate) fn readings(op: &Op, position: usize) -> Vec<Reading> {
    let parts = match op {
        Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) => Vec::new(),
        Op::Merge | Op::Diff => vec![Reading::Whole],
        Op::File(_) | Op::Exec(_) if position == 0 => vec![Reading::Whole],
        Op::File(actions) => actions.iter().filter_map(|action| copied(action, position)).collect(),
        Op::Exec(exec) => exec.mounts.iter().filter_map(|mount| mounted(&mount.kind, position)).collect(),
    };
    if parts.contains(&Reading::Whole) { vec![Reading::Whole] } else { parts }
}

fn copied(action: &FileAction, position: usize) -> Option<Reading> {
    match action {
        FileAction::Copy(copy) if copy.input == position => Some(Reading::Copy(copy.clone())),
        FileAction::Copy(_) | FileAction::MkDir(_) | FileAction::MkFile(_) => None,
    }
}

fn mounted(kind: &MountKind, position: usize) -> Option<Reading> {
    match kind {
        MountKind::Bind { input, writable: true, .. } if *input == position => Some(Reading::Whole),
        MountKind::Bind { input, source, writable: false } if *input == position => {
            Some(Reading::Path(source.clone()))
        }
        MountKind::Cache { seed: Some(input), .. } if *input == position => Some(Reading::Whole),
        MountKind::Bind { .. }
        | MountKind::Cache { .. }
        | MountKind::Tmpfs { .. }
        | MountKind::Secret { .. }
        | MountKind::Ssh { .. } => None,
    }
}

/// The same of a local context, which has no whole: the paths of it that matter.
///
/// A writable bind of a context needs only the bound path, since nothing else of it is ever there.
pub(crate) fn local_readings(op: &Op, position: usize) -> Vec<Reading> {
    let parts = match op {
        Op::Exec(exec) => {
            exec.mounts.iter().filter_map(|mount| local_mounted(&mount.kind, position)).collect()
        }
        Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::Merge | Op::Diff | Op::File(_) => {
            readings(op, position)
        }
    };
    let root = || Reading::Path("/".to_owned());
    parts.into_iter().map(|part| if part == Reading::Whole { root() } else { part }).collect()
}

fn local_mounted(kind: &MountKind, position: usize) -> Option<Reading> {
    match kind {
        MountKind::Bind { input, source, .. } if *input == position => Some(Reading::Path(source.clone())),
        MountKind::Bind { .. }
        | MountKind::Cache { .. }
        | MountKind::Tmpfs { .. }
        | MountKind::Secret { .. }
        | MountKind::Ssh { .. } => mounted(kind, position),
    }
}
