//! What keeps steps apart, and what a step cannot have where nothing does.

use graph::{ExecOp, MountKind, Network, Security};
use runtime_exec::{
    DEFAULT_SHM_SIZE, FirstProcess, Isolation, NetworkMode, ProcessSpec, ReadOnly, SecurityOptions, Terminal,
};

use super::error::ExecError;
use super::remark::Remark;
use crate::Session;

/// What keeps the steps of a build apart from the machine.
#[derive(Clone, Debug)]
pub enum StepIsolation {
    /// Namespaces.
    Namespaces,
    /// Nothing but a root directory; said once.
    Chroot(Remark),
}

impl StepIsolation {
    /// No isolation, with what the user has to know of it.
    pub fn chroot() -> Self {
        Self::Chroot(Remark::new(
            "--isolation=chroot: steps are NOT isolated. They run as root of this machine or container, with its \
             processes, network, devices and host name, can leave their root directory, and have no /proc and /sys"
                .to_owned(),
        ))
    }

    pub(crate) fn kind(&self) -> Isolation {
        match self {
            Self::Namespaces => Isolation::Namespaces,
            Self::Chroot(_) => Isolation::Chroot,
        }
    }
}

/// Refuses by name what a step wants and cannot have; says once that nothing keeps steps apart.
pub(super) fn check(session: &Session, op: &ExecOp) -> Result<(), ExecError> {
    let StepIsolation::Chroot(remark) = &session.host.isolation else { return Ok(()) };
    remark.say(session);
    if let Some(mount) = op.mounts.first() {
        let kind = match &mount.kind {
            MountKind::Bind { .. } => "bind",
            MountKind::Cache { .. } => "cache",
            MountKind::Tmpfs { .. } => "tmpfs",
            MountKind::Secret { .. } => "secret",
            MountKind::Ssh { .. } => "ssh",
        };
        return refused(format!("--mount=type={kind},target={}", mount.target), MOUNTS);
    }
    check_hostname(session, op.hostname.as_deref())?;
    if op.security == Security::Insecure {
        return refused("--security=insecure".to_owned(), "it is about mounts and devices of a sandbox");
    }
    match op.network {
        Network::None => refused("--network=none".to_owned(), NETWORKS),
        Network::Default | Network::Host => Ok(()),
    }
}

/// The same for what a process is made of in the end, be it a step or a container.
pub(crate) fn check_process(session: &Session, spec: &ProcessSpec) -> Result<(), ExecError> {
    let StepIsolation::Chroot(remark) = &session.host.isolation else { return Ok(()) };
    remark.say(session);
    if let Some(mount) = spec.mounts.first() {
        return refused(format!("a mount at {}", mount.target), MOUNTS);
    }
    if spec.shm_size != DEFAULT_SHM_SIZE {
        return refused("--shm-size".to_owned(), MOUNTS);
    }
    match spec.first_process {
        FirstProcess::Program => {}
        FirstProcess::Init => return refused("--init".to_owned(), "it takes a namespace of processes"),
    }
    check_security(&spec.security)?;
    match (spec.network, spec.root_access, spec.terminal) {
        (NetworkMode::None, _, _) => refused("--network=none".to_owned(), NETWORKS),
        (NetworkMode::Private, _, _) => refused("--network=private".to_owned(), NETWORKS),
        (NetworkMode::Host, ReadOnly::Yes, _) => refused("--read-only".to_owned(), MOUNTS),
        (NetworkMode::Host, ReadOnly::No, Terminal::New { .. }) => refused("--tty".to_owned(), MOUNTS),
        (NetworkMode::Host, ReadOnly::No, Terminal::None) => Ok(()),
    }
}

/// The same for a host name that was asked for.
pub(crate) fn check_hostname(session: &Session, asked: Option<&str>) -> Result<(), ExecError> {
    match (&session.host.isolation, asked) {
        (StepIsolation::Chroot(_), Some(name)) => {
            refused(format!("the host name {name}"), "it takes a namespace of names")
        }
        (StepIsolation::Chroot(_), None) | (StepIsolation::Namespaces, _) => Ok(()),
    }
}

/// A tighter confinement than the usual one must not be left out in silence. A looser one there is already.
fn check_security(security: &SecurityOptions) -> Result<(), ExecError> {
    if let Some(path) = security.system_paths.more.first() {
        return refused(format!("--security-opt mask={path}"), MOUNTS);
    }
    match &security.apparmor {
        Some(name) => refused(format!("--security-opt apparmor={name}"), "there is no /proc to ask for it"),
        None => Ok(()),
    }
}

const MOUNTS: &str = "it takes mounts, and those a mount namespace";
const NETWORKS: &str = "it takes a network namespace";

fn refused(what: String, cause: &'static str) -> Result<(), ExecError> {
    Err(ExecError::NotIsolated { what, cause })
}
