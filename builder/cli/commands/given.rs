//! What the caller gives to steps: secrets, agents, descriptions of devices.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use builder::error::Category;
use builder::request::{Secret, SecretSource};

use crate::args::{SecretArg, SecretFrom};
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

/// The sockets of the agents that options name.
pub fn ssh(given: &[String], environment: &Environment) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut all = BTreeMap::new();
    for text in given {
        let (id, socket) = match text.split_once('=') {
            Some((id, socket)) => (id, PathBuf::from(socket)),
            None => {
                let socket = environment.path("SSH_AUTH_SOCK");
                (
                    text.as_str(),
                    socket
                        .ok_or_else(|| Failure::usage(format!("--ssh {text}: SSH_AUTH_SOCK is not set")))?,
                )
            }
        };
        agent_socket(&socket).map_err(|why| {
            Failure::new(Category::Local, format!("--ssh {id}: {}: {why}", socket.display()))
        })?;
        all.insert(id.to_owned(), socket);
    }
    Ok(all)
}

fn agent_socket(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Err(error) => Err(error.to_string()),
        Ok(found) if found.file_type().is_socket() => Ok(()),
        Ok(_) => Err("is not the socket of an ssh agent; for a key, ssh-add it to an agent".to_owned()),
    }
}
