//! `rbuild build`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use builder::Session;
use builder::event::Event;
use builder::request::{
    BuildOutcome, BuildRequest, Frontend, LocalContext, OnFailure, PullPolicy, Squash, StepNetwork, Timeouts,
};
use dockerfile::{NamedContext, Naming, NoCache, Options};
use graph::ContextName;
use oci::Platform;
use runtime_exec::{Gateway, NetworkMode};

use super::arguments::{self, is_true};
use super::asked;
use super::call;
use super::elsewhere::{self, ContextPlace};
use super::given;
use super::metadata::SmallFiles;
use super::outputs;
use super::places::{self, Places, Sources};
use super::reproduce;
use super::sign;
use crate::args::{
    AskArgs, BuildArgs, CallArg, Format, Global, HostAddress, Method, NetworkArg, OutputArg, PullArg,
    SquashArg, Status,
};
use crate::client;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::{self, Form};
use crate::report::{self, BuildFile, Colour};

/// Runs the command.
pub fn run(args: &BuildArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    match args.call().method {
        Method::Build => build(args, global, environment),
        Method::Check | Method::Outline | Method::Targets | Method::Variables => {
            ask(args.call(), args, global, environment)
        }
    }
}

/// A command that asks one thing.
pub fn ask_alone(
    method: Method,
    args: &AskArgs,
    global: &Global,
    environment: &Environment,
) -> Result<(), Failure> {
    let &AskArgs { format, ref build } = args;
    if build.check || build.call.is_some() {
        return Err(Failure::usage("--check and --call are for rbuild build"));
    }
    if format == Format::Sarif && method != Method::Check {
        return Err(Failure::usage("--format sarif is for rbuild check"));
    }
    ask(CallArg { method, format, status: Status::Report }, build, global, environment)
}

/// Asks about the build. Only what is wrong is said besides the answer.
fn ask(call: CallArg, args: &BuildArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let sources = Sources::find(args)?;
    let mut options = options(args, environment)?;
    let mut outputs = outputs::parse(args, environment)?;
    let mut open = host::open(global, environment, Form::Quiet, None)?;
    open.session.remote_secrets = given::remote_secrets(&args.secrets, environment)?;
    open.session.git_agent = given::git_agent(&args.ssh, environment)?;
    let (build_file, answers) = (Arc::new(Mutex::new(BuildFile::default())), Arc::default());
    let result = open.runtime.block_on(async {
        let places = sources.fetch(&open.session, keep_git_dir(&options)).await?;
        places::take_layouts(&open.session, &mut options.named_contexts).await?;
        take_places(&mut options, &places, &build_file);
        let times = reproduce::times(args, &mut options, &mut outputs, &places, &open.session).await?;
        let frontend = call::frontend(call.method, options.clone(), Arc::clone(&answers));
        let frontend = remembering(frontend, Arc::clone(&build_file));
        let request = request(args, environment, places, options, (&outputs, times), frontend)?;
        let asking = builder::plan_only(&open.session, &request);
        tokio::select! {
            result = asking => result.map_err(Stop::Build),
            () = super::interrupted() => Err(Stop::Build(builder::BuildError::Cancelled)),
        }
    });
    open.end(&result);
    let result = match result {
        Ok(lowered) => Ok(lowered.warnings),
        Err(Stop::Before(failure)) => return Err(failure),
        Err(Stop::Build(error)) => Err(error),
    };
    let file = build_file.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    call::answer(call, result, &answers, &file)
}

fn build(args: &BuildArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let form = progress::choose(args.quiet, args.progress, environment).map_err(Failure::usage)?;
    let outputs = outputs::parse(args, environment)?;
    let key = sign::of_build(args, &outputs, environment)?;
    let built = perform(
        args,
        outputs,
        (form, ContextPlace::AsGiven),
        global,
        environment,
        async |session, outcome| match &key {
            Some(key) => sign::pushed(session, outcome, key).await,
            None => Ok(()),
        },
    )?;
    finish(&built.outcome, form, &built.build_file, report::colour(environment));
    Ok(())
}

