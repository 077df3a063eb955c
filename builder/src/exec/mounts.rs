//! Mounts of a step, and what must stay alive as long as they do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use graph::{Mount, MountKind};
use layer_store::{CacheMount, Snapshot};
use runtime_exec::{MountSource, MountSpec, ReadOnly, SpawnError, Stage};

use super::agent::{self, Agent};
use super::caches;
use super::error::ExecError;
use super::resources::StepResources;
use super::snapshotter::{Held, NOT_THERE, part};
use crate::Session;
use crate::ssh::{AgentSource, ClientSetup};

/// Mounts, ready to be made, with what they stand on.
#[derive(Default)]
pub(super) struct Mounts {
    /// In the order in which they are made.
    pub specs: Vec<MountSpec>,
    /// Where the first ssh agent's socket appears.
    pub ssh_socket: Option<String>,
    /// What the step's ssh is told.
    pub client: ClientSetup,
    agents: Vec<Agent>,
    caches: Vec<CacheMount>,
    parts: Vec<Held>,
}

/// Makes all mounts of a step ready. Waits for locked cache directories. `user`: user and group of the step.
pub(super) fn prepare(
    session: &Session,
    mounts: &[Mount],
    inputs: &[Option<Snapshot>],
    resources: &StepResources,
    user: (u32, u32),
) -> Result<Mounts, ExecError> {
    let mut ready = Mounts::default();
    let (directories, held) = caches::open(session, mounts, inputs, resources, user)?;
    ready.caches = held;
    for mount in mounts {
        let Some((source, read_only)) = source(session, mount, inputs, resources, &directories, &mut ready)?
        else {
            continue;
        };
        if matches!(source, MountSource::Socket(_)) && ready.ssh_socket.is_none() {
            ready.ssh_socket = Some(mount.target.clone());
        }
        ready.specs.push(MountSpec { target: mount.target.clone(), source, read_only });
    }
    ready.client = client(mounts, resources);
    for (target, bytes) in &ready.client.files {
        let source = MountSource::Content { bytes: bytes.clone(), mode: 0o444, uid: 0, gid: 0 };
        ready.specs.push(MountSpec { target: target.clone(), source, read_only: ReadOnly::Yes });
    }
    Ok(ready)
}

/// What the ssh client is told of keys that serve some hosts alone.
fn client(mounts: &[Mount], resources: &StepResources) -> ClientSetup {
    let keys = |mount: &Mount| match &mount.kind {
        MountKind::Ssh { id, .. } => match resources.ssh.get(id) {
            Some(AgentSource::Keys(keys)) => Some((mount.target.clone(), Arc::clone(keys))),
            Some(AgentSource::Socket(_)) | None => None,
        },
        MountKind::Bind { .. }
        | MountKind::Cache { .. }
        | MountKind::Tmpfs { .. }
        | MountKind::Secret { .. } => None,
    };
    let agents: Vec<_> = mounts.iter().filter_map(keys).collect();
    ClientSetup::of(agents.iter().map(|(socket, keys)| (socket.as_str(), keys.as_ref())))
}

fn yes_if(condition: bool) -> ReadOnly {
    match condition {
        true => ReadOnly::Yes,
        false => ReadOnly::No,
    }
}

/// What is mounted; `None` for an optional secret or agent that was not given.
fn source(
    session: &Session,
    mount: &Mount,
    inputs: &[Option<Snapshot>],
    resources: &StepResources,
    directories: &BTreeMap<String, PathBuf>,
    ready: &mut Mounts,
) -> Result<Option<(MountSource, ReadOnly)>, ExecError> {
    Ok(match &mount.kind {
        MountKind::Bind { input, source, writable } => {
            let snapshot = input_of(inputs, *input, &mount.target)?;
            let (source, held) = part(session, &snapshot, source, yes_if(!writable))?;
            ready.parts.push(held);
            Some((source, yes_if(!writable)))
        }
        MountKind::Cache { source, read_only, .. } => {
            let mounted = |directory: &PathBuf| match source.as_str() {
                "/" => MountSource::Directory(directory.clone()),
                // Steps may have put links there, so the part is looked up inside.
                part => MountSource::Overlay {
                    lower: Vec::new(),
                    subpath: part.to_owned(),
                    scratch: Some((directory.clone(), directory.clone())),
                },
            };
            directories.get(&mount.target).map(|directory| (mounted(directory), yes_if(*read_only)))
        }
        MountKind::Tmpfs { size } => Some((MountSource::Tmpfs { size: *size }, ReadOnly::No)),
        MountKind::Secret { id, mode, owner, required } => resources.secret(id, *required)?.map(|bytes| {
            (MountSource::Content { bytes, mode: *mode, uid: owner.0, gid: owner.1 }, ReadOnly::Yes)
        }),
        MountKind::Ssh { id, required, mode, owner } => match resources.agent(id, *required)? {
            Some(agent) => {
                let directory = session.lease.prepare(&Snapshot::default())?;
                let place = directory.upper();
                ready.parts.push(Held::layer(directory));
                let agent = agent::forward(&place, agent, *mode, *owner)
                    .map_err(|source| ExecError::Agent { id: id.clone(), source })?;
                let socket = agent.socket.clone();
                ready.agents.push(agent);
                Some((MountSource::Socket(socket), ReadOnly::No))
            }
            None => None,
        },
    })
}

/// An error by which a mount's own source is not there, as such.
pub(super) fn explain(error: ExecError, mounts: &[Mount]) -> ExecError {
    let ExecError::Spawn(SpawnError::Setup(failure)) = &error else { return error };
    if failure.stage != Stage::Mount || failure.errno != NOT_THERE {
        return error;
    }
    let path = failure.path.as_str();
    let missing = mounts.iter().find_map(|mount| match &mount.kind {
        MountKind::Bind { source, .. } if source == path => Some((mount, "its source")),
        MountKind::Cache { source, .. } if source != "/" && source == path => Some((mount, "the cache")),
        MountKind::Bind { .. }
        | MountKind::Cache { .. }
        | MountKind::Tmpfs { .. }
        | MountKind::Secret { .. }
        | MountKind::Ssh { .. } => None,
    });
    match missing {
        Some((mount, place)) => {
            ExecError::NoSource { target: mount.target.clone(), source_path: path.to_owned(), place }
        }
        None => error,
    }
}

pub(super) fn input_of(
    inputs: &[Option<Snapshot>],
    input: usize,
    target: &str,
) -> Result<Snapshot, ExecError> {
    match inputs.get(input) {
        Some(snapshot) => Ok(snapshot.clone().unwrap_or_default()),
        None => Err(ExecError::NoInput { target: target.to_owned(), input }),
    }
}
