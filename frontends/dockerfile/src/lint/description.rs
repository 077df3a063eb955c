//! Comments that describe stages and arguments.

use super::Remark;
use crate::instruction::{Instruction, InstructionKind};

/// `InvalidDefinitionDescription`: the line above starts with the name that it describes.
pub(super) fn of_definition(instruction: &Instruction) -> Option<Remark<'_>> {
    let (keyword, names): (&str, Vec<&str>) = if let InstructionKind::From(from) = &instruction.kind {
        ("FROM", vec![from.name.as_ref()?.name.as_str()])
    } else if let InstructionKind::Arg(args) = &instruction.kind {
        ("ARG", args.iter().map(|arg| arg.name.value.as_str()).collect())
    } else {
        return None;
    };
    let comment = instruction.comments.last()?;
    let first = comment.split(' ').next().unwrap_or_default();
    if names.contains(&first) {
        return None;
    }
    let example = match names.as_slice() {
        [name] => name,
        _ => "<arg_key>",
    };
    let message = format!("Comment for {keyword} should follow the format: `# {example} <description>`");
    Some(Remark { experimental: true, ..Remark::new("InvalidDefinitionDescription", message, instruction) })
}
