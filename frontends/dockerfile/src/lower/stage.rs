//! One stage: what it begins with, and its instructions one after the other.

use graph::{Diagnostic, Edge, Input, Meta, Op, Span};
use oci::{Descriptor, ImageConfig, Platform, Reference};

use super::contexts::Tree;
use super::declared::DeclaredArguments;
use super::env::{self, Env, Listed};
use super::made::{Made, Text};
use super::pass::{Pass, World};
use super::resolve;
use super::stages::{Origin, Stages};
use super::title::{Progress, capitalised};
use super::{args, paths};
use crate::expand::{Escapes, Mode, Quotes, Unset, lex};
use crate::instruction::{Instruction, InstructionKind};
use crate::suggest::nearest;
use crate::survey::VariableOrigin;
use crate::syntax::Word;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a stage has come to.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) root: Option<Edge>,
    /// Without the history of this file, which is in `made`.
    pub(crate) image: ImageConfig,
    pub(crate) made: Made,
    /// Places in the variables of `image`.
    pub(crate) listed: Listed,
    /// Variables of the image and declared arguments.
    pub(crate) env: Env,
    /// Working directory of the next step.
    pub(crate) directory: String,
    pub(crate) platform: Platform,
    pub(crate) arguments: DeclaredArguments,
    /// A `WORKDIR` was seen in this file.
    pub(crate) workdir_set: bool,
    pub(crate) base: Option<(Reference, Descriptor)>,
    pub(crate) base_history: usize,
    pub(crate) scans: Scans,
}

/// What the arguments say about trees to be looked through for software; stages built upon this one inherit it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scans {
    context: Option<String>,
    stage: Option<String>,
}

impl Scans {
    /// Takes the value of an argument that is one of these, and says whether it is.
    pub(crate) fn take(&mut self, name: &str, value: Option<&str>) -> bool {
        let place = match name {
            "BUILDKIT_SBOM_SCAN_CONTEXT" => &mut self.context,
            "BUILDKIT_SBOM_SCAN_STAGE" => &mut self.stage,
            _ => return false,
        };
        if let Some(value) = value {
            *place = Some(value.to_owned());
        }
        true
    }

    /// Whether the context is to be looked through, as the stage of this name says it, else `globals`.
    pub(crate) fn wants_context(&self, stage: &str, globals: &Env) -> bool {
        says(self.context.as_deref().or(globals.get("BUILDKIT_SBOM_SCAN_CONTEXT")), stage)
    }

    /// The same for the stage itself.
    pub(crate) fn wants_stage(&self, stage: &str, globals: &Env) -> bool {
        says(self.stage.as_deref().or(globals.get("BUILDKIT_SBOM_SCAN_STAGE")), stage)
    }
}

/// A truth value, or the names of stages.
fn says(value: Option<&str>, stage: &str) -> bool {
    value.is_some_and(|value| {
        crate::mount::go_bool(value).unwrap_or_else(|| value.split(',').any(|name| name == stage))
    })
}

/// A stage while its instructions are taken.
pub(crate) struct StageBuilder<'s, 'a, 'k> {
    pub(crate) pass: &'s Pass<'a>,
    pub(crate) world: &'s mut World<'k>,
    pub(crate) stages: &'s Stages<'a>,
    /// The stages before this one, those that are needed.
    pub(crate) done: &'s [Option<State>],
    pub(crate) index: usize,
    pub(crate) state: State,
    pub(crate) progress: Progress,
    pub(crate) no_cache: bool,
    /// The current instruction, or the `FROM` that brought it.
    pub(crate) here: Span,
    /// Its keyword as written.
    pub(crate) keyword: String,
    /// The current instruction is a trigger.
    pub(crate) on_build: bool,
    pub(crate) once: Once,
}

/// Where instructions were seen of which only the last counts.
#[derive(Debug, Default)]
pub(crate) struct Once {
    pub(crate) cmd: Option<Span>,
    pub(crate) entrypoint: Option<Span>,
    pub(crate) healthcheck: Option<Span>,
}

