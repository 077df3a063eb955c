//! The text that is signed: "simple signing" of the containers projects, in cosign's kind.

use std::collections::BTreeMap;

use bytes::Bytes;
use oci::{Digest, Repository};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

const KIND: &str = "cosign container image signature";
const DOCKER_HUB: &str = "docker.io";
/// How cosign writes Docker Hub.
const DOCKER_HUB_INDEX: &str = "index.docker.io";

/// What a signature says: that the image of this digest is known under this name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    critical: Critical,
    optional: Option<BTreeMap<String, Value>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

/// Why a payload says nothing.
#[derive(Debug, Error)]
pub enum PayloadError {
    /// It cannot be read.
    #[error("the payload is no signature's: {0}")]
    Form(#[from] serde_json::Error),
    /// It is about something else.
    #[error("the payload is of type {found:?}, not {KIND:?}")]
    Kind {
        /// What it says.
        found: String,
    },
}

impl Payload {
    /// What is said of an image. Annotations are the caller's own.
    pub fn new(name: Option<&Repository>, digest: Digest, annotations: &BTreeMap<String, String>) -> Self {
        let text = |(key, value): (&String, &String)| (key.clone(), Value::String(value.clone()));
        let optional: BTreeMap<String, Value> = annotations.iter().map(text).collect();
        Self {
            critical: Critical {
                identity: Identity { name: name.map(written).unwrap_or_default() },
                image: Image { digest },
                kind: KIND.to_owned(),
            },
            optional: (!optional.is_empty()).then_some(optional),
        }
    }

    /// Reads a text that was signed.
    ///
    /// # Errors
    /// Where it is none of cosign's.
    pub fn parse(text: &[u8]) -> Result<Self, PayloadError> {
        let payload: Self = serde_json::from_slice(text)?;
        match payload.critical.kind == KIND {
            true => Ok(payload),
            false => Err(PayloadError::Kind { found: payload.critical.kind }),
        }
    }

    /// The bytes that are signed.
    pub fn to_bytes(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).unwrap_or_default())
    }

    /// The digest that it names.
    pub fn digest(&self) -> &Digest {
        &self.critical.image.digest
    }

    /// The name that it gives the image: registry and path, or nothing.
    pub fn name(&self) -> &str {
        &self.critical.identity.name
    }

    /// Whether it has these annotations, among others.
    pub fn has(&self, annotations: &BTreeMap<String, String>) -> bool {
        let own = |key: &String| self.optional.as_ref()?.get(key)?.as_str();
        annotations.iter().all(|(key, value)| own(key) == Some(value.as_str()))
    }
}

fn written(name: &Repository) -> String {
    match name.registry == DOCKER_HUB {
        true => format!("{DOCKER_HUB_INDEX}/{}", name.path),
        false => name.to_string(),
    }
}