/// A build that was done.
pub struct Built<T> {
    outcome: BuildOutcome,
    build_file: BuildFile,
    /// What was made of it afterwards.
    pub after: T,
}

/// Builds, and does something more in the same session when that went well.
pub fn perform<T>(
    args: &BuildArgs,
    mut outputs: Vec<OutputArg>,
    (form, context_place): (Form, ContextPlace),
    global: &Global,
    environment: &Environment,
    then: impl AsyncFnOnce(&Session, &BuildOutcome) -> Result<T, Failure>,
) -> Result<Built<T>, Failure> {
    let small_files = SmallFiles::of(args, environment)?;
    let sources = Sources::find(args)?;
    let mut options = options(args, environment)?;
    let mut open = host::open(global, environment, form, args.jobs.map(usize::from))?;
    open.session.remote_secrets = given::remote_secrets(&args.secrets, environment)?;
    open.session.git_agent = given::git_agent(&args.ssh, environment)?;
    open.session.ceiling = args.max_used_space.map(|most| Arc::new(builder::Ceiling::new(most)));
    outputs::trust(&outputs, args, &mut open, global, environment)?;
    let build_file = Arc::new(Mutex::new(BuildFile::default()));
    let result = open.runtime.block_on(async {
        let work = async {
            outputs::reach(&outputs).await?;
            let places = sources.fetch(&open.session, keep_git_dir(&options)).await?;
            places::take_layouts(&open.session, &mut options.named_contexts).await?;
            take_places(&mut options, &places, &build_file);
            let times = reproduce::times(args, &mut options, &mut outputs, &places, &open.session).await?;
            let frontend = call::frontend(Method::Build, options.clone(), Arc::default());
            let frontend = remembering(frontend, Arc::clone(&build_file));
            let mut request = request(args, environment, places, options, (&outputs, times), frontend)?;
            if context_place == ContextPlace::Elsewhere {
                elsewhere::copy_all(&open.session, &mut request.contexts).await?;
            }
            let outcome = builder::build(&open.session, request).await.map_err(Stop::Build)?;
            let after = then(&open.session, &outcome).await?;
            Ok((outcome, after))
        };
        tokio::select! {
            result = work => result,
            () = super::interrupted() => Err(Stop::Build(builder::BuildError::Cancelled)),
            never = beat(&open.session) => match never {},
        }
    });
    let store = open.session.store.clone();
    open.end(&result);
    if let Some(most) = args.max_used_space {
        super::prune::keep_within(&store, most)?;
    }
    let build_file = build_file.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (outcome, after) = result.map_err(|stop| match stop {
        Stop::Before(failure) => failure,
        Stop::Build(error) => report::build_failure(&error, &build_file, report::colour(environment)),
    })?;
    small_files.write(&outcome, &build_file)?;
    Ok(Built { outcome, build_file, after })
}

fn keep_git_dir(options: &Options) -> Option<bool> {
    let value = options.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR")?.as_deref()?;
    Some(is_true(Some(value)))
}

/// Tells the frontend and messages where the build file and the context are.
fn take_places(options: &mut Options, places: &Places, build_file: &Mutex<BuildFile>) {
    options.dockerfile_name.clone_from(&places.name);
    options.naming = places.naming;
    options.context_source.clone_from(&places.source);
    build_file.lock().unwrap_or_else(PoisonError::into_inner).name.clone_from(&places.shown);
}

/// Why there is no outcome.
enum Stop {
    /// There was no build yet.
    Before(Failure),
    Build(builder::BuildError),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Before(failure)
    }
}

/// Shows warnings and, when that is all there is to show, the image's id.
fn finish(outcome: &BuildOutcome, form: Form, build_file: &BuildFile, colour: Colour) {
    if matches!(form, Form::Plain | Form::Terminal(_) | Form::Grouped(_)) {
        for warning in &outcome.warnings {
            super::say(&report::diagnostic(warning, build_file, colour));
        }
        super::say(&summary(outcome));
    }
    if let (Form::Quiet, Some(id)) = (form, &outcome.image_id) {
        super::print(&format!("{id}\n"));
    }
}

