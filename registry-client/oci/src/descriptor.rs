//! Descriptors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::null::absent;
use crate::{Digest, MediaType, Platform};

/// Media type, digest and size of some content (image-spec, descriptor.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    pub media_type: MediaType,
    /// Their digest.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
    /// For what machine, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Annotations.
    #[serde(default, deserialize_with = "absent", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Everything else, unchanged (`urls`, `data`, `artifactType` …).
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Descriptor {
    /// A plain one.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self { media_type, digest, size, platform: None, annotations: BTreeMap::new(), other: Map::new() }
    }

    /// What kind of artifact its manifest is, where it says so.
    pub fn artifact_type(&self) -> Option<&str> {
        self.other.get("artifactType")?.as_str()
    }
}
