//! Which Docker engine is meant: as the docker command finds it.

use std::path::{Path, PathBuf};

use oci::Digest;
use registry_client::EngineAddress;
use serde::Deserialize;

use crate::environment::Environment;
use crate::failure::Failure;

const USUAL: &str = "unix:///var/run/docker.sock";

/// Of the docker command's settings.
#[derive(Deserialize)]
struct Config {
    #[serde(rename = "currentContext")]
    current: Option<String>,
}

/// What is kept of a context.
#[derive(Deserialize)]
struct Context {
    #[serde(rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Endpoint,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Host")]
    host: String,
}

/// The engine that is to load an image.
pub fn address(environment: &Environment) -> Result<EngineAddress, Failure> {
    let failed = |why: String| Failure::usage(format!("--load: {why}"));
    let (text, origin) = host(environment).map_err(failed)?;
    let address = text.parse().map_err(|why: String| failed(format!("{origin}: {why}")))?;
    let wants_tls = environment.non_empty("DOCKER_TLS_VERIFY").is_some();
    if wants_tls && matches!(address, EngineAddress::Tcp(_)) {
        return Err(failed(format!(
            "{address}: DOCKER_TLS_VERIFY is set, and engines are not reached by TLS; \
             forward its socket and name it as unix://"
        )));
    }
    Ok(address)
}

/// `DOCKER_HOST`, else the host of the context of `DOCKER_CONTEXT` or of the settings, else the usual socket;
/// and what says so.
pub fn host(environment: &Environment) -> Result<(String, String), String> {
    if let Some(host) = environment.non_empty("DOCKER_HOST") {
        return Ok((host.to_owned(), "DOCKER_HOST".to_owned()));
    }
    Ok(of_context(environment)?.unwrap_or_else(|| (USUAL.to_owned(), "the usual socket".to_owned())))
}

/// The host of the context that is in use, and the file that says so.
fn of_context(environment: &Environment) -> Result<Option<(String, String)>, String> {
    let Some(dir) = environment.docker_dir() else { return Ok(None) };
    let name = match environment.non_empty("DOCKER_CONTEXT") {
        Some(name) => Some(name.to_owned()),
        None => match read(&dir.join("config.json"))? {
            Some(text) => parse::<Config>(&dir.join("config.json"), &text)?.current,
            None => None,
        },
    };
    let Some(name) = name.filter(|name| !name.is_empty() && name != "default") else { return Ok(None) };
    let file = file_of(&dir, &name);
    let Some(text) = read(&file)? else {
        return Err(format!("{}: there is no context {name:?}", file.display()));
    };
    let context: Context = parse(&file, &text)?;
    Ok(Some((context.endpoints.docker.host, file.display().to_string())))
}

/// Docker names the directory of a context by the SHA-256 of its name.
fn file_of(dir: &Path, name: &str) -> PathBuf {
    dir.join("contexts/meta").join(Digest::sha256(name.as_bytes()).hex()).join("meta.json")
}

/// A file, if it is there.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match std::fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// A file's text as JSON; messages tell positions, not values.
pub fn parse<T: for<'a> Deserialize<'a>>(path: &Path, text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<String, String> {
        match address(&Environment::of(variables)) {
            Ok(address) => Ok(address.to_string()),
            Err(failure) => Err(failure.text),
        }
    }

    #[test]
    fn the_engine_is_the_one_that_docker_would_use() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_str().unwrap();
        assert_eq!(found(&[("DOCKER_CONFIG", at)]).unwrap(), "unix:///var/run/docker.sock");
        let file = file_of(dir.path(), "far");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(
            &file,
            r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///far"}}}"#,
        )
        .unwrap();
        std::fs::write(dir.path().join("config.json"), r#"{"auths":{},"currentContext":"far"}"#).unwrap();
        for (more, expected) in [
            (&[][..], Ok("unix:///far")),
            (&[("DOCKER_HOST", "tcp://h:1")][..], Ok("tcp://h:1")),
            (&[("DOCKER_CONTEXT", "default")][..], Ok("unix:///var/run/docker.sock")),
            (&[("DOCKER_CONTEXT", "other")][..], Err("there is no context \"other\"")),
            (
                &[("DOCKER_HOST", "ssh://h")][..],
                Err("DOCKER_HOST: ssh://h: engines are not reached by ssh://"),
            ),
            (
                &[("DOCKER_HOST", "tcp://h:1"), ("DOCKER_TLS_VERIFY", "1")][..],
                Err("DOCKER_TLS_VERIFY is set"),
            ),
        ] {
            let variables: Vec<_> = more.iter().copied().chain([("DOCKER_CONFIG", at)]).collect();
            match (found(&variables), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{more:?}"),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{more:?}: {found}"),
                (found, expected) => panic!("{more:?}: {found:?}, expected {expected:?}"),
            }
        }
    }
}
