//! Rules of our own. All have to be asked for: each is a matter of taste in some file.

use super::Remark;
use crate::instruction::{Copy, From, Instruction, InstructionKind, Run, Script};
use crate::lower::mount_source;

/// Programs that install what a project depends on, and their words for it.
const INSTALLERS: [(&str, &[&str]); 13] = [
    ("npm", &["ci", "install", "i"]),
    ("yarn", &["install", "--frozen-lockfile", "--immutable"]),
    ("pnpm", &["install", "i", "fetch"]),
    ("bun", &["install"]),
    ("pip", &["install"]),
    ("pip3", &["install"]),
    ("uv", &["sync"]),
    ("poetry", &["install"]),
    ("go", &["mod"]),
    ("cargo", &["fetch"]),
    ("bundle", &["install"]),
    ("composer", &["install"]),
    ("dotnet", &["restore"]),
];

/// What the rules say, in the order of the file for each.
pub(super) fn remarks(instructions: &[Instruction]) -> Vec<Remark<'_>> {
    let stages = stages(instructions);
    let mut found: Vec<Remark<'_>> = Vec::new();
    found.extend(unpinned(&stages));
    found.extend(instructions.iter().filter_map(apt_lists));
    found.extend(stages.iter().filter_map(copy_before_install));
    found.extend(unused_arguments(instructions));
    found.extend(unused_stages(&stages));
    found.extend(super::heredoc::remarks(instructions));
    found.extend(super::shape::remarks(instructions));
    found.into_iter().map(|remark| Remark { experimental: true, ..remark }).collect()
}

/// A `FROM` and what follows it.
struct Stage<'a> {
    from: &'a From,
    instruction: &'a Instruction,
    rest: &'a [Instruction],
}

impl Stage<'_> {
    fn name(&self) -> Option<&str> {
        self.from.name.as_ref().map(|name| name.name.as_str())
    }
}

fn stages(instructions: &[Instruction]) -> Vec<Stage<'_>> {
    let starts: Vec<usize> = (0..instructions.len())
        .filter(|at| matches!(instructions[*at].kind, InstructionKind::From(_)))
        .collect();
    let one = |(number, start): (usize, &usize)| {
        let end = starts.get(number + 1).copied().unwrap_or(instructions.len());
        let InstructionKind::From(from) = &instructions[*start].kind else { return None };
        Some(Stage { from, instruction: &instructions[*start], rest: &instructions[start + 1..end] })
    };
    starts.iter().enumerate().filter_map(one).collect()
}

/// `UnpinnedBaseImage`
fn unpinned<'a>(stages: &[Stage<'a>]) -> Vec<Remark<'a>> {
    let mut earlier: Vec<String> = vec!["scratch".to_owned()];
    let mut found = Vec::new();
    for stage in stages {
        let image = &stage.from.image.value;
        let is_stage = earlier.iter().any(|name| name.eq_ignore_ascii_case(image));
        if !is_stage && !image.contains('$') && !image.contains("@sha256:") && !image.contains("@sha512:") {
            let message =
                format!("Base image {image} is not pinned by digest, and may change under its name");
            found.push(Remark::new("UnpinnedBaseImage", message, stage.instruction));
        }
        earlier.extend(stage.name().map(str::to_owned));
    }
    found
}

/// `AptListsKept`
fn apt_lists(instruction: &Instruction) -> Option<Remark<'_>> {
    let InstructionKind::Run(run) = &instruction.kind else { return None };
    let text = text_of(run);
    let words: Vec<&str> = words(&text).collect();
    let updates =
        words.windows(2).any(|pair| matches!(pair[0], "apt-get" | "apt" | "aptitude") && pair[1] == "update")
            || ["apt-get -", "apt -"].iter().any(|call| text.contains(call)) && words.contains(&"update");
    let removes = text.contains("/var/lib/apt/lists") && text.contains("rm ");
    let mounted = run.mounts.iter().any(|mount| {
        let kind = ["type=cache", "type=tmpfs"].iter().any(|kind| mount.value.contains(kind));
        kind && mount.value.contains("/var/lib/apt")
    });
    (updates && !removes && !mounted).then(|| {
        let message = "Lists of packages stay in the image: remove /var/lib/apt/lists in this step, or mount a \
                       cache there";
        Remark::new("AptListsKept", message.to_owned(), instruction)
    })
}

/// `CopyBeforeInstall`
fn copy_before_install<'a>(stage: &Stage<'a>) -> Option<Remark<'a>> {
    let installs = |instruction: &&Instruction| matches!(&instruction.kind, InstructionKind::Run(run) if installs(&text_of(run)));
    let first = stage.rest.iter().position(|instruction| installs(&instruction))?;
    let copies = stage.rest[..first].iter();
    let copy = copies.filter(
        |instruction| matches!(&instruction.kind, InstructionKind::Copy(copy) if takes_everything(copy)),
    );
    let message = "All of the context is copied before dependencies are installed: any change to it installs \
                   them again. Copy the files that list them first";
    copy.map(|instruction| Remark::new("CopyBeforeInstall", message.to_owned(), instruction)).next()
}

