//! A container from an image: a process upon its files, which are thrown away afterwards.

use std::os::fd::OwnedFd;

use graph::{ExtraHost, ImageSource};
use layer_store::{ActiveLayer, CacheKey, Claim, Snapshot};
use oci::{ImageConfig, Platform, Reference};
use runtime_exec::{
    Capabilities, Confinement, EtcFiles, Exit, FirstProcess, Gateway, Isolation, Keepers, Limits, MountSpec,
    NetworkMode, ProcessSpec, PublishedPort, ReadOnly, Rlimit, Running, SecurityOptions, StepIo, StepUser,
    Terminal,
};

use super::error::ToolError;
use crate::Session;
use crate::event::StepId;
use crate::exec::{
    DEFAULT_PATH, ExecError, KillSwitch, Wire, account, check_hostname, check_process, hosts, identities,
    resolv_conf, root_of, set_default_variable, set_variable, split_environment, writable,
};
use crate::image::{image_facts, pull_image};
use crate::request::{PullPolicy, Resolvers};
use crate::worker::{Permit, blocking};

const HOSTNAME: &str = "rbuild";

/// What the caller wants different from the image.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Arguments instead of the image's; empty: the image's.
    pub command: Vec<String>,
    /// Program instead of the image's entry point; `Some` of an empty list: none.
    pub entrypoint: Option<Vec<String>>,
    /// Variables.
    pub env: Vec<(String, String)>,
    /// User.
    pub user: Option<String>,
    /// Working directory.
    pub workdir: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
    /// The network.
    pub network: NetworkMode,
    /// Whether a private network reaches the host.
    pub gateway: Gateway,
    /// Ports of the host that lead into a private network.
    pub ports: Vec<PublishedPort>,
    /// Changes to the default confinement.
    pub security: SecurityOptions,
    /// A name that no other running container of the store has.
    pub name: Option<String>,
    /// How names are looked up.
    pub resolvers: Resolvers,
    /// Directories and files of the host to mount.
    pub mounts: Vec<MountSpec>,
    /// Whether the image's files may be written.
    pub root_access: ReadOnly,
    /// What root may do.
    pub capabilities: Capabilities,
    /// `true`: set-user-id programs gain nothing.
    pub no_new_privs: bool,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// What it may use of the machine.
    pub limits: Limits,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// Who is process 1.
    pub first_process: FirstProcess,
    /// Lines for `/etc/hosts`.
    pub extra_hosts: Vec<ExtraHost>,
    /// Height and width of the caller's terminal, to give the process one of its own.
    pub terminal: Option<(u16, u16)>,
}

/// Sees a process that runs now.
pub type OnStarted = Box<dyn FnOnce(&Running) + Send>;

/// Hears that a process is about to be started.
pub type OnStarting = Box<dyn FnOnce() + Send>;

/// What the process is connected to.
pub struct RunIo {
    /// Its input; `None` is `/dev/null`.
    pub stdin: Option<OwnedFd>,
    /// Its output.
    pub stdout: OwnedFd,
    /// Its messages.
    pub stderr: OwnedFd,
    /// Gets our side of the terminal, where one was asked for, in the thread that waits; it should
    /// hand it to a thread of its own and return.
    pub on_terminal: Option<Box<dyn FnOnce(OwnedFd) + Send>>,
    /// Hears of the start before it: from then on the program may run already.
    pub on_starting: Option<OnStarting>,
    /// Sees the process, once it runs: what passes signals to it, and which limits it does not have.
    pub on_started: Option<OnStarted>,
}

impl RunIo {
    /// Starts a process and waits for its end, or for the switch that ends it.
    pub(crate) fn attend(
        self,
        spec: &ProcessSpec,
        wire: &Wire,
        keepers: &Keepers,
    ) -> Result<Exit, ExecError> {
        if wire.is_pulled() {
            return Ok(Exit::Signal(rustix::process::Signal::KILL.as_raw()));
        }
        let io = StepIo { stdin: self.stdin, stdout: self.stdout, stderr: self.stderr };
        if let Some(tell) = self.on_starting {
            tell();
        }
        let mut running = keepers.spawn(spec, io)?;
        wire.connect(running.killer());
        if let Some(take) = self.on_started {
            take(&running);
        }
        if let (Some(terminal), Some(take)) = (running.take_terminal(), self.on_terminal) {
            take(terminal);
        }
        Ok(running.wait()?)
    }
}

/// Runs a process from an image, which is pulled where it is absent. Dropping the future kills it.
pub async fn run(
    session: &Session,
    name: &Reference,
    platform: &Platform,
    options: RunOptions,
    io: RunIo,
    step: StepId,
) -> Result<Exit, ToolError> {
    check_hostname(session, options.hostname.as_deref())?;
    let _named = options.name.as_deref().map(|name| claim(session, name)).transpose()?;
    let keepers = Keepers::default();
    match (options.network, session.host.isolation.kind()) {
        (NetworkMode::Private, Isolation::Namespaces) if options.ports.is_empty() => {
            keepers.expect_network(options.gateway);
        }
        (NetworkMode::Private | NetworkMode::None | NetworkMode::Host, _) => {}
    }
    let facts = image_facts(session, name, platform, PullPolicy::Missing).await?;
    let source =
        ImageSource { reference: name.clone(), manifest: facts.manifest, platform: platform.clone() };
    let snapshot = pull_image(session, &source, step).await?;
    let switch = KillSwitch::default();
    let wire = switch.wire();
    let (session, name) = (session.clone(), name.clone());
    let exit = blocking(Permit::free(), move || {
        let layer = writable(&session, &snapshot)?;
        let spec = spec(&session, &name, &snapshot, &layer, &facts.config, &options)?;
        check_process(&session, &spec)?;
        let exit = io.attend(&spec, &wire, &keepers)?;
        drop(layer);
        Ok::<_, ToolError>(exit)
    })
    .await;
    switch.disarm();
    exit
}

