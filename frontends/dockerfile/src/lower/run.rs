//! `RUN`.

use bytes::Bytes;
use defence::Defence;
use graph::{
    DeviceGrant, DeviceRequest, Diagnostic, Edge, ExecOp, FileAction, Meta, MkFile, Mount, MountKind,
    Network, Op, SecretEnv, Security, path,
};

use super::inputs::Inputs;
use super::made::Text;
use super::stage::StageBuilder;
use super::title::summary;
use crate::instruction::{CommandForm, Device, Run, RunNetwork, RunSecurity, Script};
use crate::mount::MountSpec;
use crate::syntax::parse_heredoc;

/// Where a heredoc that is a program of its own is mounted.
const SCRIPTS: &str = "/dev/pipes";

/// The mounts of a step while they are collected.
#[derive(Default)]
pub(crate) struct Mounts {
    pub(crate) list: Vec<Mount>,
    pub(crate) secret_env: Vec<SecretEnv>,
    /// Socket of the first ssh mount.
    pub(crate) agent: Option<String>,
    pub(crate) agents: usize,
}

impl StageBuilder<'_, '_, '_> {
    pub(crate) fn run(&mut self, run: &Run, original: &str) -> Result<(), Diagnostic> {
        // The program finds them in its environment.
        self.world.notes.used(self.state.arguments.take_new());
        let specs = self.mount_specs(run)?;
        let mut inputs = Inputs::new(self.state.root);
        let mut mounts = Mounts::default();
        let args = match run.script() {
            Script::Exec(args) => args,
            Script::Shell(text) => self.with_shell(&text),
            Script::File { name, content } => {
                let file = self.inline_file(&name, 0o755, content);
                let input = inputs.place(Some(file));
                let kind = MountKind::Bind { input, source: "/".to_owned(), writable: false };
                mounts.list.push(Mount { target: SCRIPTS.to_owned(), kind });
                self.with_shell(&format!("{SCRIPTS}/{name}"))
            }
        };
        if args.is_empty() {
            return Err(self.error("RUN needs a command"));
        }
        for (spec, word) in specs.iter().zip(&run.mounts) {
            self.mount(spec, word, &mut inputs, &mut mounts)?;
        }
        let op = self.exec_op(run, args.clone(), mounts)?;
        let secrets: Vec<String> = op.secret_env.iter().map(|secret| secret.variable.clone()).collect();
        let title = self.run_title(&title_text(run, original), &secrets);
        let history = Text::Run { arguments: self.state.arguments.all(), command: args.join(" ") };
        let edge = self.add_vertex(Op::Exec(Box::new(op)), inputs.into_vec(), title, self.no_cache);
        self.state.root = Some(edge);
        self.state.made.push(history, false);
        Ok(())
    }

    fn exec_op(&mut self, run: &Run, args: Vec<String>, mounts: Mounts) -> Result<ExecOp, Diagnostic> {
        let mut env = self.state.env.all();
        if let Some(agent) = mounts.agent.filter(|_| self.state.env.get("SSH_AUTH_SOCK").is_none()) {
            env.push("SSH_AUTH_SOCK".to_owned(), agent);
        }
        let options = self.pass.options;
        Ok(ExecOp {
            args,
            env,
            cwd: path::clean(&format!("/{}", self.state.directory)),
            user: self.state.image.config.user.clone(),
            mounts: in_order(mounts.list),
            network: self.network(run.network)?,
            security: self.security(run.security)?,
            hostname: self.hostname(),
            extra_hosts: options.add_hosts.clone(),
            shm_size: options.shm_size,
            ulimits: options.ulimits.clone(),
            proxy: self.pass.proxies.clone(),
            secret_env: mounts.secret_env,
            devices: run.devices.iter().map(|device| self.device(device)).collect(),
            valid_exit_codes: Vec::new(),
        })
    }

    fn hostname(&self) -> Option<String> {
        let argument = self.pass.arguments.get("BUILDKIT_SANDBOX_HOSTNAME").filter(|name| !name.is_empty());
        argument.or(self.pass.options.hostname.as_ref()).cloned()
    }

    fn network(&mut self, network: RunNetwork) -> Result<Network, Diagnostic> {
        match network {
            RunNetwork::Default => Ok(self.pass.options.network),
            RunNetwork::None => Ok(Network::None),
            RunNetwork::Host => self.entitled("network.host", "RUN --network=host").map(|()| Network::Host),
        }
    }

    fn security(&mut self, security: RunSecurity) -> Result<Security, Diagnostic> {
        match security {
            RunSecurity::Sandbox => Ok(Security::Sandbox),
            RunSecurity::Insecure => {
                self.entitled("security.insecure", "RUN --security=insecure").map(|()| Security::Insecure)
            }
        }
    }

    /// Whether the device allows itself is known where the step runs.
    fn device(&mut self, device: &Device) -> DeviceRequest {
        let allow = &self.pass.options.allow;
        let grant = if allow.contains("device") || allow.contains(&format!("device={}", device.name)) {
            self.world.entitlements.insert("device".to_owned());
            DeviceGrant::Given
        } else {
            DeviceGrant::ByDevice
        };
        DeviceRequest { name: device.name.clone(), required: device.required, grant }
    }

    fn entitled(&mut self, entitlement: &str, what: &str) -> Result<(), Diagnostic> {
        let granted = self.pass.options.allow.contains(entitlement);
        if !granted && defence::stands(Defence::PrivilegesGranted) {
            return Err(self
                .error(format!("{what} is not allowed: the entitlement {entitlement} was not granted"))
                .with_help(format!("grant it with --allow {entitlement}")));
        }
        self.world.entitlements.insert(entitlement.to_owned());
        Ok(())
    }

    /// A tree with one file.
    pub(crate) fn inline_file(&mut self, name: &str, mode: u32, content: String) -> Edge {
        let file = MkFile { path: rooted(name), mode, owner: None, content: Bytes::from(content) };
        let title = "[internal] preparing inline document".to_owned();
        let meta = Meta { title, span: Some(self.here), no_cache: false };
        Edge::first(self.world.graph.add(Op::File(vec![FileAction::MkFile(file)]), vec![None], meta))
    }

    fn mount_specs(&mut self, run: &Run) -> Result<Vec<MountSpec>, Diagnostic> {
        let (mut matched, mut unmatched) = (Vec::new(), Vec::new());
        let mut specs = Ok(Vec::with_capacity(run.mounts.len()));
        for word in &run.mounts {
            let Ok(found) = &mut specs else { break };
            let mut expand = |text: &str| {
                let expanded = crate::expand(text, &self.values(), self.pass.escape())?;
                matched.extend(expanded.matched);
                unmatched.extend(expanded.unmatched);
                Ok(expanded.text)
            };
            match crate::parse_mount(word, &mut expand) {
                Ok(spec) => found.push(spec),
                Err(error) => specs = Err(error),
            }
        }
        self.world.notes.used(&matched);
        self.undefined(unmatched);
        specs
    }
}

/// A name as a path from the root.
pub(crate) fn rooted(name: &str) -> String {
    path::clean(&format!("/{name}"))
}

/// The instruction, and the first line of a heredoc that is the whole command.
fn title_text(run: &Run, original: &str) -> String {
    let original = original.trim();
    match (&run.form, run.heredocs.first()) {
        (CommandForm::Shell(text), Some(heredoc)) if matches!(parse_heredoc(text), Ok(Some(_))) => {
            format!("{original} ({})", summary(&heredoc.content))
        }
        (CommandForm::Shell(_) | CommandForm::Exec(_), _) => original.to_owned(),
    }
}

/// Mounts by target, so that none hides another; the last of several at one place counts.
fn in_order(mut mounts: Vec<Mount>) -> Vec<Mount> {
    mounts.reverse();
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    mounts.dedup_by(|later, earlier| later.target == earlier.target);
    mounts
}
