//! From instructions to a graph.
//!
//! [`lower`] is a pure function that is asked again with more facts until it has all of them. Each
//! call reads the files, finds the stages that the target needs ([`resolve`]), asks for the images
//! they begin with, and only then takes their instructions one after the other ([`stage`]). For
//! several platforms this is done once each, into one graph; what is equal is one vertex there.

mod args;
mod check;
mod chmod;
mod contexts;
mod copy;
mod declared;
mod env;
mod epoch;
mod epoch_stage;
mod finish;
mod from_lints;
pub mod git_remote;
mod go_format;
mod inputs;
mod made;
mod metadata;
mod mounts;
mod notes;
mod options;
mod pass;
mod paths;
mod ports;
mod remote;
mod resolve;
mod run;
mod secret_names;
mod signal;
mod source;
mod stage;
mod stages;
mod title;
mod unconsumed;
mod variables;

use std::collections::{BTreeMap, BTreeSet};

use graph::{Diagnostic, Graph, Known, Lowered, Need, Span, Step, Target};
use oci::Platform;

use check::{CheckOptions, Lint};
use epoch::Epoch;
use notes::Notes;
use pass::{Pass, Scope, World};
use source::Ignore;
use stages::Stages;
use variables::Variables;

pub(crate) use mounts::source_name as mount_source;
pub use options::{Coverage, Deny, NamedContext, Naming, NoCache, Options};

use crate::instruction::{File, Instruction, InstructionKind, Reading};
use crate::lint::Remark;
use crate::survey::{Survey, TargetInfo};

/// Facts to ask for, and the text that asks.
type Needs = BTreeMap<Need, Option<Span>>;

/// Makes a graph from a Dockerfile, or asks for what is missing.
///
/// # Errors
/// All errors that were found in the file (the grammar), or the first one (its meaning), after the
/// warnings that came before.
pub fn lower(options: &Options, known: &Known) -> Result<Step, Vec<Diagnostic>> {
    survey(options, known, Variables::unnoted()).map(|(step, _)| step)
}

/// As [`lower`], with what the target takes from its caller and the variables of its stages, once the graph
/// is there.
///
/// # Errors
/// As [`lower`].
pub fn lower_with_survey(options: &Options, known: &Known) -> Result<(Step, Survey), Vec<Diagnostic>> {
    survey(options, known, Variables::default())
}

fn survey(options: &Options, known: &Known, variables: Variables) -> Result<(Step, Survey), Vec<Diagnostic>> {
    let one = |error| vec![error];
    let mut needs = Needs::new();
    let found = source::dockerfile(options, known, &mut needs).map_err(one)?;
    let ignore = source::main_ignore(options, found.as_ref(), known, &mut needs).map_err(one)?;
    let (Some(found), Some(ignore)) = (found, ignore) else {
        return Ok((Step::Need(needs), Survey::default()));
    };
    let reading = crate::parse_leniently(found.text);
    source::our_syntax(options, &reading.file.directives).map_err(one)?;
    let mut lint = Lint::new(check_options(options, &reading.file).map_err(one)?.denying(&options.deny));
    remark_on_text(&reading, &mut lint);
    let Reading { file, errors, .. } = reading;
    if !errors.is_empty() {
        return Err(lint.into_found().into_iter().chain(errors).collect());
    }
    let mut world = World {
        known,
        needs,
        graph: Graph::new(),
        lint,
        notes: Notes::default(),
        variables,
        entitlements: BTreeSet::new(),
    };
    match lower_all(options, &file, &ignore, &mut world) {
        Err(error) => Err(world.lint.into_found().into_iter().chain([error]).collect()),
        Ok(_) if !world.needs.is_empty() => Ok((Step::Need(world.needs), Survey::default())),
        Ok(targets) => {
            let World { graph, entitlements, lint, notes, variables, .. } = world;
            let warnings = match options.coverage {
                Coverage::Target => {
                    let unconsumed = unconsumed::remark(options, &file, &notes);
                    lint.finish()?.into_iter().chain(unconsumed).collect()
                }
                Coverage::Check => lint.into_found(),
            };
            let lowered = Lowered { graph, targets, warnings, entitlements };
            let survey = Survey { outline: notes.outline(), variables: variables.finish() };
            Ok((Step::Done(Box::new(lowered)), survey))
        }
    }
}

/// The stages of a file, as targets, in its order. They are complete when nothing is asked for.
///
/// # Errors
/// All errors of grammar, without remarks, as BuildKit gives them.
pub fn targets(options: &Options, known: &Known) -> Result<(Step, Vec<TargetInfo>), Vec<Diagnostic>> {
    let mut needs = Needs::new();
    let Some(found) = source::dockerfile(options, known, &mut needs).map_err(|error| vec![error])? else {
        return Ok((Step::Need(needs), Vec::new()));
    };
    let file = crate::parse(found.text)?;
    let mut found: Vec<TargetInfo> = file.instructions.iter().filter_map(target_info).collect();
    if let Some(last) = found.last_mut() {
        last.is_default = true;
    }
    let (graph, entitlements) = (Graph::new(), BTreeSet::new());
    let nothing = Lowered { graph, targets: Vec::new(), warnings: Vec::new(), entitlements };
    Ok((Step::Done(Box::new(nothing)), found))
}

fn target_info(instruction: &Instruction) -> Option<TargetInfo> {
    let InstructionKind::From(from) = &instruction.kind else { return None };
    let name = from.name.as_ref().map(|name| name.name.clone());
    Some(TargetInfo {
        description: name.as_deref().and_then(|name| instruction.doc_comment(name)).map(str::to_owned),
        name,
        is_default: false,
        base: from.image.value.clone(),
        platform: from.platform.as_ref().map(|platform| platform.value.clone()),
        span: instruction.span,
    })
}

