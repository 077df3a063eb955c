//! Processes.

use std::net::IpAddr;

use serde::Serialize;

use crate::environment::Environment;

/// A process to run in a sandbox, upon the root file system of input 0 (or an empty one).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExecOp {
    /// Program and arguments; never empty. A program without a slash is looked up in `PATH` of `env`.
    pub args: Vec<String>,
    /// Environment in order, without proxies and secrets. Later entries win.
    pub env: Environment,
    /// Working directory inside, absolute and clean; created 0755 for the step's user when absent.
    pub cwd: String,
    /// `USER` text (`name`, `uid`, `name:group`, `uid:gid`), resolved in the root file system when
    /// the step starts; empty means root.
    pub user: String,
    /// Mounts besides the root, in the order they are to be made.
    pub mounts: Vec<Mount>,
    /// Which network the step gets.
    pub network: Network,
    /// How far the step is confined.
    pub security: Security,
    /// Host name inside; `None` is the default (`buildkitsandbox`).
    pub hostname: Option<String>,
    /// Lines for `/etc/hosts`.
    pub extra_hosts: Vec<ExtraHost>,
    /// Size of `/dev/shm` in bytes; `None` is the default of 64 MiB.
    pub shm_size: Option<u64>,
    /// Resource limits.
    pub ulimits: Vec<Ulimit>,
    /// Proxy variables: in the environment of the step, never in its key.
    #[serde(skip)]
    pub proxy: ProxyEnv,
    /// Secrets that become environment variables.
    pub secret_env: Vec<SecretEnv>,
    /// Devices of the host.
    pub devices: Vec<DeviceRequest>,
    /// Exit codes that count as success. Empty means only 0.
    pub valid_exit_codes: Vec<i32>,
}

/// A device of the host, by its name of the Container Device Interface: `vendor/class=name`, the
/// first of `vendor/class`, all of `vendor/class=*`, or those of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceRequest {
    /// The name.
    pub name: String,
    /// Absent device: fail, or go on without it.
    pub required: bool,
    /// Who allows it; not part of the key.
    #[serde(skip)]
    pub grant: DeviceGrant,
}

/// Who allows a step to use a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceGrant {
    /// The caller does.
    Given,
    /// Only the device's own description may.
    ByDevice,
}

/// Something mounted inside a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Absolute and clean path inside.
    pub target: String,
    /// What is mounted there.
    pub kind: MountKind,
}

/// The kinds of mounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum MountKind {
    /// A path of an input.
    Bind {
        /// Position among the vertex's inputs.
        input: usize,
        /// Path in that input's tree: a directory or a file.
        source: String,
        /// `true`: the step may write, and what it writes is thrown away.
        writable: bool,
    },
    /// A directory that outlives the build.
    Cache {
        /// Names the directory; steps with equal ids share it. Not part of the key (nor in BuildKit).
        #[serde(skip)]
        id: String,
        /// What happens when two steps want it at once.
        #[serde(skip)]
        sharing: CacheSharing,
        /// Input with the initial content of the directory.
        seed: Option<usize>,
        /// Path in the directory that is mounted; it has to be there.
        #[serde(skip_serializing_if = "is_root")]
        source: String,
        /// Mode of the directory when it is created.
        mode: u32,
        /// Owner and group when it is created; `None`: those of the directory that it covers, else those of
        /// the step's user.
        owner: Option<(u32, u32)>,
        /// The step may not write.
        read_only: bool,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Bound in bytes, if any.
        size: Option<u64>,
    },
    /// The content of a secret, as a file.
    Secret {
        /// Name of the secret.
        id: String,
        /// Permission bits.
        mode: u32,
        /// Owner and group.
        owner: (u32, u32),
        /// Absent secret: fail, or go on without the mount.
        required: bool,
    },
    /// The socket of an ssh agent.
    Ssh {
        /// Name of the agent.
        id: String,
        /// Permission bits.
        mode: u32,
        /// Owner and group.
        owner: (u32, u32),
        /// Absent agent: fail, or go on without the mount.
        required: bool,
    },
}

fn is_root(path: &str) -> bool {
    path == "/"
}

/// What happens when two steps want one cache directory at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub enum CacheSharing {
    /// Both use it.
    #[default]
    Shared,
    /// The second gets another directory.
    Private,
    /// The second waits.
    Locked,
}

/// The network of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub enum Network {
    /// What the build was told, else the builder's default.
    #[default]
    Default,
    /// Loopback only.
    None,
    /// The host's; needs the entitlement `network.host`.
    Host,
}

/// How far a step is confined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub enum Security {
    /// The default sandbox.
    #[default]
    Sandbox,
    /// Every capability the builder has; needs the entitlement `security.insecure`.
    Insecure,
}

/// One line of `/etc/hosts`. The address is not part of the key (BuildKit leaves it out, too).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExtraHost {
    /// The name.
    pub name: String,
    /// Its address.
    #[serde(skip)]
    pub address: IpAddr,
}

/// A resource limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// Name as docker writes it: `nofile`, `nproc`, `core` …
    pub name: String,
    /// Soft limit; -1 is none.
    pub soft: i64,
    /// Hard limit; -1 is none.
    pub hard: i64,
}

/// Proxy settings, as variable and value, in both cases as the user gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyEnv(pub Vec<(String, String)>);

/// A secret in the environment of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecretEnv {
    /// Name of the secret.
    pub id: String,
    /// Name of the variable.
    pub variable: String,
    /// Absent secret: fail, or go on without the variable.
    pub required: bool,
}
