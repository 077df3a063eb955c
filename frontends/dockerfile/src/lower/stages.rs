//! The stages of a file: their names, what they are built upon, and what their instructions copy
//! and mount from.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Diagnostic, Span};
use oci::Platform;

use super::contexts;
use super::env::Env;
use super::from_lints;
use super::mounts;
use super::options::{NamedContext, Options};
use super::pass::Scope;
use crate::instruction::{From, Instruction, InstructionKind};
use crate::suggest::with_guess;

/// The name of the empty tree.
pub(crate) const SCRATCH: &str = "scratch";

/// Where a tree comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// Another stage, by number.
    Stage(usize),
    /// Nowhere: the empty tree.
    Scratch,
    /// An image or a named context.
    Named(String),
}

/// One stage, as the text has it.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    /// Name in lower case.
    pub(crate) name: Option<&'a str>,
    /// What the base was called, expanded.
    pub(crate) base_name: String,
    /// What it is built upon.
    pub(crate) base: Origin,
    /// Key of the named context that takes the place of the whole stage.
    pub(crate) replaced: Option<String>,
    /// `--platform`.
    pub(crate) platform: Option<Platform>,
    /// Variables that the `FROM` uses.
    pub(crate) uses: BTreeSet<String>,
    /// The `FROM`.
    pub(crate) from: &'a Instruction,
    /// What follows it.
    pub(crate) instructions: &'a [Instruction],
}

impl Stage<'_> {
    /// How errors call it.
    pub(crate) fn label(&self, index: usize) -> String {
        self.name.map_or_else(|| format!("stage-{index}"), str::to_owned)
    }
}

/// All stages in file order.
#[derive(Debug)]
pub(crate) struct Stages<'a>(pub(crate) Vec<Stage<'a>>, Targets);

/// Named contexts that stand for stages (`target:NAME`): the number of each, by the context's name.
type Targets = BTreeMap<String, usize>;

impl<'a> Stages<'a> {
    /// Reads the stages; words of `FROM` are expanded with the global arguments.
    pub(crate) fn read(
        instructions: &'a [Instruction],
        scope: &mut Scope<'_, '_>,
    ) -> Result<Self, Diagnostic> {
        let mut stages = Self(Vec::new(), Targets::new());
        let starts: Vec<usize> = instructions
            .iter()
            .enumerate()
            .filter(|(_, instruction)| matches!(instruction.kind, InstructionKind::From(_)))
            .map(|(position, _)| position)
            .collect();
        for (number, &start) in starts.iter().enumerate() {
            let end = starts.get(number + 1).copied().unwrap_or(instructions.len());
            let instruction = &instructions[start];
            let InstructionKind::From(from) = &instruction.kind else { continue };
            scope.lint.at(&instruction.comments);
            let stage = stages.one(from, instruction, &instructions[start + 1..end], scope)?;
            stages.0.push(stage);
        }
        scope.lint.at(&[]);
        for key in scope.options.named_contexts.keys() {
            let name = key.split_once("::").map_or(key.as_str(), |(name, _)| name);
            let found = contexts::find(scope.options, name, &scope.target_platform);
            if let Some((key, NamedContext::Target(target))) = found {
                stages.1.insert(contexts::short_name(name), stages.context_target(key, target)?);
            }
        }
        Ok(stages)
    }

    /// The stage that a named context stands for.
    fn context_target(&self, key: &str, target: &str) -> Result<usize, Diagnostic> {
        self.by_name(target).ok_or_else(|| {
            let message = format!("named context {key}: target:{target} is no stage above");
            Diagnostic::error(with_guess(message, target, self.names()), None)
        })
    }

