//! `CopyShape`: several `COPY` that give each file its own directory again, where `COPY --parents` would do.

use graph::path;

use super::Remark;
use crate::instruction::{Copy, Instruction, InstructionKind};

/// So many one after the other are worth a word.
const MANY: usize = 3;

/// Remarks at the first of each row of such instructions.
pub(super) fn remarks(instructions: &[Instruction]) -> Vec<Remark<'_>> {
    let mut found = Vec::new();
    let mut rest = instructions;
    while let Some((first, others)) = rest.split_first() {
        let Some((copy, root)) = keeping(first) else {
            rest = others;
            continue;
        };
        let alike =
            others.iter().map_while(keeping).take_while(|(other, at)| *at == root && same_flags(copy, other));
        let count = 1 + alike.count();
        if count >= MANY {
            let message = format!(
                "{count} COPY instructions keep the directories of their sources below {root:?}: one COPY \
                 --parents does"
            );
            found.push(Remark::new("CopyShape", message, first));
        }
        rest = &rest[count..];
    }
    found
}

/// A `COPY` whose sources get the directories that they lie in, and below what. `None`: another instruction.
fn keeping(instruction: &Instruction) -> Option<(&Copy, String)> {
    let InstructionKind::Copy(copy) = &instruction.kind else { return None };
    if copy.parents || !copy.files.is_empty() || !copy.exclude.is_empty() {
        return None;
    }
    let dest = copy.dest.value.as_str();
    let rooted = if dest.starts_with('/') { "/" } else { "" };
    let roots = copy.sources.iter().map(|source| {
        let source = path::clean(&format!("/{}", source.value));
        let (directory, _) = source.rsplit_once('/')?;
        let at = path::clean(&format!("/{dest}"));
        let is_directory = dest.ends_with('/') || dest.ends_with("/.");
        let tail = if is_directory { directory } else { source.as_str() };
        // A source at the root has no directory to keep.
        let root = at.strip_suffix(tail).filter(|_| !directory.is_empty())?;
        Some(format!("{rooted}{}", root.trim_start_matches('/')))
    });
    let mut roots = roots.collect::<Option<Vec<String>>>()?;
    roots.dedup();
    match roots.as_slice() {
        [root] => Some((copy, if root.is_empty() { "./".to_owned() } else { root.clone() })),
        _ => None,
    }
}

fn same_flags(one: &Copy, other: &Copy) -> bool {
    let words = |copy: &Copy| {
        [&copy.from, &copy.chown, &copy.chmod].map(|word| word.as_ref().map(|word| word.value.clone()))
    };
    one.link == other.link && words(one) == words(other)
}
