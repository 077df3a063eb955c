//! What is written down of a failed step. The form is our own: that of ops belongs to keys.

use std::net::IpAddr;

use graph::{
    CacheSharing, DeviceGrant, DeviceRequest, ExecOp, ExtraHost, Mount, MountKind, Network, ProxyEnv,
    SecretEnv, Security, Ulimit,
};
use layer_store::{LayerId, Snapshot};
use runtime_exec::NetworkMode;
use serde::{Deserialize, Serialize};

use crate::request::Resolvers;

/// A step that failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailedStep {
    /// Its title.
    pub title: String,
    /// How it ended, in words.
    pub ending: String,
    /// Where it comes from.
    pub origin: Origin,
    pub(super) process: Process,
    /// The network of steps that name none.
    pub(super) network: NetworkMode,
    #[serde(default)]
    pub(super) resolvers: Resolvers,
    /// What it stood on; the first is the root.
    pub(super) inputs: Vec<Option<Snapshot>>,
    /// What it left; `None`: it did not start, or there was no room to keep that.
    pub(super) state: Option<LayerId>,
}

/// Where a failed step comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A build of this store.
    Here,
    /// A bundle.
    Bundle,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Process {
    args: Vec<String>,
    env: Vec<(String, String)>,
    cwd: String,
    user: String,
    mounts: Vec<KeptMount>,
    network: KeptNetwork,
    insecure: bool,
    hostname: Option<String>,
    extra_hosts: Vec<(String, IpAddr)>,
    shm_size: Option<u64>,
    ulimits: Vec<(String, i64, i64)>,
    secret_env: Vec<KeptSecret>,
    devices: Vec<KeptDevice>,
    valid_exit_codes: Vec<i32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptSecret {
    id: String,
    variable: String,
    required: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptDevice {
    name: String,
    required: bool,
    given: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum KeptNetwork {
    Default,
    None,
    Host,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptMount {
    target: String,
    kind: KeptKind,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum KeptKind {
    Bind {
        input: usize,
        source: String,
        writable: bool,
    },
    Cache {
        id: String,
        sharing: KeptSharing,
        seed: Option<usize>,
        source: String,
        mode: u32,
        owner: Option<(u32, u32)>,
        read_only: bool,
    },
    Tmpfs {
        size: Option<u64>,
    },
    Secret {
        id: String,
        mode: u32,
        owner: (u32, u32),
        required: bool,
    },
    Ssh {
        id: String,
        mode: u32,
        owner: (u32, u32),
        required: bool,
    },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum KeptSharing {
    Shared,
    Private,
    Locked,
}

impl Process {
    pub(super) fn of(op: &ExecOp) -> Process {
        Process {
            args: op.args.clone(),
            env: op.env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            cwd: op.cwd.clone(),
            user: op.user.clone(),
            mounts: op.mounts.iter().map(KeptMount::of).collect(),
            network: match op.network {
                Network::Default => KeptNetwork::Default,
                Network::None => KeptNetwork::None,
                Network::Host => KeptNetwork::Host,
            },
            insecure: op.security == Security::Insecure,
            hostname: op.hostname.clone(),
            extra_hosts: op.extra_hosts.iter().map(|host| (host.name.clone(), host.address)).collect(),
            shm_size: op.shm_size,
            ulimits: op.ulimits.iter().map(|limit| (limit.name.clone(), limit.soft, limit.hard)).collect(),
            secret_env: op
                .secret_env
                .iter()
                .map(|one| KeptSecret {
                    id: one.id.clone(),
                    variable: one.variable.clone(),
                    required: one.required,
                })
                .collect(),
            devices: op
                .devices
                .iter()
                .map(|one| KeptDevice {
                    name: one.name.clone(),
                    required: one.required,
                    given: one.grant == DeviceGrant::Given,
                })
                .collect(),
            valid_exit_codes: op.valid_exit_codes.clone(),
        }
    }

    pub(super) fn op(&self) -> ExecOp {
        ExecOp {
            args: self.args.clone(),
            env: self.env.iter().cloned().collect(),
            cwd: self.cwd.clone(),
            user: self.user.clone(),
            mounts: self.mounts.iter().map(KeptMount::mount).collect(),
            network: match self.network {
                KeptNetwork::Default => Network::Default,
                KeptNetwork::None => Network::None,
                KeptNetwork::Host => Network::Host,
            },
            security: if self.insecure { Security::Insecure } else { Security::Sandbox },
            hostname: self.hostname.clone(),
            extra_hosts: self
                .extra_hosts
                .iter()
                .map(|(name, address)| ExtraHost { name: name.clone(), address: *address })
                .collect(),
            shm_size: self.shm_size,
            ulimits: self
                .ulimits
                .iter()
                .map(|(name, soft, hard)| Ulimit { name: name.clone(), soft: *soft, hard: *hard })
                .collect(),
            proxy: ProxyEnv::default(),
            secret_env: self
                .secret_env
                .iter()
                .map(|one| SecretEnv {
                    id: one.id.clone(),
                    variable: one.variable.clone(),
                    required: one.required,
                })
                .collect(),
            devices: self
                .devices
                .iter()
                .map(|one| DeviceRequest {
                    name: one.name.clone(),
                    required: one.required,
                    grant: if one.given { DeviceGrant::Given } else { DeviceGrant::ByDevice },
                })
                .collect(),
            valid_exit_codes: self.valid_exit_codes.clone(),
        }
    }
}

impl KeptMount {
    fn of(mount: &Mount) -> KeptMount {
        let kind = match &mount.kind {
            MountKind::Bind { input, source, writable } => {
                KeptKind::Bind { input: *input, source: source.clone(), writable: *writable }
            }
            MountKind::Cache { id, sharing, seed, source, mode, owner, read_only } => KeptKind::Cache {
                id: id.clone(),
                sharing: match sharing {
                    CacheSharing::Shared => KeptSharing::Shared,
                    CacheSharing::Private => KeptSharing::Private,
                    CacheSharing::Locked => KeptSharing::Locked,
                },
                seed: *seed,
                source: source.clone(),
                mode: *mode,
                owner: *owner,
                read_only: *read_only,
            },
            MountKind::Tmpfs { size } => KeptKind::Tmpfs { size: *size },
            MountKind::Secret { id, mode, owner, required } => {
                KeptKind::Secret { id: id.clone(), mode: *mode, owner: *owner, required: *required }
            }
            MountKind::Ssh { id, mode, owner, required } => {
                KeptKind::Ssh { id: id.clone(), mode: *mode, owner: *owner, required: *required }
            }
        };
        KeptMount { target: mount.target.clone(), kind }
    }

    fn mount(&self) -> Mount {
        let kind = match &self.kind {
            KeptKind::Bind { input, source, writable } => {
                MountKind::Bind { input: *input, source: source.clone(), writable: *writable }
            }
            KeptKind::Cache { id, sharing, seed, source, mode, owner, read_only } => MountKind::Cache {
                id: id.clone(),
                sharing: match sharing {
                    KeptSharing::Shared => CacheSharing::Shared,
                    KeptSharing::Private => CacheSharing::Private,
                    KeptSharing::Locked => CacheSharing::Locked,
                },
                seed: *seed,
                source: source.clone(),
                mode: *mode,
                owner: *owner,
                read_only: *read_only,
            },
            KeptKind::Tmpfs { size } => MountKind::Tmpfs { size: *size },
            KeptKind::Secret { id, mode, owner, required } => {
                MountKind::Secret { id: id.clone(), mode: *mode, owner: *owner, required: *required }
            }
            KeptKind::Ssh { id, mode, owner, required } => {
                MountKind::Ssh { id: id.clone(), mode: *mode, owner: *owner, required: *required }
            }
        };
        Mount { target: self.target.clone(), kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_survives_being_written_down_but_for_its_proxies() {
        let mount = |kind| Mount { target: "/m".to_owned(), kind };
        let owner = (1, 2);
        let op = ExecOp {
            args: vec!["sh".into(), "-c".into(), "false".into()],
            env: [("A".to_owned(), "1".to_owned())].into_iter().collect(),
            cwd: "/w".into(),
            user: "u".into(),
            mounts: vec![
                mount(MountKind::Bind { input: 1, source: "/s".into(), writable: true }),
                mount(MountKind::Cache {
                    id: "c".into(),
                    sharing: CacheSharing::Locked,
                    seed: Some(1),
                    source: "/x".into(),
                    mode: 0o700,
                    owner: Some(owner),
                    read_only: true,
                }),
                mount(MountKind::Tmpfs { size: Some(1) }),
                mount(MountKind::Secret { id: "s".into(), mode: 0o400, owner, required: true }),
                mount(MountKind::Ssh { id: "default".into(), mode: 0o600, owner, required: false }),
            ],
            network: Network::None,
            security: Security::Insecure,
            hostname: Some("h".into()),
            extra_hosts: vec![ExtraHost { name: "n".into(), address: IpAddr::from([1, 2, 3, 4]) }],
            shm_size: Some(2),
            ulimits: vec![Ulimit { name: "nofile".into(), soft: 1, hard: 2 }],
            proxy: ProxyEnv(vec![("http_proxy".into(), "http://user:password@proxy".into())]),
            secret_env: vec![SecretEnv { id: "s".into(), variable: "S".into(), required: true }],
            devices: vec![DeviceRequest {
                name: "v/c=d".into(),
                required: true,
                grant: DeviceGrant::ByDevice,
            }],
            valid_exit_codes: vec![3],
        };
        let text = serde_json::to_string(&Process::of(&op)).unwrap();
        assert!(!text.contains("password"));
        let read: Process = serde_json::from_str(&text).unwrap();
        assert_eq!(read.op(), ExecOp { proxy: ProxyEnv::default(), ..op });
    }
}
