//! `HeredocGoesOn`: scripts in heredocs, of which only the last command decides whether the step fails.

use super::Remark;
use crate::instruction::{CommandForm, Instruction, InstructionKind, Run, Script};
use crate::syntax::parse_heredoc;

const SHELLS: [&str; 6] = ["sh", "ash", "bash", "dash", "ksh", "zsh"];

pub(super) fn remarks(instructions: &[Instruction]) -> Vec<Remark<'_>> {
    let mut found = Vec::new();
    // What an image brings along as its shell is not known here.
    let mut shell_stops = false;
    for instruction in instructions {
        if let InstructionKind::From(_) = &instruction.kind {
            shell_stops = false;
        } else if let InstructionKind::Shell(shell) = &instruction.kind {
            shell_stops = stops(shell.iter().map(String::as_str));
        } else if let InstructionKind::Run(run) = &instruction.kind
            && goes_on(run, shell_stops)
        {
            let message = "The script goes on after a command that fails: only the last one decides whether \
                           the step fails";
            let mut remark = Remark::new("HeredocGoesOn", message.to_owned(), instruction);
            remark.diagnostic = remark.diagnostic.with_help("begin it with set -e");
            found.push(remark);
        }
    }
    found
}

fn goes_on(run: &Run, shell_stops: bool) -> bool {
    let (CommandForm::Shell(command), Some(heredoc)) = (&run.form, run.heredocs.first()) else {
        return false;
    };
    let script = heredoc.text();
    let stops = match run.script() {
        Script::Exec(_) => return false,
        Script::File { content, .. } => {
            let words =
                content.lines().next().unwrap_or_default().trim_start_matches("#!").split_whitespace();
            let words = words.skip_while(|word| word.ends_with("/env"));
            match shell_stops_by(words) {
                Some(stops) => stops,
                None => return false,
            }
        }
        Script::Shell(_) if matches!(parse_heredoc(command), Ok(Some(_))) => shell_stops,
        // A shell that reads the heredoc, and nothing besides it.
        Script::Shell(_) => {
            match shell_stops_by(command.split_whitespace().filter(|word| !word.contains("<<"))) {
                Some(stops) => stops,
                None => return false,
            }
        }
    };
    !stops && commands(&script) > 1 && !sets(&script)
}

/// Whether a command line is a shell with options alone, and if so, whether they make it stop.
fn shell_stops_by<'a>(words: impl Iterator<Item = &'a str>) -> Option<bool> {
    let words: Vec<&str> = words.collect();
    let (program, options) = words.split_first()?;
    let name = program.rsplit('/').next()?;
    let alone = options.iter().all(|word| word.starts_with('-') || *word == "errexit");
    (SHELLS.contains(&name) && alone).then(|| stops(options.iter().copied()))
}

/// Whether there is `-e`, alone or among other letters, or `-o errexit`.
fn stops<'a>(mut words: impl Iterator<Item = &'a str>) -> bool {
    words.any(|word| {
        word == "errexit"
            || word.strip_prefix('-').is_some_and(|rest| !rest.starts_with('-') && rest.contains('e'))
    })
}

/// How many lines begin a command.
fn commands(script: &str) -> usize {
    let mut open = false;
    let mut count = 0;
    for line in script.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        count += usize::from(!open);
        open = ["\\", "&&", "||", "|"].iter().any(|end| line.ends_with(end));
    }
    count
}

/// Whether the script says itself that it stops.
fn sets(script: &str) -> bool {
    script.split(['\n', ';', '&']).any(|command| {
        let mut words = command.split_whitespace();
        words.next() == Some("set") && stops(words)
    })
}
