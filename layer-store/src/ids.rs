//! The names of things in a store.

use std::fmt;
use std::str::FromStr;

use oci::{ChainId, DiffId};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The name of a layer directory: from a diff ID, from a chain ID, or random.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerId(Box<str>);

/// A text that names no layer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no layer id")]
pub struct LayerIdError(pub String);

impl LayerId {
    /// The name of a layer of an image that needs nothing of the layers below it.
    pub fn from_diff(diff: &DiffId) -> Self {
        Self(format!("{}-{}", diff.0.algorithm().name(), diff.0.hex()).into())
    }

    /// The name of a layer of an image that was completed with what lay below it.
    pub fn from_chain(chain: &ChainId) -> Self {
        Self(format!("chain-{}-{}", chain.0.algorithm().name(), chain.0.hex()).into())
    }

    /// A name that was never given before.
    pub fn random() -> Self {
        Self(format!("step-{}", random_hex()).into())
    }

    /// Whether the name was made from the content, so that the same name means the same content in
    /// every store.
    pub fn names_content(&self) -> bool {
        !self.0.starts_with("step-")
    }

    /// Its text, usable as a file name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LayerId {
    type Err = LayerIdError;

    fn from_str(text: &str) -> Result<Self, LayerIdError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 160 || text.starts_with('-') || !text.bytes().all(plain) {
            return Err(LayerIdError(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for LayerId {
    type Error = LayerIdError;

    fn try_from(text: String) -> Result<Self, LayerIdError> {
        text.parse()
    }
}

impl From<LayerId> for String {
    fn from(id: LayerId) -> Self {
        id.0.into()
    }
}

/// An ordered list of layers, bottom first. The empty one is `scratch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Snapshot(pub Vec<LayerId>);

impl Snapshot {
    /// This snapshot with one layer more on top.
    #[must_use]
    pub fn with(&self, top: LayerId) -> Self {
        let mut layers = self.0.clone();
        layers.push(top);
        Self(layers)
    }

    /// The same tree with every layer once, which is what an overlay mount wants: where a layer occurs
    /// again further up, the lower one adds nothing.
    #[must_use]
    pub fn distinct(&self) -> Self {
        let mut seen = std::collections::HashSet::new();
        let mut layers: Vec<LayerId> = self.0.iter().rev().filter(|id| seen.insert(*id)).cloned().collect();
        layers.reverse();
        Self(layers)
    }
}

/// Sixteen random bytes in hexadecimal.
pub(crate) fn random_hex() -> String {
    let mut bytes = [0u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => unreachable!("the kernel has random bytes: {error}"),
        }
    }
    hex(&bytes)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl TryFrom<String> for $name {
            type Error = HashIdError;

            fn try_from(text: String) -> Result<Self, HashIdError> {
                text.parse()
            }
        }

        impl FromStr for $name {
            type Err = HashIdError;

            fn from_str(text: &str) -> Result<Self, HashIdError> {
                let bytes = unhex(text).and_then(|bytes| bytes.try_into().ok());
                bytes.map(Self).ok_or_else(|| HashIdError(text.to_owned()))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

/// A text that is not 32 bytes in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not 32 bytes in hexadecimal")]
pub struct HashIdError(pub String);

hash_id! {
    /// The digest of a layer's changes without their mtimes.
    ContentId
}
hash_id! {
    /// A name for a result, known before the result is.
    CacheKey
}
hash_id! {
    /// The identity of one result of a step.
    ResultId
}

impl ResultId {
    /// An identity that was never given before.
    pub fn random() -> Self {
        let text = random_hex() + &random_hex();
        text.parse().unwrap_or_else(|error| unreachable!("{error}"))
    }
}