/// Remarks that need nothing but the text of the file: up to the first error, and about all of it where
/// there is none.
fn remark_on_text(reading: &Reading, lint: &mut Lint) {
    let Reading { file, refused, errors } = reading;
    file.warnings.iter().for_each(|warning| lint.take(warning.clone()));
    remark(crate::lint::of_each(&file.instructions), lint);
    if let Some(refused) = refused {
        remark(crate::lint::of_refused(refused), lint);
    }
    if !errors.is_empty() {
        return;
    }
    lint.at(&[]);
    from_lints::names(&file.instructions, lint);
    remark(crate::lint::of_all(&file.instructions), lint);
    if lint.may_want_experiments(&file.instructions) {
        remark(crate::lint::own_remarks(&file.instructions), lint);
    }
    lint.at(&[]);
}

fn remark(remarks: Vec<Remark<'_>>, lint: &mut Lint) {
    for remark in remarks {
        lint.at(remark.comments);
        let wanted = remark.diagnostic.rule.is_some_and(|rule| lint.experimental(rule));
        if wanted || !remark.experimental {
            lint.take(remark.diagnostic);
        }
    }
}

fn check_options(options: &Options, file: &File) -> Result<CheckOptions, Diagnostic> {
    if let Some(text) = options.build_arg("BUILDKIT_DOCKERFILE_CHECK") {
        let message = |fault| format!("failed to parse BUILDKIT_DOCKERFILE_CHECK: {fault}");
        return CheckOptions::parse(text).map_err(|fault| Diagnostic::error(message(fault), None));
    }
    match &file.directives.check {
        None => Ok(CheckOptions::default()),
        Some(check) => CheckOptions::parse(&check.value).map_err(|fault| {
            Diagnostic::error(format!("failed to parse check options: {fault}"), check.span)
        }),
    }
}

/// One target for each platform. Empty while something is asked for.
fn lower_all(
    options: &Options,
    file: &File,
    ignore: &Ignore,
    world: &mut World<'_>,
) -> Result<Vec<Target>, Diagnostic> {
    let mut platforms: Vec<Option<Platform>> = Vec::new();
    for platform in options.platforms.iter().map(|platform| Some(platform.normalise())) {
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    if platforms.is_empty() {
        platforms.push(None);
    }
    let show_platforms = options.multi_platform || platforms.len() > 1;
    let mut targets = Vec::new();
    for platform in platforms {
        let request = Request { options, file, ignore, platform, show_platforms };
        targets.extend(request.lower(world)?);
        world.lint.mute();
        world.variables.close();
    }
    Ok(targets)
}

/// One platform.
struct Request<'a> {
    options: &'a Options,
    file: &'a File,
    ignore: &'a Ignore,
    /// `None`: the build platform, since none was asked for.
    platform: Option<Platform>,
    show_platforms: bool,
}

impl Request<'_> {
    fn lower(self, world: &mut World<'_>) -> Result<Option<Target>, Diagnostic> {
        let Self { options, file, ignore, platform, show_platforms } = self;
        let implicit_platform = platform.is_none();
        let build_platform = options.build_platform.normalise();
        let target_platform = platform.unwrap_or_else(|| build_platform.clone());
        let mut arguments = args::given(options);
        let target_name = options.target.clone().filter(|name| !name.is_empty());
        let target_name = target_name.unwrap_or_else(|| last_stage_name(file));
        let escape = file.directives.escape;
        let predefined = args::predefined(&build_platform, &target_platform, &target_name, &arguments);
        from_lints::defaults(&file.instructions, predefined.clone(), escape, &mut world.lint);
        let mut globals = args::globals(predefined, &file.instructions, &arguments, escape)?;
        let epoch = match epoch::resolve(options, file, &mut arguments, &mut globals, world)? {
            Epoch::Known(epoch) => epoch,
            Epoch::Asked => return Ok(None),
        };
        let mut scope = Scope {
            options,
            escape,
            target_platform: target_platform.clone(),
            globals,
            declared: args::leading(&file.instructions).map(|arg| arg.name.value.clone()).collect(),
            lint: &mut world.lint,
        };
        let stages = Stages::read(&file.instructions, &mut scope)?;
        let globals = scope.globals;
        let target = stages.target(options.target.as_deref())?;
        stages.refuse_circles()?;
        stages.refuse_bad_names(options, &target_platform)?;
        world.notes.globals(&file.instructions, &globals);
        world.variables.globals(&file.instructions, &globals, &arguments);
        world.notes.target(stages.0[target].name, stages.0[target].from);
        let named = options.target.as_deref().is_some_and(|name| !name.is_empty());
        let wanted = match options.coverage {
            Coverage::Check if !named => (0..stages.0.len()).collect(),
            Coverage::Check | Coverage::Target => vec![target],
        };
        let proxies = args::proxies(&arguments);
        let pass = Pass {
            options,
            file,
            ignore,
            target_platform,
            implicit_platform,
            show_platforms,
            arguments,
            globals,
            proxies,
            epoch,
        };
        let needed = resolve::needed(wanted, &stages, &pass, world)?;
        if !world.needs.is_empty() {
            return Ok(None);
        }
        finish::target(target, &stages, &needed, &pass, world)
    }
}

fn last_stage_name(file: &File) -> String {
    let names = file.instructions.iter().rev().find_map(|instruction| {
        let InstructionKind::From(from) = &instruction.kind else { return None };
        Some(from.name.as_ref().map(|name| name.name.clone()))
    });
    names.flatten().unwrap_or_default()
}
