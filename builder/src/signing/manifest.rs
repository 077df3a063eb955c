//! Signatures as a manifest: each payload is a layer, and its signature an annotation of that layer.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use oci::{Descriptor, Digest, Document, Manifest, MediaType};
use serde_json::{Map, json};

/// What a payload is.
const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What a manifest of signatures is that names its subject.
pub(crate) const ARTIFACT_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Go's zero time, which cosign gives what has no time.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// A payload with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// The payload, as a layer that carries the signature.
    pub layer: Descriptor,
}

impl Signature {
    /// Puts a signature onto a payload.
    pub(crate) fn new(payload: &Bytes, signature: &[u8]) -> Self {
        let digest = Digest::sha256(payload);
        let mut layer = Descriptor::new(MediaType::from(PAYLOAD_TYPE), digest, payload.len() as u64);
        layer.annotations.insert(SIGNATURE.to_owned(), STANDARD.encode(signature));
        Self { layer }
    }

    /// The bytes of the signature, where they can be read.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.layer.annotations.get(SIGNATURE)?).ok()
    }
}

/// The signatures in a manifest; other layers are none.
pub(crate) fn signatures(manifest: &Manifest) -> Vec<Signature> {
    let is_payload = |layer: &&Descriptor| layer.media_type.as_str() == PAYLOAD_TYPE;
    manifest.layers.iter().filter(is_payload).map(|layer| Signature { layer: layer.clone() }).collect()
}

/// A manifest of signatures with its config. With a subject it refers to that.
pub(crate) fn as_manifest(
    signatures: Vec<Signature>,
    subject: Option<&Descriptor>,
) -> (Document<Manifest>, Descriptor, Bytes) {
    let layers: Vec<Descriptor> = signatures.into_iter().map(|one| one.layer).collect();
    let mut other = Map::new();
    let (kind, config) = match subject {
        Some(subject) => {
            let plain = Descriptor::new(subject.media_type.clone(), subject.digest.clone(), subject.size);
            other.insert("artifactType".to_owned(), json!(ARTIFACT_TYPE));
            other.insert("subject".to_owned(), json!(plain));
            (MediaType::OciEmpty, Bytes::from_static(b"{}"))
        }
        None => (MediaType::OciConfig, image_config(&layers)),
    };
    let config_descriptor = Descriptor::new(kind, Digest::sha256(&config), config.len() as u64);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OciManifest),
        config: config_descriptor.clone(),
        layers,
        annotations: BTreeMap::new(),
        other,
    };
    (Document::create(MediaType::OciManifest, manifest), config_descriptor, config)
}

/// The config that makes the manifest an image for registries that take nothing else.
fn image_config(layers: &[Descriptor]) -> Bytes {
    let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.digest).collect();
    let history: Vec<_> = layers.iter().map(|_| json!({ "created": NO_TIME })).collect();
    let config = json!({
        "architecture": "",
        "created": NO_TIME,
        "history": history,
        "os": "",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "config": {},
    });
    Bytes::from(config.to_string())
}
