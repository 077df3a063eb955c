//! Build arguments that nothing takes.

use std::collections::BTreeSet;

use graph::{Diagnostic, Severity};

use super::args;
use super::notes::Notes;
use super::options::Options;
use crate::instruction::{ArgDecl, File, Instruction, InstructionKind};
use crate::suggest::nearest;

/// Says which build arguments no `ARG` declares, be it in a stage that is not built or in a trigger of a
/// base image. A name that is known only when a variable has its value may be any of them.
pub(crate) fn remark(options: &Options, file: &File, notes: &Notes) -> Option<Diagnostic> {
    let mut declared: BTreeSet<&str> = notes.declared().collect();
    declared.extend(file.instructions.iter().flat_map(declared_by).map(|arg| arg.name.value.as_str()));
    if declared.iter().any(|name| name.contains('$')) {
        return None;
    }
    let given = options.build_args.keys().map(String::as_str);
    let unused: Vec<&str> =
        given.filter(|name| !declared.contains(name) && !args::is_predefined(name)).collect();
    if unused.is_empty() {
        return None;
    }
    let message = format!("One or more build-args [{}] were not consumed", unused.join(" "));
    let guess = |name: &&str| {
        let near = nearest(name, declared.iter().copied())?;
        Some(format!("no ARG declares {name}; did you mean {near}?"))
    };
    let guesses: Vec<String> = unused.iter().filter_map(guess).collect();
    let help = if guesses.is_empty() { "no ARG declares them".to_owned() } else { guesses.join(" ") };
    Some(Diagnostic { rule: None, severity: Severity::Warning, message, span: None, help: Some(help) })
}

fn declared_by(instruction: &Instruction) -> &[ArgDecl] {
    if let InstructionKind::Arg(declared) = &instruction.kind {
        declared
    } else if let InstructionKind::OnBuild(onbuild) = &instruction.kind {
        onbuild.inner.as_ref().map_or(&[], |inner| declared_by(inner))
    } else {
        &[]
    }
}