    fn one(
        &self,
        from: &'a From,
        instruction: &'a Instruction,
        instructions: &'a [Instruction],
        scope: &mut Scope<'_, '_>,
    ) -> Result<Stage<'a>, Diagnostic> {
        let expanded = scope.expand(&from.image)?;
        from_lints::undefined(&expanded.unmatched, instruction.span, scope);
        let (base_name, mut uses) = (expanded.text, expanded.matched);
        if base_name.is_empty() {
            let message = format!("base name ({}) should not be blank", from.image.value);
            return Err(guess_variable(message, from.image.span, &expanded.unmatched, &scope.globals));
        }
        let platform = platform(from, instruction.span, &mut uses, scope)?;
        let name = from.name.as_ref().map(|name| name.name.as_str());
        let wanted = platform.as_ref().unwrap_or(&scope.target_platform);
        let replaced = name.and_then(|name| contexts::find(scope.options, name, wanted));
        if let Some((key, NamedContext::Target(target))) = replaced {
            // As if it were FROM that stage and nothing more.
            let base = Origin::Stage(self.context_target(key, target)?);
            let (replaced, instructions) = (None, &[][..]);
            return Ok(Stage {
                name,
                base_name,
                base,
                replaced,
                platform,
                uses,
                from: instruction,
                instructions,
            });
        }
        let replaced = replaced.map(|(key, _)| key.to_owned());
        // Unlike elsewhere capital letters count.
        let own = self.by_name(&base_name).filter(|_| base_name == base_name.to_lowercase());
        let base = match (own, contexts::find(scope.options, &base_name, wanted)) {
            (Some(index), _) => Origin::Stage(index),
            (None, _) if base_name == SCRATCH => Origin::Scratch,
            (None, Some((key, NamedContext::Target(target)))) if replaced.is_none() => {
                Origin::Stage(self.context_target(key, target)?)
            }
            (None, _) => Origin::Named(base_name.clone()),
        };
        Ok(Stage { name, base_name, base, replaced, platform, uses, from: instruction, instructions })
    }

    /// The last stage of that name.
    pub(crate) fn by_name(&self, name: &str) -> Option<usize> {
        self.0.iter().rposition(|stage| stage.name.is_some_and(|own| own.eq_ignore_ascii_case(name)))
    }

    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|stage| stage.name)
    }

    /// What `--target` means.
    pub(crate) fn target(&self, wanted: Option<&str>) -> Result<usize, Diagnostic> {
        let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
            return Ok(self.0.len().saturating_sub(1));
        };
        self.by_name(wanted).ok_or_else(|| {
            let message = format!("target stage {wanted:?} could not be found");
            let names: Vec<&str> = self.names().collect();
            let error = Diagnostic::error(with_guess(message, wanted, names.iter().copied()), None);
            if names.is_empty() { error } else { error.with_help(format!("stages: {}", names.join(", "))) }
        })
    }

    /// What an instruction copies or mounts from.
    pub(crate) fn origins(&self, instruction: &Instruction) -> Result<Vec<Origin>, Diagnostic> {
        let mut origins = Vec::new();
        if let InstructionKind::Copy(copy) = &instruction.kind
            && let Some(from) = copy.from.as_ref().filter(|from| !from.value.is_empty())
        {
            origins.push(self.copy_origin(&from.value, from.span)?);
        }
        if let InstructionKind::Run(run) = &instruction.kind {
            for mount in &run.mounts {
                origins.extend(mounts::source_name(mount)?.map(|from| self.named_origin(&from)));
            }
        }
        Ok(origins)
    }

    /// What `COPY --from` means.
    pub(crate) fn copy_origin(&self, from: &str, span: Span) -> Result<Origin, Diagnostic> {
        // The name of a stage must be known before any value is.
        if from.contains('$') {
            let message = "variable expansion is not supported for --from, define a new stage with FROM using \
                           ARG from global scope as a workaround";
            return Err(Diagnostic::error(message, span));
        }
        match from.parse::<i64>() {
            Err(_) => Ok(self.named_origin(from)),
            Ok(number) => match usize::try_from(number) {
                Ok(index) if index < self.0.len() => Ok(Origin::Stage(index)),
                Ok(_) | Err(_) => Err(Diagnostic::error(format!("invalid stage index {number}"), span)
                    .with_help(format!("this file has {} stages, counted from 0", self.0.len()))),
            },
        }
    }

    /// The stage that a named context of that name stands for.
    fn context_stage(&self, name: &str) -> Option<usize> {
        // Most builds have none, and looking is not free.
        if self.1.is_empty() { None } else { self.1.get(&contexts::short_name(name)).copied() }
    }

    /// A stage of that name, else an image or a named context.
    pub(crate) fn named_origin(&self, name: &str) -> Origin {
        match self.by_name(name).or_else(|| self.context_stage(name)) {
            Some(index) => Origin::Stage(index),
            None if name == SCRATCH => Origin::Scratch,
            None => Origin::Named(name.to_owned()),
        }
    }

    /// Refuses names that no image can have, in stages that are not needed as well.
    pub(crate) fn refuse_bad_names(&self, options: &Options, platform: &Platform) -> Result<(), Diagnostic> {
        let names: Vec<&str> = self.names().collect();
        for stage in self.0.iter().filter(|stage| stage.replaced.is_none()) {
            let own = stage
                .instructions
                .iter()
                .map(|instruction| Ok((self.origins(instruction)?, instruction.span)));
            let base = Ok((vec![stage.base.clone()], stage.from.span));
            for found in std::iter::once(base).chain(own) {
                let (origins, span) = found?;
                for origin in origins {
                    if let Origin::Named(name) = origin
                        && contexts::find(options, &name, platform).is_none()
                    {
                        contexts::reference(&name, span, &names, options)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The error of an instruction of stage `own` that uses a stage which is not done by then.
    pub(crate) fn not_yet(&self, own: usize, other: usize, is_mount: bool, span: Span) -> Diagnostic {
        let (source, current) = (self.0[other].label(other), self.0[own].label(own));
        let verb = if is_mount { "mount" } else { "copy" };
        let message = format!(
            "cannot {verb} from stage {source:?}, it needs to be defined before current stage {current:?}"
        );
        Diagnostic::error(message, span).with_help("move that stage up")
    }

    /// Refuses stages that copy from each other in a circle.
    pub(crate) fn refuse_circles(&self) -> Result<(), Diagnostic> {
        let edges = (0..self.0.len()).map(|index| self.copies(index)).collect::<Result<Vec<_>, _>>()?;
        let mut done = BTreeSet::new();
        for start in 0..self.0.len() {
            self.walk(start, &edges, &mut done)?;
        }
        Ok(())
    }

    /// The stages that a stage copies from, and where.
    fn copies(&self, index: usize) -> Result<Vec<(usize, Span)>, Diagnostic> {
        let mut found = Vec::new();
        for instruction in self.0[index].instructions {
            for origin in self.origins(instruction)? {
                if let Origin::Stage(other) = origin {
                    found.push((other, instruction.span));
                }
            }
        }
        Ok(found)
    }

    /// Follows all copies from one stage, without recursion: files may be long.
    fn walk(
        &self,
        start: usize,
        edges: &[Vec<(usize, Span)>],
        done: &mut BTreeSet<usize>,
    ) -> Result<(), Diagnostic> {
        let mut path = vec![(start, 0)];
        while let Some((index, position)) = path.last_mut() {
            let (index, here) = (*index, *position);
            *position += 1;
            match edges[index].get(here) {
                None => {
                    done.insert(index);
                    path.pop();
                }
                Some((next, span)) => {
                    if let Some(start) = path.iter().position(|(seen, _)| seen == next) {
                        return Err(self.circle(&path[start..], *span));
                    }
                    if !done.contains(next) {
                        path.push((*next, 0));
                    }
                }
            }
        }
        Ok(())
    }

    fn circle(&self, path: &[(usize, usize)], span: Span) -> Diagnostic {
        let names: Vec<String> = path.iter().map(|(stage, _)| self.0[*stage].label(*stage)).collect();
        let last = names.last().cloned().unwrap_or_default();
        let chain: Vec<&str> = names.iter().chain(names.first()).map(String::as_str).collect();
        Diagnostic::error(format!("circular dependency detected on stage: {last}"), span)
            .with_help(chain.join(" copies from "))
    }
}

fn platform(
    from: &From,
    span: Span,
    uses: &mut BTreeSet<String>,
    scope: &mut Scope<'_, '_>,
) -> Result<Option<Platform>, Diagnostic> {
    let Some(word) = from.platform.as_ref().filter(|word| !word.value.is_empty()) else {
        return Ok(None);
    };
    let expanded = scope.expand(word)?;
    from_lints::undefined(&expanded.unmatched, span, scope);
    from_lints::platform(from, word, &expanded, span, scope);
    uses.extend(expanded.matched);
    if expanded.text.is_empty() {
        let message = format!("empty platform value from expression {}", word.value);
        return Err(guess_variable(message, word.span, &expanded.unmatched, &scope.globals));
    }
    expanded.text.parse().map(Some).map_err(|error| {
        let message = format!("failed to parse platform {}: {error}", word.value);
        guess_variable(message, word.span, &expanded.unmatched, &scope.globals)
    })
}

fn guess_variable(message: String, span: Span, unmatched: &BTreeSet<String>, globals: &Env) -> Diagnostic {
    let names: Vec<&str> = globals.names().collect();
    let error = Diagnostic::error(message, span);
    let guess = unmatched.iter().find_map(|name| crate::suggest::nearest(name, names.iter().copied()));
    match guess {
        Some(name) => error.with_help(format!("did you mean {name}?")),
        None if unmatched.is_empty() => error,
        None => {
            error.with_help("only ARGs before the first FROM and the platform arguments are in scope here")
        }
    }
}
