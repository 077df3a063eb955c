//! A process in the state of a failed step, and the step once more.

use graph::{ExecOp, MountKind, Network, Security};
use layer_store::Snapshot;
use runtime_exec::{Exit, Keepers, Terminal};

use super::document::{FailedStep, Origin};
use super::error::DebugError;
use super::keep;
use crate::Session;
use crate::event::{Ending, Event, StepId};
use crate::exec::{self, KillSwitch, StepResources};
use crate::history::{Asked, Build, Recorder};
use crate::request::StepNetwork;
use crate::toolchain::RunIo;
use crate::worker::{Permit, blocking};

/// Which state of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// As it left it.
    After,
    /// As it found it.
    Before,
}

/// What the step of a bundle may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entitled {
    /// The host's network where the step asks for it.
    pub network_host: bool,
    /// No confinement where the step asks for that.
    pub security_insecure: bool,
    /// Devices of the host where the step asks for them.
    pub device: bool,
}

/// How a failed step is entered.
pub struct DebugOptions {
    /// Program and arguments; empty: the step's own shell.
    pub command: Vec<String>,
    /// Which state.
    pub moment: Moment,
    /// Secrets, agents and devices, as for a build.
    pub resources: StepResources,
    /// What the step of a bundle may have.
    pub entitled: Entitled,
    /// Height and width of the caller's terminal, to give the process one of its own.
    pub terminal: Option<(u16, u16)>,
}

/// Runs a process in the state of a failed step; what it changes there is thrown away. Secrets and agents
/// that are not given are absent, whatever the step says. Dropping the future kills it.
pub async fn enter(
    session: &Session,
    failed: &FailedStep,
    mut options: DebugOptions,
    io: RunIo,
) -> Result<Exit, DebugError> {
    let mut op = failed.allowed(&options.entitled)?;
    let mut inputs = failed.inputs.clone();
    if options.moment == Moment::After {
        let ending = || failed.ending.clone();
        let state = failed.state.clone().ok_or_else(|| DebugError::NoState { ending: ending() })?;
        let base = inputs.first().cloned().flatten().unwrap_or_default();
        match inputs.first_mut() {
            Some(root) => *root = Some(base.with(state)),
            None => inputs.push(Some(base.with(state))),
        }
    }
    want_less(&mut op);
    op.args = match options.command.is_empty() {
        true => shell(&op),
        false => options.command,
    };
    options.resources.network = failed.networks();
    let switch = KillSwitch::default();
    let wire = switch.wire();
    let (session, resources, terminal) = (session.clone(), options.resources, options.terminal);
    let exit = blocking(Permit::free(), move || {
        let mut prepared = exec::prepare(&session, &op, &inputs, &resources)?;
        if let Some((rows, columns)) = terminal {
            prepared.spec.terminal = Terminal::New { rows, columns };
            exec::set_default_variable(&mut prepared.spec.env, "TERM", "xterm");
        }
        let exit = io.attend(&prepared.spec, &wire, &Keepers::default())?;
        drop(prepared);
        Ok::<_, DebugError>(exit)
    })
    .await;
    switch.disarm();
    exit
}

/// Runs a failed step once more, as a build of its own in the journal; that build.
pub async fn reproduce(
    session: &Session,
    failed: &FailedStep,
    mut resources: StepResources,
    entitled: &Entitled,
    shown: &str,
) -> Result<Build, DebugError> {
    let op = failed.allowed(entitled)?;
    resources.network = failed.networks();
    let subject = vec!["bundle".to_owned(), shown.to_owned()];
    let recorder = Recorder::begin(session, Asked { subject, ..Asked::default() }, false);
    session.events.record(Some(recorder.clone()));
    let (step, began) = (StepId(0), std::time::Instant::now());
    session
        .events
        .send(Event::Planned { step, title: failed.title.clone(), span: None, inputs: Vec::new() })
        .await;
    session.events.send(Event::Started { step }).await;
    let error = match exec::run_exec(session, &op, &failed.inputs, step, &resources).await {
        Ok(_) => None,
        Err(why) => Some(keep(&recorder, step, &op, &failed.inputs, &resources, why).await),
    };
    let ending = error.as_ref().map_or(Ending::Done, |error| Ending::Failed(error.to_string()));
    session.events.send(Event::Finished { step, ending, took: began.elapsed() }).await;
    session.events.record(None);
    Ok(recorder.finish(error.map(|error| error.to_string())).await)
}

impl FailedStep {
    /// The step, if all that it wants is allowed. A build of this store was allowed it before.
    fn allowed(&self, entitled: &Entitled) -> Result<ExecOp, DebugError> {
        let op = self.process.op();
        if self.origin == Origin::Here {
            return Ok(op);
        }
        let wants = [
            (op.network == Network::Host && !entitled.network_host, "network.host"),
            (op.security == Security::Insecure && !entitled.security_insecure, "security.insecure"),
            (!op.devices.is_empty() && !entitled.device, "device"),
        ];
        match wants.into_iter().find(|(refused, _)| *refused) {
            Some((_, what)) => Err(DebugError::NotAllowed { what }),
            None => Ok(op),
        }
    }

    fn networks(&self) -> StepNetwork {
        StepNetwork { default: self.network, resolvers: self.resolvers.clone(), ..StepNetwork::default() }
    }

    /// The tree that the step ran upon.
    pub fn root(&self) -> Snapshot {
        self.inputs.first().cloned().flatten().unwrap_or_default()
    }
}

/// Nothing that was given to the build has to be given for a look.
fn want_less(op: &mut ExecOp) {
    for mount in &mut op.mounts {
        match &mut mount.kind {
            MountKind::Secret { required, .. } | MountKind::Ssh { required, .. } => *required = false,
            MountKind::Bind { .. } | MountKind::Cache { .. } | MountKind::Tmpfs { .. } => {}
        }
    }
    for secret in &mut op.secret_env {
        secret.required = false;
    }
}

/// The shell that ran the step, where one did.
fn shell(op: &ExecOp) -> Vec<String> {
    const DEFAULT: &str = "/bin/sh";
    let own = match op.args.as_slice() {
        [shell, flag, ..] if flag.starts_with('-') && flag.ends_with('c') => shell.as_str(),
        _ => DEFAULT,
    };
    vec![own.to_owned()]
}
