//! What a file offers to its callers: its targets, and the arguments, secrets and agents that a
//! target takes.

use graph::Span;

/// What one target takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Name of the target, if it has one.
    pub name: Option<String>,
    /// What the comment above its `FROM` says.
    pub description: Option<String>,
    /// Arguments that have an effect on it, in the order of the file.
    pub arguments: Vec<Argument>,
    /// Secrets, in the order of the file.
    pub secrets: Vec<Taken>,
    /// ssh agents, in the order of the file.
    pub agents: Vec<Taken>,
    /// Cache mounts, in the order of the file.
    pub caches: Vec<Taken>,
}

/// A build argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What the comment above it says.
    pub description: Option<String>,
    /// The value that it has in this build.
    pub value: Option<String>,
    /// Its declaration.
    pub span: Span,
}

/// Something that the caller gives to a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its id.
    pub id: String,
    /// Whether a step fails without it.
    pub required: bool,
    /// The instruction that takes it.
    pub span: Span,
}

/// A stage as a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetInfo {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// It is built when no target is named.
    pub is_default: bool,
    /// What the comment above its `FROM` says.
    pub description: Option<String>,
    /// What it is built upon, as written.
    pub base: String,
    /// `--platform`, as written.
    pub platform: Option<String>,
    /// The `FROM`.
    pub span: Span,
}
