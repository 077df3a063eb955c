//! Programs that know credentials (`docker-credential-…`). They run outside, through an injected runner.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use serde::Deserialize;

use crate::{Credential, RegistryError, Secret};

/// The part of a helper program's name after `docker-credential-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HelperName(String);

impl HelperName {
    /// Only letters, digits, `.`, `_` and `-` may name a helper: the name becomes part of a program's name.
    pub fn new(name: &str) -> Option<Self> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (!name.is_empty() && name.bytes().all(good)).then(|| Self(name.to_owned()))
    }

    /// The program: `docker-credential-<name>`.
    pub fn program(&self) -> String {
        format!("docker-credential-{}", self.0)
    }
}

impl fmt::Display for HelperName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a helper answered.
pub struct HelperOutput {
    /// Its exit code.
    pub code: i32,
    /// Its standard output, which may hold a secret.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// Runs a helper with a verb (`get`, `store`, `erase`, `list`) and its standard input; may block.
pub type HelperRunner = Arc<dyn Fn(&HelperName, &str, &[u8]) -> io::Result<HelperOutput> + Send + Sync>;

const NOT_FOUND: &str = "credentials not found";
pub(crate) const IDENTITY: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: Secret,
}

/// Asks a helper about a server; `None` where it knows nothing.
pub(crate) async fn ask(
    runner: &HelperRunner,
    name: &HelperName,
    server: &str,
) -> Result<Option<Credential>, RegistryError> {
    let output = run(runner, name, "get", server, server.as_bytes().to_owned()).await?;
    understand(&output).map_err(|reason| failed(name, server, reason))
}

/// Gives a credential to a helper.
pub(crate) async fn store(
    runner: &HelperRunner,
    name: &HelperName,
    server: &str,
    credential: &Credential,
) -> Result<(), RegistryError> {
    let (username, secret) = match credential {
        Credential::Basic { username, password } => (username.as_str(), password),
        Credential::Identity(token) => (IDENTITY, token),
        Credential::Bearer(_) => {
            return Err(failed(name, server, "an access token is not kept by helpers".to_owned()));
        }
    };
    let order = serde_json::json!({"ServerURL": server, "Username": username, "Secret": secret.reveal()});
    let output = run(runner, name, "store", server, order.to_string().into_bytes()).await?;
    done(&output).map_err(|reason| failed(name, server, reason))
}

/// Makes a helper forget a server.
pub(crate) async fn erase(
    runner: &HelperRunner,
    name: &HelperName,
    server: &str,
) -> Result<(), RegistryError> {
    let output = run(runner, name, "erase", server, server.as_bytes().to_owned()).await?;
    done(&output).map_err(|reason| failed(name, server, reason))
}

/// The servers that a helper knows.
pub(crate) async fn list(runner: &HelperRunner, name: &HelperName) -> Result<Vec<String>, RegistryError> {
    let every = "every host";
    let output = run(runner, name, "list", every, Vec::new()).await?;
    done(&output).map_err(|reason| failed(name, every, reason))?;
    let users: BTreeMap<String, serde::de::IgnoredAny> = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed(name, every, "its answer is not understood".to_owned()))?;
    Ok(users.into_keys().collect())
}

/// Helpers may wait for a person, so each runs on a thread of its own.
async fn run(
    runner: &HelperRunner,
    name: &HelperName,
    verb: &'static str,
    server: &str,
    input: Vec<u8>,
) -> Result<HelperOutput, RegistryError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let (thread_runner, thread_name) = (runner.clone(), name.clone());
    std::thread::spawn(move || {
        // nobody waits any more if the log-in was given up
        let _ = sender.send(thread_runner(&thread_name, verb, &input));
    });
    let outcome = receiver.await.unwrap_or_else(|_| Err(io::Error::other("its runner panicked")));
    outcome.map_err(|error| failed(name, server, error.to_string()))
}

fn failed(name: &HelperName, server: &str, reason: String) -> RegistryError {
    RegistryError::Helper { program: name.program(), host: server.to_owned(), reason }
}

fn done(output: &HelperOutput) -> Result<(), String> {
    match output.code {
        0 => Ok(()),
        code => Err(format!("exit code {code}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

fn understand(output: &HelperOutput) -> Result<Option<Credential>, String> {
    if output.code != 0 {
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let unknown = [&output.stdout, &output.stderr].iter().any(|bytes| said(bytes).contains(NOT_FOUND));
        return match unknown {
            true => Ok(None),
            false => Err(format!("exit code {}: {}", output.code, said(&output.stderr))),
        };
    }
    let answer: Answer =
        serde_json::from_slice(&output.stdout).map_err(|_| "its answer is not understood".to_owned())?;
    Ok(match answer {
        Answer { secret, .. } if secret.is_empty() => None,
        Answer { username, secret } if username == IDENTITY => Some(Credential::Identity(secret)),
        Answer { username, secret } => Some(Credential::Basic { username, password: secret }),
    })
}
