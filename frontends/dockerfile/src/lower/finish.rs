//! All needed stages in file order, and the image that is made from the last one.

use graph::{ContextName, Diagnostic, Edge, Meta, Op, Scan, Target};
use oci::{ImageConfig, Platform, RootFs};

use super::contexts::Tree;
use super::declared::DeclaredArguments;
use super::env::{Env, Listed};
use super::made::Made;
use super::pass::{Pass, World};
use super::resolve::{self, Needed};
use super::stage::{Once, Scans, StageBuilder, State, rfc3339};
use super::stages::{Origin, Stage, Stages};
use super::title::Progress;
use crate::instruction::{Instruction, InstructionKind};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Lowers the stages that a target needs. `None`: something was asked for.
pub(crate) fn target(
    target: usize,
    stages: &Stages<'_>,
    needed: &Needed,
    pass: &Pass<'_>,
    world: &mut World<'_>,
) -> Result<Option<Target>, Diagnostic> {
    let mut done: Vec<Option<State>> = vec![None; stages.0.len()];
    for &index in &needed.stages {
        done[index] = one(index, &done, stages, needed, pass, world)?;
    }
    let Some(state) = done[target].take().filter(|_| world.needs.is_empty()) else { return Ok(None) };
    let scans = scans(target, &state, &done, stages, needed, pass, world);
    Ok(Some(Target { scans, ..finish(state, pass) }))
}

/// The trees beside the target's own that are to be looked through for software.
fn scans(
    target: usize,
    state: &State,
    done: &[Option<State>],
    stages: &Stages<'_>,
    needed: &Needed,
    pass: &Pass<'_>,
    world: &mut World<'_>,
) -> Vec<Scan> {
    let name =
        |index: usize| if is_alone(stages, needed) { String::new() } else { stages.0[index].label(index) };
    let mut found = Vec::new();
    if state.scans.wants_context(&name(target), &pass.globals) {
        let local = pass.ignore.source(ContextName::Main);
        let meta = Meta { title: "[internal] load build context".to_owned(), span: None, no_cache: false };
        let root = Some(Edge::first(world.graph.add(Op::Local(local), Vec::new(), meta)));
        found.push(Scan { name: "context".to_owned(), root });
    }
    for &index in needed.stages.iter().filter(|&&index| index != target && stages.0[index].replaced.is_none())
    {
        let Some(other) = &done[index] else { continue };
        if other.scans.wants_stage(&name(index), &pass.globals) {
            found.push(Scan { name: name(index), root: other.root });
        }
    }
    found
}

/// Whether there is one stage and nothing else that is copied from.
fn is_alone(stages: &Stages<'_>, needed: &Needed) -> bool {
    stages.0.len() == 1 && !needed.foreign
}

fn one(
    index: usize,
    done: &[Option<State>],
    stages: &Stages<'_>,
    needed: &Needed,
    pass: &Pass<'_>,
    world: &mut World<'_>,
) -> Result<Option<State>, Diagnostic> {
    let stage = &stages.0[index];
    let span = stage.from.span;
    if stage.replaced.is_some() {
        let Some(found) = resolve::replacement(stage, pass, world)? else { return Ok(None) };
        let platform = stage.platform.clone().unwrap_or_else(|| pass.target_platform.clone());
        let tree = found.into_tree(span, world, |full| format!("FROM {full}"));
        return Ok(Some(replaced(tree, platform)));
    }
    let triggers = needed.triggers.get(&index).map(Vec::as_slice).unwrap_or_default();
    let mut progress = Progress {
        stage: if is_alone(stages, needed) { String::new() } else { stage.label(index) },
        total: steps(stage) + triggers.len(),
        shown: 0,
        platforms: pass.show_platforms,
    };
    let Some(state) = beginning(stage, done, stages, pass, world, &mut progress)? else { return Ok(None) };
    let builder = StageBuilder {
        pass,
        world,
        stages,
        done,
        index,
        state,
        progress,
        no_cache: pass.options.no_cache.covers(stage.name.unwrap_or_default()),
        here: span,
        keyword: String::new(),
        on_build: false,
        once: Once::default(),
    };
    builder.take_all(triggers).map(Some)
}

/// How many steps a stage shows.
fn steps(stage: &Stage<'_>) -> usize {
    let shown = |instruction: &&Instruction| {
        matches!(
            instruction.kind,
            InstructionKind::Add(_)
                | InstructionKind::Copy(_)
                | InstructionKind::Run(_)
                | InstructionKind::Workdir(_)
        )
    };
    usize::from(matches!(stage.base, Origin::Named(_))) + stage.instructions.iter().filter(shown).count()
}