impl StageBuilder<'_, '_, '_> {
    /// Takes a whole stage: triggers first.
    pub(crate) fn take_all(mut self, triggers: &[Instruction]) -> Result<State, Diagnostic> {
        self.begin();
        let from = self.stages.0[self.index].from.span;
        for trigger in triggers {
            self.on_build = true;
            self.take(trigger, from).map_err(|error| Diagnostic { span: Some(from), ..error })?;
        }
        self.on_build = false;
        for instruction in self.stages.0[self.index].instructions {
            self.take(instruction, instruction.span)?;
        }
        self.world.lint.at(&[]);
        Ok(self.state)
    }

    /// Takes over what the image config says.
    fn begin(&mut self) {
        let stage = &self.stages.0[self.index];
        let (base, given_by) = match &stage.base {
            Origin::Stage(base) => (Some(*base), VariableOrigin::Env),
            Origin::Scratch => (None, VariableOrigin::Predefined),
            Origin::Named(_) => (None, VariableOrigin::BaseImage),
        };
        self.world.variables.stage(self.index, stage.label(self.index), base);
        let state = &mut self.state;
        let list = state.image.config.env.iter().flatten();
        let path_given = list.clone().any(|entry| env::split(entry).0 == "PATH");
        if !path_given && state.platform.os != "windows" {
            state.image.config.env.get_or_insert_default().push(format!("PATH={DEFAULT_PATH}"));
        }
        for entry in state.image.config.env.iter().flatten() {
            let (name, value) = env::split(entry);
            state.env.set(name, value);
            state.arguments.set(name, value);
            if base.is_none() {
                let ours = name == "PATH" && !path_given;
                let origin = if ours { VariableOrigin::Predefined } else { given_by };
                self.world.variables.set(name, Some(value), origin, None);
            }
        }
        state.listed = Listed::of(state.image.config.env.as_deref().unwrap_or_default());
        if !state.image.config.working_dir.is_empty() {
            let directory = &state.image.config.working_dir;
            let directory = directory.replace(separator(&state.platform), "/");
            state.directory = paths::absolute(&directory, &directory);
            state.image.config.working_dir = state.directory.replace('/', separator(&state.platform));
        }
    }

    fn take(&mut self, instruction: &Instruction, span: Span) -> Result<(), Diagnostic> {
        self.here = span;
        self.keyword.clone_from(&instruction.keyword.value);
        self.world.lint.at(&instruction.comments);
        match &instruction.kind {
            InstructionKind::Add(add) => self.add(add, &instruction.original),
            InstructionKind::Arg(args) => self.arg(args, instruction),
            InstructionKind::Cmd(form) => self.cmd(form),
            InstructionKind::Copy(copy) => self.copy(copy, &instruction.original),
            InstructionKind::Entrypoint(form) => self.entrypoint(form),
            InstructionKind::Env(pairs) => self.env(pairs),
            InstructionKind::Expose(ports) => self.expose(ports),
            InstructionKind::Healthcheck(check) => self.healthcheck(check),
            InstructionKind::Label(pairs) => self.label(pairs),
            InstructionKind::Maintainer(who) => self.maintainer(who),
            InstructionKind::OnBuild(onbuild) => self.remember_trigger(onbuild),
            InstructionKind::Run(run) => self.run(run, &instruction.original),
            InstructionKind::Shell(shell) => self.shell(shell),
            InstructionKind::StopSignal(signal) => self.stop_signal(signal),
            InstructionKind::User(user) => self.user(user),
            InstructionKind::Volume(volumes) => self.volume(volumes),
            InstructionKind::Workdir(directory) => self.workdir(directory, &instruction.original),
            InstructionKind::From(_) => Err(self.error("FROM cannot stand here")),
        }
    }

    /// An error at the current instruction.
    pub(crate) fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(message, self.here)
    }

    /// A remark on the current instruction.
    pub(crate) fn warn(&mut self, rule: &'static str, message: String) {
        self.world.lint.warn(rule, self.here, message);
    }

    /// Expands a word with the values before this instruction.
    pub(crate) fn expand(&mut self, word: &Word) -> Result<String, Diagnostic> {
        self.expand_text(&word.value, word.span)
    }

    /// Expands text that stands at `span`.
    pub(crate) fn expand_text(&mut self, text: &str, span: Span) -> Result<String, Diagnostic> {
        let expanded = crate::expand(text, &self.values(), self.pass.escape())
            .map_err(|error| Diagnostic::error(error.to_string(), span))?;
        self.world.notes.used(&expanded.matched);
        self.undefined(expanded.unmatched);
        Ok(expanded.text)
    }

    /// Expands a word that may be absent.
    pub(crate) fn expand_option(&mut self, word: Option<&Word>) -> Result<Option<String>, Diagnostic> {
        let text = word.map(|word| self.expand(word)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// Expands several words.
    pub(crate) fn expand_all(&mut self, words: &[Word]) -> Result<Vec<String>, Diagnostic> {
        words.iter().map(|word| self.expand(word)).collect()
    }

    /// The values in scope.
    pub(crate) fn values(&self) -> impl Fn(&str) -> Option<String> + '_ {
        |name| self.state.env.get(name).map(str::to_owned)
    }

    /// `UndefinedVar`
    pub(crate) fn undefined(&mut self, names: impl IntoIterator<Item = String>) {
        for name in names {
            let declared = self.state.arguments.contains(&name);
            if declared || args::NOT_IN_ENVIRONMENT.contains(&name.as_str()) {
                continue;
            }
            let guess =
                nearest(&name, self.state.env.names()).map(|guess| format!(" (did you mean ${guess}?)"));
            let message = format!("Usage of undefined variable '${name}'{}", guess.unwrap_or_default());
            let mut remark = Diagnostic::warning("UndefinedVar", message, self.here);
            if self.pass.globals.get(&name).is_some() {
                let help = format!(
                    "what is set before the first FROM is seen in FROM alone: add ARG {name} to this stage"
                );
                remark = remark.with_help(help);
            }
            self.world.lint.take(remark);
        }
    }

    /// The title of the next step: the instruction with its variables.
    pub(crate) fn title(&mut self, original: &str) -> String {
        let text = crate::expand(original.trim(), &self.values(), self.pass.escape());
        let text = text.map_or_else(|_| original.trim().to_owned(), |expanded| expanded.text);
        self.plain_title(&capitalised(&text))
    }

    /// The title of a `RUN`: quotes and variables without a value stay, secrets are stars.
    pub(crate) fn run_title(&mut self, text: &str, secrets: &[String]) -> String {
        let mode = Mode { quotes: Quotes::Keep, escapes: Escapes::Remove, unset: Unset::Keep };
        let values = |name: &str| {
            let secret = secrets.iter().any(|secret| secret == name).then(|| "****".to_owned());
            secret.or_else(|| self.state.env.get(name).map(str::to_owned))
        };
        let text =
            lex(text, &values, self.pass.escape(), mode).map_or_else(|_| text.to_owned(), |lexed| lexed.text);
        self.plain_title(&capitalised(&text))
    }

    /// The title of the next step, as given.
    pub(crate) fn plain_title(&mut self, text: &str) -> String {
        self.progress.next(text, &self.state.platform, &self.state.env, self.on_build)
    }

    /// Adds a vertex for the current instruction.
    pub(crate) fn add_vertex(&mut self, op: Op, inputs: Vec<Input>, title: String, no_cache: bool) -> Edge {
        let meta = Meta { title, span: Some(self.here), no_cache };
        Edge::first(self.world.graph.add(op, inputs, meta))
    }

    /// Adds an entry to the history.
    pub(crate) fn record(&mut self, created_by: String, empty_layer: bool) {
        self.state.made.push(Text::Plain(created_by), empty_layer);
    }

    /// The tree behind a name of `--from` or of a mount's `from`.
    pub(crate) fn tree(&mut self, origin: &Origin, is_mount: bool) -> Result<Option<Edge>, Diagnostic> {
        match origin {
            Origin::Scratch => Ok(None),
            Origin::Stage(index) => match self.done.get(*index).and_then(Option::as_ref) {
                Some(state) => Ok(state.root),
                None => Err(self.stages.not_yet(self.index, *index, is_mount, self.here)),
            },
            Origin::Named(name) => {
                let platform = &self.pass.target_platform;
                let found = resolve::look(name, platform, self.here, self.stages, self.pass, self.world)?;
                let tree =
                    found.map(|found| found.into_tree(self.here, self.world, |full| format!("FROM {full}")));
                Ok(tree.and_then(|tree: Tree| tree.root))
            }
        }
    }
}

/// What stands between the parts of a path in the config.
pub(crate) fn separator(platform: &Platform) -> &'static str {
    if platform.os == "windows" { "\\" } else { "/" }
}

/// Seconds since 1970 as a time in the calendar.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years begin in March, so that the leap day is the last one.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + carry;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (1_577_934_245, "2020-01-02T03:04:05Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(rfc3339(seconds), expected);
        }
    }
}