fn takes_everything(copy: &Copy) -> bool {
    copy.from.is_none() && copy.sources.iter().any(|source| matches!(source.value.as_str(), "." | "./" | "/"))
}

fn installs(text: &str) -> bool {
    let words: Vec<&str> = words(text).collect();
    words
        .windows(2)
        .any(|pair| INSTALLERS.iter().any(|(program, verbs)| pair[0] == *program && verbs.contains(&pair[1])))
}

/// `UnusedArg`: nothing that follows mentions it.
fn unused_arguments(instructions: &[Instruction]) -> Vec<Remark<'_>> {
    let mut found = Vec::new();
    for (position, instruction) in instructions.iter().enumerate() {
        let InstructionKind::Arg(declared) = &instruction.kind else { continue };
        for (number, argument) in declared.iter().enumerate() {
            let name = argument.name.value.as_str();
            // It may be for the program that a step runs, which need not be named here.
            let for_others = name.starts_with("BUILDKIT_") || name == "SOURCE_DATE_EPOCH";
            let here = declared[number + 1..].iter().filter_map(|later| later.default.as_ref());
            let mentioned = here.into_iter().any(|default| mentions(&default.value, name))
                || instructions[position + 1..].iter().any(|later| uses_argument(later, name));
            if !for_others && !mentioned {
                let message = format!("Argument {name} is declared and never used");
                found.push(Remark::new("UnusedArg", message, instruction));
            }
        }
    }
    found
}

/// `UnusedStage`
fn unused_stages<'a>(stages: &[Stage<'a>]) -> Vec<Remark<'a>> {
    let Some((_, others)) = stages.split_last() else { return Vec::new() };
    let unused = others.iter().enumerate().filter(|(number, stage)| {
        !stages[number + 1..].iter().any(|later| uses(later, *number, stage.name()))
    });
    let message = |stage: &Stage<'_>, number: usize| {
        let name = stage.name().map_or_else(|| format!("number {number}"), |name| format!("{name:?}"));
        format!("Stage {name} is used by no other stage: it is built only when it is the target")
    };
    unused
        .map(|(number, stage)| Remark::new("UnusedStage", message(stage, number), stage.instruction))
        .collect()
}

/// Whether a stage is built upon, copies from, or mounts another.
fn uses(stage: &Stage<'_>, number: usize, name: Option<&str>) -> bool {
    let is_it =
        |text: &str| name.is_some_and(|name| name.eq_ignore_ascii_case(text)) || text == number.to_string();
    let based = name.is_some_and(|name| {
        let image = &stage.from.image.value;
        name.eq_ignore_ascii_case(image) || image.contains('$')
    });
    based
        || stage.rest.iter().any(|instruction| {
            if let InstructionKind::Copy(copy) = &instruction.kind {
                copy.from.as_ref().is_some_and(|from| is_it(&from.value))
            } else if let InstructionKind::Run(run) = &instruction.kind {
                run.mounts.iter().any(|mount| matches!(mount_source(mount), Ok(Some(from)) if is_it(&from)))
            } else if let InstructionKind::OnBuild(onbuild) = &instruction.kind {
                onbuild.trigger.split(['=', ',', ' ']).any(&is_it)
            } else {
                false
            }
        })
}

/// The command as it is run.
fn text_of(run: &Run) -> String {
    match run.script() {
        Script::Exec(args) => args.join(" "),
        Script::Shell(text) => text,
        Script::File { content, .. } => content,
    }
}

/// Whether an instruction can use an argument: the program of a `RUN` by its name, all else as a
/// variable, and an `ARG` by declaring it again.
fn uses_argument(instruction: &Instruction, name: &str) -> bool {
    if let InstructionKind::Run(run) = &instruction.kind {
        return mentions(&instruction.original, name) || mentions(&text_of(run), name);
    }
    if let InstructionKind::Arg(declared) = &instruction.kind
        && declared.iter().any(|argument| argument.name.value == name)
    {
        return true;
    }
    let mut text = instruction.original.clone();
    if let InstructionKind::Copy(copy) = &instruction.kind {
        text.extend(copy.files.iter().map(|file| file.content.as_str()));
    }
    ["$", "${"].iter().any(|before| mentions(&text, &format!("{before}{name}")))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || ";&|()\"'`".contains(c)).filter(|word| !word.is_empty())
}

/// Whether a text has the name as a word of its own, or the variable, whatever stands before its `$`.
fn mentions(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let begins = name.starts_with('$') || !text[..at].ends_with(is_part);
        begins && !text[at + name.len()..].starts_with(is_part)
    })
}
