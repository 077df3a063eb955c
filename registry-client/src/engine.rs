//! A Docker engine (or what speaks its API, as podman does): images are loaded into it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use reqwest::{Body, RequestBuilder, Response};
use serde::Deserialize;
use thiserror::Error;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use crate::RegistryError;
use crate::error::causes;
use crate::http::{self, answer};

/// Bytes of an archive sent at once.
const PIECE: usize = 1 << 18;
/// Of what an engine says of one load. Progress is not asked for.
const LONGEST_ANSWER: u64 = 1 << 20;

/// Where an engine listens, as `DOCKER_HOST` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineAddress {
    /// `unix:///path`.
    Unix(PathBuf),
    /// `tcp://host:port`, without TLS.
    Tcp(String),
}

impl FromStr for EngineAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("tcp" | "http", host)) if !host.trim_end_matches('/').is_empty() => {
                Ok(Self::Tcp(host.trim_end_matches('/').to_owned()))
            }
            Some((scheme @ ("ssh" | "https" | "npipe" | "fd"), _)) => Err(format!(
                "{text}: engines are not reached by {scheme}://; forward its socket and name it as unix://"
            )),
            _ => Err(format!("{text}: an engine is named as unix:///path or tcp://host:port")),
        }
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

/// Why an engine did not take an image.
#[derive(Debug, Error)]
pub enum EngineError {
    /// No client can be made, or the answer cannot be read.
    #[error(transparent)]
    Client(RegistryError),
    /// It was not reached, or the connection broke.
    #[error("Docker engine {address}: {}", causes(source))]
    Network {
        /// Where it should be.
        address: EngineAddress,
        /// Why.
        source: reqwest::Error,
    },
    /// It said no.
    #[error("Docker engine {address}: {message}")]
    Refused {
        /// Where it is.
        address: EngineAddress,
        /// In its words.
        message: String,
    },
}

/// An engine.
#[derive(Clone, Debug)]
pub struct Engine {
    address: EngineAddress,
    client: reqwest::Client,
    base: String,
}

/// One line of what an engine says of its work.
#[derive(Deserialize)]
struct Line {
    error: Option<String>,
}

impl Engine {
    /// The engine at an address; nothing is sent yet.
    pub fn at(address: EngineAddress) -> Result<Self, EngineError> {
        let builder = http::plain().map_err(EngineError::Client)?;
        let (builder, base) = match &address {
            EngineAddress::Unix(path) => (builder.unix_socket(path.clone()), "http://localhost".to_owned()),
            EngineAddress::Tcp(host) => (builder, format!("http://{host}")),
        };
        match builder.build() {
            Ok(client) => Ok(Self { address, client, base }),
            Err(source) => Err(EngineError::Network { address, source }),
        }
    }

    /// Fails unless the engine answers.
    pub async fn ping(&self) -> Result<(), EngineError> {
        self.ask(self.client.get(format!("{}/_ping", self.base))).await.map(drop)
    }

    /// Has the engine load an archive as `docker save` makes them.
    pub async fn load(
        &self,
        archive: impl AsyncRead + Send + Sync + Unpin + 'static,
    ) -> Result<(), EngineError> {
        let body = Body::wrap_stream(ReaderStream::with_capacity(archive, PIECE));
        let request = self.client.post(format!("{}/images/load?quiet=1", self.base));
        let answer = self.ask(request.header("content-type", "application/x-tar").body(body)).await?;
        let text = answer::read_limited(&self.address.to_string(), "loading", answer, LONGEST_ANSWER).await;
        // What goes wrong after the first byte is told within a good answer.
        match failure(&text.map_err(EngineError::Client)?) {
            Some(message) => Err(self.refused(message)),
            None => Ok(()),
        }
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Response, EngineError> {
        let network = |source| EngineError::Network { address: self.address.clone(), source };
        let answer = request.send().await.map_err(network)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let refusal = answer::refusal(&self.address.to_string(), "", answer).await;
        Err(self.refused(format!("{status}: {}", refusal.message.unwrap_or_default())))
    }

    fn refused(&self, message: String) -> EngineError {
        EngineError::Refused { address: self.address.clone(), message }
    }
}

/// The first failure among the lines of what an engine says of its work.
fn failure(text: &[u8]) -> Option<String> {
    let lines = serde_json::Deserializer::from_slice(text).into_iter::<Line>();
    lines.map_while(Result::ok).find_map(|line| line.error).as_deref().map(answer::clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_docker_host() {
        for (text, expected) in [
            ("unix:///run/docker.sock", Some(EngineAddress::Unix("/run/docker.sock".into()))),
            ("tcp://127.0.0.1:2375", Some(EngineAddress::Tcp("127.0.0.1:2375".to_owned()))),
            ("http://engine:2375/", Some(EngineAddress::Tcp("engine:2375".to_owned()))),
            ("unix://relative", None),
            ("tcp://", None),
            ("ssh://user@host", None),
            ("/run/docker.sock", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[test]
    fn failures_are_found_among_progress() {
        for (text, expected) in [
            ("{\"stream\":\"Loaded image: a:1\\n\"}\r\n", None),
            ("{\"stream\":\"x\"}\n{\"errorDetail\":{\"message\":\"no\"},\"error\":\"no\"}\n", Some("no")),
            ("OK", None),
            ("", None),
        ] {
            assert_eq!(failure(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }
}
