//! What a file offers to its callers: its targets, the arguments, secrets and agents that a target takes,
//! and the variables of each stage.

use graph::Span;

use crate::instruction::{Instruction, InstructionKind};
use crate::lower::mount_source;
use crate::suggest::nearest;

/// What lowering finds out besides the graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// What the target takes.
    pub outline: Outline,
    /// The variables of the stages that were lowered, in the order of the file. Of several platforms, those
    /// of the first.
    pub variables: Vec<StageVariables>,
}

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

/// The variables of a stage at its end: declared arguments and the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageVariables {
    /// The stage; `None` for the arguments before the first `FROM`.
    pub stage: Option<String>,
    /// In the order in which they were first named.
    pub variables: Vec<Variable>,
}

/// A variable, and who gave it its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, unless an `ARG` declares it and nobody gives it one.
    pub value: Option<String>,
    /// Where the value comes from.
    pub origin: VariableOrigin,
    /// The instruction that set or declared it; a variable of the base image has none.
    pub span: Option<Span>,
}

/// Where the value of a variable comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableOrigin {
    /// `--build-arg`.
    BuildArg,
    /// The default of its `ARG`.
    Default,
    /// An `ARG` before the first `FROM`, which an `ARG` of the stage takes over.
    Global,
    /// The builder: platforms and the like, and `PATH` where the base image has none.
    Predefined,
    /// `ENV`.
    Env,
    /// The environment of the base image.
    BaseImage,
    /// Nowhere: it has no value.
    Nowhere,
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

/// The stage that an instruction may mean where it names an image that cannot be had: one before it with
/// a similar name.
pub fn stage_meant(text: &str, span: Span) -> Option<String> {
    let file = crate::parse(text.as_bytes()).ok()?;
    let at = file.instructions.iter().position(|instruction| instruction.span == span)?;
    let stages: Vec<&str> = file.instructions[..at].iter().filter_map(stage_name).collect();
    let names = images(&file.instructions[at]);
    names.iter().find_map(|name| nearest(name, stages.iter().copied())).map(str::to_owned)
}

fn stage_name(instruction: &Instruction) -> Option<&str> {
    let InstructionKind::From(from) = &instruction.kind else { return None };
    from.name.as_ref().map(|name| name.name.as_str())
}

/// What an instruction may name a stage or an image by.
fn images(instruction: &Instruction) -> Vec<String> {
    if let InstructionKind::From(from) = &instruction.kind {
        vec![from.image.value.clone()]
    } else if let InstructionKind::Copy(copy) = &instruction.kind {
        copy.from.iter().map(|from| from.value.clone()).collect()
    } else if let InstructionKind::Run(run) = &instruction.kind {
        run.mounts.iter().filter_map(|mount| mount_source(mount).ok().flatten()).collect()
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_that_may_be_meant() {
        let text = "FROM a AS builder\nFROM biulder\nCOPY --from=bulder x y\nRUN --mount=from=buidler,target=/x z\nCOPY --from=other x y\n";
        let file = crate::parse(text.as_bytes()).unwrap();
        let found: Vec<Option<String>> =
            file.instructions.iter().map(|instruction| stage_meant(text, instruction.span)).collect();
        let builder = Some("builder".to_owned());
        assert_eq!(found, [None, builder.clone(), builder.clone(), builder, None]);
    }
}
