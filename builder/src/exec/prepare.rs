//! A step as one process specification.

use std::path::{Path, PathBuf};

use graph::{DeviceGrant, DeviceRequest, ExecOp, Network, Security, Ulimit};
use layer_store::{ActiveLayer, Snapshot, Store};
use runtime_exec::{
    Capabilities, Confinement, DEFAULT_SHM_SIZE, EtcFiles, FirstProcess, MountSource, MountSpec, NetworkMode,
    ProcessSpec, ReadOnly, Resource, Rlimit, SecurityOptions, StepUser, Terminal,
};

use super::cdi;
use super::environment::{self, Additions};
use super::error::ExecError;
use super::etc::{DEFAULT_HOSTNAME, hosts, resolv_conf};
use super::identities::identities;
use super::isolation;
use super::mounts::{self, Mounts};
use super::resources::StepResources;
use super::snapshotter::{root_of, writable};
use super::user::{self, ResolvedUser};
use crate::Session;
use crate::ssh::ClientSetup;

const SHARED_MEMORY: &str = "/dev/shm";
/// Account files larger than this are not read.
const ACCOUNTS_AT_MOST: u64 = 10 << 20;

/// Everything a step needs, alive until it is over.
pub(crate) struct Prepared {
    pub spec: ProcessSpec,
    pub layer: ActiveLayer,
    /// Cache directories and scratch layers; released after the sandbox is gone.
    _mounts: Mounts,
}

/// Makes a step ready to start.
pub(crate) fn prepare(
    session: &Session,
    op: &ExecOp,
    inputs: &[Option<Snapshot>],
    resources: &StepResources,
) -> Result<Prepared, ExecError> {
    isolation::check(session, op)?;
    let base = inputs.first().cloned().flatten().unwrap_or_default();
    let mut user = account(&session.store, &base, &op.user)?;
    let mut devices = cdi::additions(&resources.device_directories, &wanted(op, resources))?;
    devices.mounts.extend(resources.devices.nodes.iter().cloned());
    user.groups.append(&mut devices.groups);
    let mut mounts = mounts::prepare(session, &op.mounts, inputs, resources, (user.uid, user.gid))?;
    // A mount of the step may lie below one of a device, and wins where both are one.
    devices.mounts.retain(|mount| mounts.specs.iter().all(|own| own.target != mount.target));
    devices.mounts.append(&mut mounts.specs);
    let additions = Additions {
        devices: devices.variables,
        secrets: secret_variables(op, resources)?,
        home: user.home.clone(),
        ssh_socket: mounts.ssh_socket.clone(),
        ssh_command: (!mounts.client.files.is_empty()).then(ClientSetup::command),
        git: std::mem::take(&mut mounts.client.git),
    };
    let layer = writable(session, &base)?;
    let network = network(op.network, resources.network.default);
    let hostname = op.hostname.clone().unwrap_or_else(|| DEFAULT_HOSTNAME.to_owned());
    let spec = ProcessSpec {
        root: root_of(session, &base, &layer),
        args: op.args.clone(),
        env: environment::assemble(op, &additions),
        cwd: op.cwd.clone(),
        user: StepUser { uid: user.uid, gid: user.gid, groups: user.groups },
        mounts: with_memory(op.shm_size, devices.mounts),
        network,
        gateway: resources.network.gateway,
        ports: Vec::new(),
        security: SecurityOptions::default(),
        confinement: confinement(op.security),
        etc: EtcFiles {
            hosts: Some(hosts(&hostname, &op.extra_hosts)),
            resolv_conf: Some(resolv_conf(&session.host.resolv_conf, network, &resources.network.resolvers)),
        },
        hostname,
        shm_size: DEFAULT_SHM_SIZE,
        rlimits: op.ulimits.iter().map(limit).collect::<Result<_, _>>()?,
        no_new_privs: false,
        limits: resources.limits.clone(),
        capabilities: Capabilities::DEFAULT,
        root_access: ReadOnly::No,
        terminal: Terminal::None,
        identities: identities(session.host.mode, &layer, Some(layer.attributes_file()))?,
        isolation: session.host.isolation.kind(),
        first_process: FirstProcess::Program,
    };
    isolation::check_process(session, &spec)?;
    Ok(Prepared { spec, layer, _mounts: mounts })
}

/// The devices that the step asks for, and those that every step gets.
fn wanted(op: &ExecOp, resources: &StepResources) -> Vec<DeviceRequest> {
    let given = resources.devices.named.iter().map(|name| DeviceRequest {
        name: name.clone(),
        required: true,
        grant: DeviceGrant::Given,
    });
    op.devices.iter().cloned().chain(given).collect()
}

/// A size for `/dev/shm` is a mount of its own there, below what the step itself mounts.
fn with_memory(size: Option<u64>, mut specs: Vec<MountSpec>) -> Vec<MountSpec> {
    if size.is_some() && specs.iter().all(|spec| spec.target != SHARED_MEMORY) {
        let source = MountSource::Tmpfs { size };
        specs.insert(0, MountSpec { target: SHARED_MEMORY.to_owned(), source, read_only: ReadOnly::No });
    }
    specs
}

/// Directories of a snapshot's layers, bottom first, each once: overlay refuses a directory that occurs twice.
pub(crate) fn lower_dirs(store: &Store, snapshot: &Snapshot) -> Vec<PathBuf> {
    snapshot.distinct().0.iter().map(|id| store.layer_dir(id)).collect()
}

/// Resolves a `USER` text in a root file system.
pub(crate) fn account(store: &Store, root: &Snapshot, text: &str) -> Result<ResolvedUser, ExecError> {
    let view = store.stack(root)?;
    let read = |path: &str| view.read_file(Path::new(path), ACCOUNTS_AT_MOST);
    let passwd = read("/etc/passwd")?.unwrap_or_default();
    let group = read("/etc/group")?.unwrap_or_default();
    Ok(user::resolve(text, &passwd, &group)?)
}

fn secret_variables(op: &ExecOp, resources: &StepResources) -> Result<Vec<(String, String)>, ExecError> {
    let mut all = Vec::new();
    for secret in &op.secret_env {
        // One that nobody gave is an empty variable, as in BuildKit.
        let value = resources.secret_text(&secret.id, secret.required)?.unwrap_or_default();
        all.push((secret.variable.clone(), value));
    }
    Ok(all)
}

/// A step's own wish, else the build's.
fn network(step: Network, build: NetworkMode) -> NetworkMode {
    match step {
        Network::None => NetworkMode::None,
        Network::Host => NetworkMode::Host,
        Network::Default => build,
    }
}

fn confinement(security: Security) -> Confinement {
    match security {
        Security::Sandbox => Confinement::Default,
        Security::Insecure => Confinement::Insecure,
    }
}

fn limit(ulimit: &Ulimit) -> Result<Rlimit, ExecError> {
    let resource: Resource = ulimit.name.parse()?;
    // Negative is "none", as for docker.
    Ok(Rlimit { resource, soft: u64::try_from(ulimit.soft).ok(), hard: u64::try_from(ulimit.hard).ok() })
}
