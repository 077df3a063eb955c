//! What the caller gives to steps: secrets, agents, descriptions of devices.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use builder::error::Category;
use builder::request::{Resolvers, Secret, SecretSource, StepDevices};
use builder::ssh::{AgentSource, Keyring};
use graph::ExtraHost;
use runtime_exec::{Gateway, MountSource, MountSpec, NetworkMode, ReadOnly, default_gateway};

use crate::args::{HostAddress, HostArg, ResolverArgs, SecretArg, SecretFrom, StepDeviceArg};
use crate::environment::Environment;
use crate::failure::Failure;

/// Where vendors describe their devices, as BuildKit looks for them.
pub fn device_directories(given: &[PathBuf]) -> Vec<PathBuf> {
    if given.is_empty() {
        ["/etc/cdi", "/var/run/cdi", "/etc/buildkit/cdi"].map(PathBuf::from).to_vec()
    } else {
        given.to_vec()
    }
}

/// The secrets that options name.
pub fn secrets(
    given: &[SecretArg],
    environment: &Environment,
) -> Result<BTreeMap<String, SecretSource>, Failure> {
    let mut all = BTreeMap::new();
    for secret in given {
        let variable = |name: &str| {
            let value =
                environment.get(name).map(|value| SecretSource::Value(Secret(value.as_bytes().to_vec())));
            value.ok_or_else(|| Failure::usage(format!("--secret id={}: {name} is not set", secret.id)))
        };
        let source = match &secret.from {
            SecretFrom::File(path) => SecretSource::File(path.clone()),
            SecretFrom::Variable(name) => variable(name)?,
            SecretFrom::ById => {
                variable(&secret.id).unwrap_or_else(|_| SecretSource::File(secret.id.clone().into()))
            }
        };
        if let SecretSource::File(path) = &source {
            std::fs::metadata(path).map_err(|error| {
                Failure::new(
                    Category::Local,
                    format!("--secret id={}: {}: {error}", secret.id, path.display()),
                )
            })?;
        }
        all.insert(secret.id.clone(), source);
    }
    Ok(all)
}

/// The agents that options name: `ID`, `ID=SOCKET`, or `ID=KEY[,KEY…]`.
pub fn ssh(given: &[String], environment: &Environment) -> Result<BTreeMap<String, AgentSource>, Failure> {
    let mut all = BTreeMap::new();
    for text in given {
        let (id, paths) = match text.split_once('=') {
            Some((id, paths)) => (id, paths.split(',').map(PathBuf::from).collect()),
            None => {
                let socket = environment.path("SSH_AUTH_SOCK");
                let not_set = || Failure::usage(format!("--ssh {text}: SSH_AUTH_SOCK is not set"));
                (text.as_str(), vec![socket.ok_or_else(not_set)?])
            }
        };
        if id.is_empty() {
            return Err(Failure::usage(format!("--ssh {text}: an agent needs an id, such as default")));
        }
        let agent =
            agent(&paths).map_err(|why| Failure::new(Category::Local, format!("--ssh {id}: {why}")))?;
        if all.insert(id.to_owned(), agent).is_some() {
            return Err(Failure::usage(format!(
                "--ssh {id}: the id is given twice; several keys go into one option, ID=KEY,KEY"
            )));
        }
    }
    Ok(all)
}

/// One socket, or files of keys.
fn agent(paths: &[PathBuf]) -> Result<AgentSource, String> {
    let is_socket = |path: &PathBuf| match std::fs::metadata(path) {
        Ok(found) => Ok(found.file_type().is_socket()),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    };
    let sockets = paths.iter().map(is_socket).collect::<Result<Vec<bool>, String>>()?;
    match (sockets.iter().filter(|socket| **socket).count(), paths) {
        (0, _) => Ok(AgentSource::Keys(Arc::new(Keyring::read(paths).map_err(|error| error.to_string())?))),
        (1, [socket]) => Ok(AgentSource::Socket(socket.clone())),
        _ => Err("one socket, or files of keys, but not both, and no second socket".to_owned()),
    }
}

/// A path that is not there is refused, never made.
pub fn mount(option: &str, host: &Path, target: &str, read_only: ReadOnly) -> Result<MountSpec, Failure> {
    let failed = |error| Failure::new(Category::Local, format!("{option} {}: {error}", host.display()));
    let path = std::fs::canonicalize(host).map_err(failed)?;
    Ok(MountSpec { target: target.to_owned(), source: MountSource::Directory(path), read_only })
}

/// The devices that every step of a build gets.
pub fn devices(given: &[StepDeviceArg]) -> Result<StepDevices, Failure> {
    let mut devices = StepDevices::default();
    for device in given {
        match device {
            StepDeviceArg::Node(node) => {
                devices.nodes.push(mount("--device", &node.host, &node.target, ReadOnly::No)?);
            }
            StepDeviceArg::Named(name) => devices.named.push(name.clone()),
        }
    }
    Ok(devices)
}

/// How names are looked up.
pub fn resolvers(args: &ResolverArgs) -> Resolvers {
    Resolvers { servers: args.dns.clone(), search: args.dns_search.clone(), options: args.dns_option.clone() }
}

/// Lines for `/etc/hosts`, and whether the host is among them.
pub fn hosts(given: &[HostArg], network: NetworkMode) -> Result<(Vec<ExtraHost>, Gateway), Failure> {
    let (mut all, mut gateway) = (Vec::new(), Gateway::Hidden);
    for host in given {
        let address = match host.address {
            HostAddress::Is(address) => address,
            HostAddress::Gateway => {
                gateway = Gateway::Host;
                own_address(&host.name, network)?
            }
        };
        all.push(ExtraHost { name: host.name.clone(), address });
    }
    Ok((all, gateway))
}

/// Where this host is, seen from a network.
fn own_address(name: &str, network: NetworkMode) -> Result<IpAddr, Failure> {
    match network {
        NetworkMode::Host => Ok(Ipv4Addr::LOCALHOST.into()),
        NetworkMode::Private => default_gateway().map(IpAddr::from).ok_or_else(|| {
            Failure::new(
                Category::Host,
                format!("--add-host {name}:host-gateway: this host has no default route"),
            )
        }),
        NetworkMode::None => Err(Failure::usage(format!(
            "--add-host {name}:host-gateway: there is no host in the network none"
        ))),
    }
}
