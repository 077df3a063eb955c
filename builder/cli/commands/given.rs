//! What the caller gives to steps: secrets, agents, descriptions of devices.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use builder::error::Category;
use builder::git::GitAgent;
use builder::remote::RemoteSecrets;
use builder::request::{Resolvers, Secret, SecretSource, StepDevices};
use builder::ssh::{AgentSource, KeyFile, Keyring};
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

/// Those of the secrets that open repositories and files behind addresses.
pub fn remote_secrets(given: &[SecretArg], environment: &Environment) -> Result<RemoteSecrets, Failure> {
    let given: Vec<SecretArg> =
        given.iter().filter(|secret| RemoteSecrets::is_one(&secret.id)).cloned().collect();
    let mut values = Vec::new();
    for (id, source) in secrets(&given, environment)? {
        let bytes = match source {
            SecretSource::Value(value) => value.0,
            SecretSource::File(path) => std::fs::read(&path).map_err(|error| {
                Failure::new(Category::Local, format!("--secret id={id}: {}: {error}", path.display()))
            })?,
        };
        let text = String::from_utf8(bytes).ok().filter(|text| !text.trim_end().contains(['\n', '\r', '\0']));
        let text = text
            .ok_or_else(|| Failure::usage(format!("--secret id={id}: the value is not one line of text")))?;
        values.push((id, text));
    }
    Ok(RemoteSecrets::new(values))
}

/// The agents that options name: `ID`, `ID=SOCKET`, or `ID=KEY[,KEY…]`, a key being a file, or a destination and a file.
pub fn ssh(given: &[String], environment: &Environment) -> Result<BTreeMap<String, AgentSource>, Failure> {
    let mut all = BTreeMap::new();
    for text in given {
        let (id, files): (&str, Vec<KeyFile>) = match text.split_once('=') {
            Some((id, keys)) => (id, keys.split(',').map(key_file).collect::<Result<_, _>>()?),
            None => {
                let socket = environment.path("SSH_AUTH_SOCK");
                let not_set = || Failure::usage(format!("--ssh {text}: SSH_AUTH_SOCK is not set"));
                (text.as_str(), vec![KeyFile::anywhere(&socket.ok_or_else(not_set)?)])
            }
        };
        if id.is_empty() {
            return Err(Failure::usage(format!("--ssh {text}: an agent needs an id, such as default")));
        }
        let agent = agent(&files, environment)
            .map_err(|why| Failure::new(Category::Local, format!("--ssh {id}: {why}")))?;
        if all.insert(id.to_owned(), agent).is_some() {
            return Err(Failure::usage(format!(
                "--ssh {id}: the id is given twice; several keys go into one option, ID=KEY,KEY"
            )));
        }
    }
    Ok(all)
}

/// The one of them that opens repositories: `default`, as BuildKit has it.
pub fn git_agent(given: &[String], environment: &Environment) -> Result<Option<GitAgent>, Failure> {
    let known_hosts = || all_known_hosts(environment).into();
    let source = ssh(given, environment)?.remove("default");
    Ok(source.map(|source| GitAgent { source, known_hosts: known_hosts() }))
}

/// A file whose name has a colon is that file.
fn key_file(text: &str) -> Result<KeyFile, Failure> {
    match Path::new(text) {
        there if there.exists() => Ok(KeyFile::anywhere(there)),
        _ => KeyFile::parse(text).map_err(|error| Failure::usage(format!("--ssh: {error}"))),
    }
}

/// What the caller knows of hosts, if some key is for one alone.
fn known_hosts(files: &[KeyFile], environment: &Environment) -> String {
    if files.iter().all(|file| file.destination.is_none()) {
        return String::new();
    }
    all_known_hosts(environment)
}

fn all_known_hosts(environment: &Environment) -> String {
    let home = environment.path("HOME").map(|home| home.join(".ssh/known_hosts"));
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    home.into_iter().chain(["/etc/ssh/ssh_known_hosts".into()]).map(read).collect::<Vec<_>>().join("\n")
}

/// One socket, or files of keys.
fn agent(files: &[KeyFile], environment: &Environment) -> Result<AgentSource, String> {
    let is_socket = |file: &KeyFile| match std::fs::metadata(&file.path) {
        Ok(found) => Ok(found.file_type().is_socket()),
        Err(error) => Err(format!("{} cannot be read: {error}", file.path.display())),
    };
    let sockets = files.iter().map(is_socket).collect::<Result<Vec<bool>, String>>()?;
    match (sockets.iter().filter(|socket| **socket).count(), files) {
        (0, _) => {
            let keys = Keyring::read(files, &known_hosts(files, environment));
            Ok(AgentSource::Keys(Arc::new(keys.map_err(|error| error.to_string())?)))
        }
        (1, [KeyFile { destination: Some(_), .. }]) => {
            Err("an agent's socket serves all hosts; name files of keys for single ones".to_owned())
        }
        (1, [socket]) => Ok(AgentSource::Socket(socket.path.clone())),
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