/// Tells the drawer that time goes by.
async fn beat(session: &Session) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        session.events.send(Event::Beat).await;
    }
}

/// One line at the end: steps, time, bytes, the slowest steps.
fn summary(outcome: &BuildOutcome) -> String {
    let build = &outcome.build;
    let seconds = |millis: u64| format!("{}.{}s", millis / 1000, millis % 1000 / 100);
    let took = |step: &&builder::history::Step| {
        step.parts.is_some() && step.state == builder::history::State::Ran && step.millis >= 100
    };
    let mut slowest: Vec<_> = build.steps.iter().filter(took).collect();
    slowest.sort_by_key(|step| std::cmp::Reverse(step.millis));
    let named = |step: &&builder::history::Step| {
        let title = progress::printable(step.title.lines().next().unwrap_or_default().as_bytes());
        format!("{title} {}", seconds(step.millis))
    };
    let slowest: Vec<String> = slowest.iter().take(3).map(named).collect();
    let slowest =
        if slowest.is_empty() { String::new() } else { format!("; slowest: {}", slowest.join(", ")) };
    let moved: u64 = build.steps.iter().map(|step| step.transferred).sum();
    let moved = if moved == 0 { String::new() } else { format!(", {} transferred", progress::bytes(moved)) };
    let steps = outcome.steps;
    format!("{} ran, {} cached, {}{moved}{slowest}\n", steps.ran, steps.cached, seconds(build.millis))
}

fn options(args: &BuildArgs, environment: &Environment) -> Result<Options, Failure> {
    let platforms = match (args.platforms.as_slice(), environment.non_empty("DOCKER_DEFAULT_PLATFORM")) {
        ([], Some(default)) => vec![super::platform(Some(default))?],
        (given, _) => given.iter().map(|text| super::platform(Some(text))).collect::<Result<_, _>>()?,
    };
    let build_args = arguments::build_args(args, environment)?;
    Ok(Options {
        dockerfile_name: String::new(),
        naming: Naming::Given,
        ignore_file: arguments::ignore_file(args)?,
        target: args.target.clone(),
        platforms,
        build_platform: Platform::host(),
        multi_platform: build_args
            .get("BUILDKIT_MULTI_PLATFORM")
            .is_some_and(|value| is_true(value.as_deref())),
        build_args,
        labels: args.labels.iter().map(|label| (label.key.clone(), label.value.clone())).collect(),
        context_source: None,
        short_names: client::short_names(args.short_names, environment)?,
        named_contexts: places::named_contexts(args)?,
        no_cache: no_cache(args),
        add_hosts: given::hosts(&args.add_hosts, step_network(args).default)?.0,
        shm_size: args.shm_size,
        ulimits: args
            .ulimits
            .iter()
            .map(|limit| graph::Ulimit { name: limit.name.clone(), soft: limit.soft, hard: limit.hard })
            .collect(),
        network: network(args.network),
        hostname: args.hostname.clone(),
        deny: args.denied(),
        coverage: dockerfile::Coverage::Target,
        allow: allowed(args)?,
    })
}

fn network(network: NetworkArg) -> graph::Network {
    match network {
        NetworkArg::Default | NetworkArg::Private => graph::Network::Default,
        NetworkArg::None => graph::Network::None,
        NetworkArg::Host => graph::Network::Host,
    }
}

/// What steps get that name no network.
fn step_network(args: &BuildArgs) -> StepNetwork {
    let default = match args.network {
        NetworkArg::Default | NetworkArg::Host => NetworkMode::Host,
        NetworkArg::None => NetworkMode::None,
        NetworkArg::Private => NetworkMode::Private,
    };
    let to_host = args.add_hosts.iter().any(|host| host.address == HostAddress::Gateway);
    let gateway = if to_host { Gateway::Host } else { Gateway::Hidden };
    StepNetwork { default, resolvers: given::resolvers(&args.resolvers), gateway }
}