/// What a stage begins with.
fn beginning(
    stage: &Stage<'_>,
    done: &[Option<State>],
    stages: &Stages<'_>,
    pass: &Pass<'_>,
    world: &mut World<'_>,
    progress: &mut Progress,
) -> Result<Option<State>, Diagnostic> {
    match &stage.base {
        Origin::Scratch => {
            let config = empty_config(&pass.target_platform);
            Ok(Some(new_state(None, config, pass.target_platform.clone())))
        }
        Origin::Stage(base) => {
            let mut state = done[*base].clone();
            if let Some(state) = &mut state {
                state.image.config.on_build = None;
            }
            Ok(state)
        }
        Origin::Named(name) => {
            let span = stage.from.span;
            let platform = stage.platform.clone().unwrap_or_else(|| pass.target_platform.clone());
            let Some(found) = resolve::look(name, &platform, span, stages, pass, world)? else {
                return Ok(None);
            };
            if let Some(config) = found.config() {
                warn_other_platform(stage, &platform, config, world);
            }
            let env = Env::default();
            let tree = found.into_tree(span, world, |full| {
                progress.next(&format!("FROM {full}"), &platform, &env, false)
            });
            let config = tree.config.map_or_else(|| empty_config(&platform), inherited);
            let mut state = new_state(tree.root, config, platform);
            state.base = tree.base;
            Ok(Some(state))
        }
    }
}

/// `InvalidBaseImagePlatform`
fn warn_other_platform(stage: &Stage<'_>, wanted: &Platform, config: &ImageConfig, world: &mut World<'_>) {
    if config.os != wanted.os || config.architecture != wanted.architecture {
        let message = format!(
            "Base image {} was pulled with platform {:?}, expected {:?} for current build",
            stage.base_name,
            config.platform().normalise().to_string(),
            wanted.normalise().to_string()
        );
        world.lint.at(&stage.from.comments);
        world.lint.warn("InvalidBaseImagePlatform", stage.from.span, message);
    }
}

fn replaced(tree: Tree, platform: Platform) -> State {
    let config = tree.config.map_or_else(ImageConfig::default, inherited);
    let mut state = new_state(tree.root, config, platform);
    state.base = tree.base;
    for entry in state.image.config.env.clone().unwrap_or_default() {
        let (name, value) = super::env::split(&entry);
        state.env.set(name, value);
    }
    state
}

fn new_state(root: Option<graph::Edge>, image: ImageConfig, platform: Platform) -> State {
    State {
        root,
        base_history: image.history.len(),
        directory: image.config.working_dir.clone(),
        image,
        made: Made::default(),
        listed: Listed::default(),
        env: Env::default(),
        platform,
        arguments: DeclaredArguments::default(),
        workdir_set: false,
        base: None,
        scans: Scans::default(),
    }
}

/// The config of an image without layers.
fn empty_config(platform: &Platform) -> ImageConfig {
    let mut image = ImageConfig {
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone(),
        os: platform.os.clone(),
        os_version: platform.os_version.clone(),
        os_features: platform.os_features.clone(),
        ..ImageConfig::default()
    };
    image.config.working_dir = "/".to_owned();
    if platform.os != "windows" {
        image.config.env = Some(vec![DEFAULT_PATH.to_owned()]);
    }
    image
}

/// What of a base image's config goes on: neither its time nor its layers, which are told again,
/// nor what only describes the container it was made in. Its triggers have their effect and end.
fn inherited(config: ImageConfig) -> ImageConfig {
    let mut config = ImageConfig { created: None, rootfs: RootFs::default(), ..config };
    config.other.clear();
    config.config.other.clear();
    config.config.on_build = None;
    config
}

fn finish(state: State, pass: &Pass<'_>) -> Target {
    let mut image = state.image;
    image.history.extend(state.made.entries(pass.epoch.map(rfc3339)));
    let labels = &pass.options.labels;
    if !labels.is_empty() {
        image.config.labels.get_or_insert_default().extend(labels.clone());
    }
    if !pass.implicit_platform {
        say_platform(&mut image, &pass.target_platform);
    }
    let normal = image.platform().normalise();
    let platform = if pass.implicit_platform && !image.architecture.is_empty() {
        normal.clone()
    } else {
        pass.target_platform.clone()
    };
    image.os = normal.os;
    image.architecture = normal.architecture;
    image.variant = normal.variant;
    Target {
        platform,
        root: state.root,
        config: image,
        base_history: state.base_history,
        base: state.base,
        epoch: pass.epoch,
        scans: Vec::new(),
    }
}

/// The platform that was asked for, whatever the base image says.
fn say_platform(image: &mut ImageConfig, target: &Platform) {
    let same = image.os == target.os && image.architecture == target.architecture;
    image.os.clone_from(&target.os);
    image.architecture.clone_from(&target.architecture);
    if target.variant.is_some() || !same {
        image.variant.clone_from(&target.variant);
    }
    if target.os_version.is_some() || !same {
        image.os_version.clone_from(&target.os_version);
    }
    if !target.os_features.is_empty() {
        image.os_features.clone_from(&target.os_features);
    }
}