/// Takes the name of a container for as long as it runs.
fn claim(session: &Session, name: &str) -> Result<Claim, ToolError> {
    let key = CacheKey(*blake3::hash(format!("container {name}").as_bytes()).as_bytes());
    let claim = session.store.try_claim(&key)?;
    claim.ok_or_else(|| ToolError::NameInUse { name: name.to_owned() })
}

fn spec(
    session: &Session,
    name: &Reference,
    snapshot: &Snapshot,
    layer: &ActiveLayer,
    config: &ImageConfig,
    options: &RunOptions,
) -> Result<ProcessSpec, ToolError> {
    let args = args(config, options);
    if args.is_empty() {
        return Err(ToolError::NoCommand { name: name.clone() });
    }
    let run = &config.config;
    let user = account(&session.store, snapshot, options.user.as_deref().unwrap_or(&run.user))?;
    let hostname = options.hostname.clone().unwrap_or_else(|| HOSTNAME.to_owned());
    let workdir = options.workdir.clone().unwrap_or_else(|| run.working_dir.clone());
    Ok(ProcessSpec {
        root: root_of(session, snapshot, layer),
        args,
        env: environment(config, options, &user.home),
        cwd: if workdir.is_empty() { "/".to_owned() } else { workdir },
        user: StepUser { uid: user.uid, gid: user.gid, groups: user.groups },
        mounts: options.mounts.clone(),
        network: options.network,
        gateway: options.gateway,
        ports: options.ports.clone(),
        security: options.security.clone(),
        confinement: Confinement::Default,
        etc: EtcFiles {
            hosts: Some(hosts(&hostname, &options.extra_hosts)),
            resolv_conf: Some(resolv_conf(&session.host.resolv_conf, options.network, &options.resolvers)),
        },
        hostname,
        shm_size: options.shm_size,
        rlimits: options.rlimits.clone(),
        no_new_privs: options.no_new_privs,
        limits: options.limits.clone(),
        capabilities: options.capabilities,
        root_access: options.root_access,
        terminal: match options.terminal {
            Some((rows, columns)) => Terminal::New { rows, columns },
            None => Terminal::None,
        },
        identities: identities(session.host.mode, layer, None)?,
        isolation: session.host.isolation.kind(),
        first_process: options.first_process,
    })
}

/// As docker does it: another entry point drops the image's command, another command does not drop
/// the entry point.
fn args(config: &ImageConfig, options: &RunOptions) -> Vec<String> {
    let run = &config.config;
    let (entrypoint, command) = match &options.entrypoint {
        Some(own) => (own.clone(), None),
        None => (run.entrypoint.clone().unwrap_or_default(), run.cmd.clone()),
    };
    let command = match options.command.is_empty() {
        true => command.unwrap_or_default(),
        false => options.command.clone(),
    };
    entrypoint.into_iter().chain(command).collect()
}

fn environment(config: &ImageConfig, options: &RunOptions, home: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (name, value) in split_environment(config.config.env.as_deref().unwrap_or_default()) {
        set_variable(&mut all, &name, &value);
    }
    if options.terminal.is_some() {
        set_default_variable(&mut all, "TERM", "xterm");
    }
    for (name, value) in &options.env {
        set_variable(&mut all, name, value);
    }
    set_default_variable(&mut all, "PATH", DEFAULT_PATH);
    set_default_variable(&mut all, "HOME", home);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entrypoint: Option<&[&str]>, command: &[&str], expected: &[&str]) {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut config = ImageConfig::default();
        config.config.entrypoint = Some(list(&["entry"]));
        config.config.cmd = Some(list(&["cmd"]));
        let options = RunOptions {
            command: list(command),
            entrypoint: entrypoint.map(list),
            env: Vec::new(),
            user: None,
            workdir: None,
            hostname: None,
            network: NetworkMode::None,
            gateway: Gateway::Hidden,
            security: SecurityOptions::default(),
            name: None,
            resolvers: Resolvers::default(),
            ports: Vec::new(),
            mounts: Vec::new(),
            root_access: ReadOnly::No,
            capabilities: Capabilities::DEFAULT,
            no_new_privs: false,
            rlimits: Vec::new(),
            limits: Limits::default(),
            shm_size: runtime_exec::DEFAULT_SHM_SIZE,
            first_process: FirstProcess::Program,
            extra_hosts: Vec::new(),
            terminal: None,
        };
        assert_eq!(args(&config, &options), list(expected));
    }

    #[test]
    fn entry_point_and_command() {
        check(None, &[], &["entry", "cmd"]);
        check(None, &["x", "y"], &["entry", "x", "y"]);
        check(Some(&["own"]), &[], &["own"]);
        check(Some(&["own"]), &["x"], &["own", "x"]);
        check(Some(&[]), &["x"], &["x"]);
        check(Some(&[]), &[], &[]);
    }
}