fn no_cache(args: &BuildArgs) -> NoCache {
    if args.no_cache {
        NoCache::All
    } else if args.no_cache_filter.is_empty() {
        NoCache::None
    } else {
        NoCache::Stages(args.no_cache_filter.iter().cloned().collect())
    }
}

fn allowed(args: &BuildArgs) -> Result<BTreeSet<String>, Failure> {
    for name in &args.allow {
        let known = ["network.host", "security.insecure", "device", outputs::DELETE].contains(&name.as_str());
        if !known && name.strip_prefix("device=").is_none_or(str::is_empty) {
            return Err(Failure::usage(format!(
                "--allow: unknown entitlement {name:?}; known are network.host, security.insecure, device, \
                 device=NAME, buildx.local.delete"
            )));
        }
    }
    Ok(args.allow.iter().cloned().collect())
}

fn request(
    args: &BuildArgs,
    environment: &Environment,
    mut places: Places,
    options: Options,
    (outputs, times): (&[OutputArg], reproduce::Times),
    frontend: Frontend,
) -> Result<BuildRequest, Failure> {
    for context in &args.build_contexts {
        if matches!(options.named_contexts.get(&context.name), Some(NamedContext::Local)) {
            let directory = LocalContext::Directory(PathBuf::from(&context.value));
            places.contexts.insert(ContextName::Named(context.name.clone()), directory);
        }
    }
    Ok(BuildRequest {
        contexts: places.contexts,
        context_metadata: times.metadata,
        asked: asked::asked(args, &options),
        source: options.context_source.clone(),
        build_file_name: options.dockerfile_name.clone(),
        squash: match args.squash {
            SquashArg::None => Squash::None,
            SquashArg::New => Squash::New,
            SquashArg::All => Squash::All,
            SquashArg::Auto => Squash::Auto,
        },
        attest: args.attestations().map_err(Failure::usage)?,
        secrets: given::secrets(&args.secrets, environment)?,
        ssh: given::ssh(&args.ssh, environment)?,
        device_directories: given::device_directories(&args.cdi_spec_dirs),
        cache_from: args.cache_from.clone(),
        cache_to: arguments::cache_to(args, &options),
        outputs: outputs.iter().map(|arg| arg.output.clone()).collect(),
        tags: outputs::tags(args)?,
        pull: match args.pull {
            PullArg::Always => PullPolicy::Always,
            PullArg::Newer => PullPolicy::Newer,
            PullArg::Missing => PullPolicy::Missing,
            PullArg::Never => PullPolicy::Never,
        },
        jobs: args.jobs.map(usize::from),
        no_cache: args.no_cache,
        cache_ttl: args.cache_ttl,
        verify_cache: args.verify_cache.map(|arg| arg.sample(any_seed)),
        on_failure: if args.keep_going { OnFailure::KeepGoing } else { OnFailure::Stop },
        network: step_network(args),
        limits: super::limits::limits(&args.limits)?,
        devices: given::devices(&args.devices)?,
        timeouts: Timeouts { whole: args.step_timeout, idle: args.idle_timeout },
        deadline: args.deadline,
        force_index: options.multi_platform,
        source_date_epoch: times.epoch,
        iidfile: args.iidfile.clone(),
        provenance: SmallFiles::of(args, environment)?.provenance,
        profile: args.profile.clone(),
        frontend,
    })
}

/// Another one in each build.
fn any_seed() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ u64::from(std::process::id())
}

/// The frontend, which remembers the build file's text for messages.
fn remembering(frontend: Frontend, build_file: Arc<Mutex<BuildFile>>) -> Frontend {
    Box::new(move |known| {
        let mut file = build_file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.text.is_none() {
            let of_build_file =
                |key: &&(ContextName, String)| key.0 == ContextName::BuildFile && !key.1.ends_with("ignore");
            let found = known
                .files
                .keys()
                .filter(of_build_file)
                .find_map(|key| Some((&key.1, known.files[key].as_ref()?)));
            if let Some((name, bytes)) = found {
                file.text = String::from_utf8(bytes.to_vec()).ok();
                file.found(name);
            }
        }
        drop(file);
        frontend(known)
    })
}
