//! Stages that `SOURCE_DATE_EPOCH` names: nothing but `FROM scratch`, `ARG` and one remote `ADD`.

use std::collections::BTreeMap;

use graph::{Diagnostic, Remote};
use oci::Digest;

use super::args::{self, EPOCH};
use super::contexts;
use super::env::Env;
use super::git_remote;
use super::pass::World;
use super::remote::{file_name, is_http};
use super::stages::SCRATCH;
use crate::instruction::{Add, Instruction, InstructionKind};
use crate::syntax::{EscapeChar, Word};

/// The one remote source that a stage, given from its `FROM` on, fetches. `None`: its commit was
/// asked for.
pub(crate) fn source(
    instructions: &[Instruction],
    globals: Env,
    arguments: &BTreeMap<String, String>,
    escape: EscapeChar,
    world: &mut World<'_>,
) -> Result<Option<Remote>, Diagnostic> {
    let mut stage = Stage { env: globals, escape };
    let mut adds = Vec::new();
    for (position, instruction) in instructions.iter().enumerate() {
        match &instruction.kind {
            InstructionKind::From(from) if position == 0 => {
                if stage.expand(&from.image)? != SCRATCH {
                    return refuse("must use FROM scratch", instruction);
                }
            }
            InstructionKind::From(_) => break,
            InstructionKind::Arg(declared) => {
                for one in declared {
                    args::declare(&mut stage.env, one, arguments, escape)?;
                }
            }
            InstructionKind::Add(add) => adds.push((add, instruction, stage.env.clone())),
            InstructionKind::Cmd(_)
            | InstructionKind::Copy(_)
            | InstructionKind::Entrypoint(_)
            | InstructionKind::Env(_)
            | InstructionKind::Expose(_)
            | InstructionKind::Healthcheck(_)
            | InstructionKind::Label(_)
            | InstructionKind::Maintainer(_)
            | InstructionKind::OnBuild(_)
            | InstructionKind::Run(_)
            | InstructionKind::Shell(_)
            | InstructionKind::StopSignal(_)
            | InstructionKind::User(_)
            | InstructionKind::Volume(_)
            | InstructionKind::Workdir(_) => {
                let keyword = &instruction.keyword.value;
                let message =
                    format!("does not meet source-only requirements: unsupported {keyword} instruction");
                return refuse(&message, instruction);
            }
        }
    }
    let [(add, instruction, env)] = adds.as_slice() else {
        return refuse("must contain exactly one remote ADD", &instructions[0]);
    };
    stage.env = env.clone();
    stage.remote(add, instruction, world)
}

fn refuse<T>(message: &str, at: &Instruction) -> Result<T, Diagnostic> {
    Err(Diagnostic::error(format!("{EPOCH} stage {message}"), at.span))
}

/// What is in scope of the stage's instructions.
struct Stage {
    env: Env,
    escape: EscapeChar,
}

impl Stage {
    fn expand(&self, word: &Word) -> Result<String, Diagnostic> {
        let values = |name: &str| self.env.get(name).map(str::to_owned);
        crate::expand(&word.value, &values, self.escape)
            .map(|expanded| expanded.text)
            .map_err(|error| Diagnostic::error(error.to_string(), word.span))
    }

    fn remote(
        &self,
        add: &Add,
        instruction: &Instruction,
        world: &mut World<'_>,
    ) -> Result<Option<Remote>, Diagnostic> {
        let ([source], []) = (add.sources.as_slice(), add.files.as_slice()) else {
            return refuse("must contain exactly one remote ADD source", instruction);
        };
        let fault = |message: String| Diagnostic::error(message, source.span);
        let address = self.expand(source)?;
        let checksum = add.checksum.as_ref().map(|word| self.expand(word)).transpose()?;
        if let Some(mut remote) = git_remote::parse(&address).map_err(fault)? {
            remote.checksum = checksum.or(remote.checksum);
            let found = contexts::git(remote, add.keep_git_dir, instruction.span, world)?;
            return Ok(found.map(Remote::Git));
        }
        if !is_http(&address) {
            return refuse("source must be a single HTTP(S) or Git ADD", instruction);
        }
        let checksum = match checksum {
            Some(text) => Some(
                text.parse::<Digest>()
                    .map_err(|error| fault(format!("invalid checksum {text:?}: {error}")))?,
            ),
            None => None,
        };
        Ok(Some(Remote::Http(contexts::http(&address, &file_name(&address), checksum))))
    }
}
