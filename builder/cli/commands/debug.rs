//! `rbuild debug`: a look at a failed step.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;

use builder::debug::{self, DebugError, DebugOptions, Entitled, FailedStep, Moment};
use builder::error::{Categorised, Category};
use builder::exec::StepResources;
use layer_store::{BuildId, Store};

use super::{given, history, run};
use crate::args::{DebugArgs, Global};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// What docker, and `run`, exit with for failures of their own.
const OURS: u8 = 125;

/// Runs the command; the value is the exit code of the command inside.
pub fn run(args: &DebugArgs, global: &Global, environment: &Environment) -> Result<u8, Failure> {
    match (&args.import, &args.export) {
        (Some(file), _) => import(args, file, global, environment),
        (None, Some(file)) => export(args, file, global, environment),
        (None, None) => enter(args, global, environment).map_err(|failure| match failure.code {
            126 | 127 => failure,
            _ => failure.with_code(OURS),
        }),
    }
}

fn enter(args: &DebugArgs, global: &Global, environment: &Environment) -> Result<u8, Failure> {
    let command = args.command.iter().cloned().map(OsString::into_string);
    let command = command.collect::<Result<Vec<_>, _>>();
    let command =
        command.map_err(|word| Failure::usage(format!("{} is not UTF-8", word.to_string_lossy())))?;
    let terminal = run::window().filter(|_| std::io::stdout().is_terminal());
    let mut io = run::io(run::Attached { input: true, terminal: terminal.is_some() })?;
    let options = DebugOptions {
        command,
        moment: if args.before { Moment::Before } else { Moment::After },
        resources: resources(args, environment)?,
        entitled: entitled(args)?,
        terminal,
    };
    let signals = run::Signals::default();
    let receive = signals.receiver();
    io.on_starting = Some(signals.starting());
    io.on_started = Some(Box::new(move |running| receive(running.killer())));
    let open = host::open(global, environment, Form::Quiet, None)?;
    let (session, runtime) = (open.session.clone(), &open.runtime);
    let result = find(&open.session.store, args).map(|failed| {
        runtime.block_on(async {
            tokio::select! {
                result = debug::enter(&session, &failed, options, io) => Some(result),
                () = signals.pass_on() => None,
            }
        })
    });
    drop(session);
    open.close();
    match result? {
        Some(Ok(exit)) => Ok(run::ended(exit)),
        Some(Err(DebugError::Exec(error))) => {
            Err(Failure::from_error(error.category(), &error).with_code(run::code_of_exec(&error)))
        }
        Some(Err(error)) => Err(Failure::from_error(error.category(), &error)),
        None => Ok(130),
    }
}

fn export(args: &DebugArgs, file: &Path, global: &Global, environment: &Environment) -> Result<u8, Failure> {
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let failed = find(&session.store, args)?;
    open.work(async move { debug::export(&session, &failed, file).await })?;
    Ok(0)
}

/// Takes a bundle in and runs its step; 0 where it ends as it did.
fn import(args: &DebugArgs, file: &Path, global: &Global, environment: &Environment) -> Result<u8, Failure> {
    let (resources, entitled) = (resources(args, environment)?, entitled(args)?);
    let open = host::open(global, environment, Form::Plain, None)?;
    let session = open.session.clone();
    let shown = file.display().to_string();
    let (before, build) = open.work(async move {
        let failed = debug::import(&session, file).await?;
        let build = debug::reproduce(&session, &failed, resources, &entitled, &shown).await?;
        Ok::<_, DebugError>((failed.ending, build))
    })?;
    let now = build.failure.as_deref().unwrap_or("success");
    let (printable, code) =
        (|text: &str| crate::progress::printable(text.as_bytes()), u8::from(now != before));
    super::print(&match code {
        0 => format!("reproduced: {}\n", printable(now)),
        _ => format!("not reproduced: {} there, {} here\n", printable(&before), printable(now)),
    });
    Ok(code)
}

/// The step that is meant.
fn find(store: &Store, args: &DebugArgs) -> Result<FailedStep, Failure> {
    let failed = |error: layer_store::StoreError| Failure::from_error(Category::Local, &error);
    let absent = |what: String| Failure::new(Category::Local, what);
    let (build, steps) = match &args.build {
        Some(wanted) => {
            let build = history::find(store, Some(wanted))?;
            let id = BuildId::parse(&build.id).ok_or_else(|| absent("a build without an id".to_owned()))?;
            let steps = store.states(&id).map_err(failed)?;
            (id, steps)
        }
        None => {
            let mut found = None;
            for id in store.builds().map_err(failed)? {
                let steps = store.states(&id).map_err(failed)?;
                if !steps.is_empty() {
                    found = Some((id, steps));
                    break;
                }
            }
            found.ok_or_else(|| absent("no failed step is kept; prune removes them".to_owned()))?
        }
    };
    let step = match args.step {
        Some(step) => steps.iter().find(|known| **known == step),
        None => steps.first(),
    };
    let step = *step.ok_or_else(|| absent(format!("no such failed step is kept of build {build}")))?;
    let state = debug::load(store, &build, step).map_err(failed)?;
    state.ok_or_else(|| absent(format!("the state of step {step} of build {build} is gone")))
}

fn resources(args: &DebugArgs, environment: &Environment) -> Result<StepResources, Failure> {
    let mut resources = StepResources::default();
    resources.secrets = given::secrets(&args.secrets, environment)?;
    resources.ssh = given::ssh(&args.ssh, environment)?;
    resources.device_directories = given::device_directories(&[]);
    Ok(resources)
}

fn entitled(args: &DebugArgs) -> Result<Entitled, Failure> {
    let mut entitled = Entitled::default();
    for name in &args.allow {
        match name.as_str() {
            "network.host" => entitled.network_host = true,
            "security.insecure" => entitled.security_insecure = true,
            "device" => entitled.device = true,
            _ => {
                return Err(Failure::usage(format!(
                    "--allow: unknown entitlement {name:?}; known are network.host, security.insecure, device"
                )));
            }
        }
    }
    Ok(entitled)
}
