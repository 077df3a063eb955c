//! Statements as a manifest, as BuildKit stores them: one layer for each statement.

use std::collections::BTreeMap;

use bytes::Bytes;
use oci::{Descriptor, Digest, Document, Manifest, MediaType, Platform};
use serde_json::{Map, json};

use super::statement::Statement;
use crate::request::AttestationForm;

const STATEMENT: &str = "application/vnd.in-toto+json";
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
const ARTIFACT_TYPE: &str = "application/vnd.docker.attestation.manifest.v1+json";

/// The statements about one image.
#[derive(Clone, Debug)]
pub(crate) struct AttestationManifest {
    /// The manifest.
    pub manifest: Document<Manifest>,
    /// How an index names it.
    pub entry: Descriptor,
    /// Its config and layers.
    pub blobs: Vec<(Descriptor, Bytes)>,
}

impl AttestationManifest {
    /// How a list of what refers to the image names it.
    pub(crate) fn as_referrer(&self) -> Descriptor {
        let mut entry = self.manifest.descriptor().clone();
        entry.other.insert("artifactType".to_owned(), json!(ARTIFACT_TYPE));
        entry
    }
}

/// Writes the manifest of statements about the image that `subject` describes.
pub(crate) fn attestation_manifest(
    subject: &Descriptor,
    statements: &[Statement],
    form: AttestationForm,
) -> AttestationManifest {
    let mut blobs = Vec::new();
    let mut layers = Vec::new();
    for statement in statements {
        let raw = Bytes::from(statement.value.to_string());
        let mut layer = described(MediaType::from(STATEMENT), &raw);
        layer.annotations.insert(PREDICATE_TYPE.to_owned(), statement.predicate_type.to_owned());
        blobs.push((layer.clone(), raw));
        layers.push(layer);
    }
    let mut other = Map::new();
    let (config, raw) = match form {
        AttestationForm::Image => image_config(&layers),
        AttestationForm::Artifact => {
            other.insert("artifactType".to_owned(), json!(ARTIFACT_TYPE));
            let plain = Descriptor::new(subject.media_type.clone(), subject.digest.clone(), subject.size);
            other.insert("subject".to_owned(), json!(plain));
            let raw = Bytes::from_static(b"{}");
            (described(MediaType::OciEmpty, &raw), raw)
        }
    };
    blobs.push((config.clone(), raw));
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OciManifest),
        config,
        layers,
        annotations: BTreeMap::new(),
        other,
    };
    let manifest = Document::create(MediaType::OciManifest, manifest);
    let mut entry = manifest.descriptor().clone();
    entry.platform = Some(Platform::new("unknown", "unknown", None));
    entry.annotations.insert(REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned());
    entry.annotations.insert(REFERENCE_DIGEST.to_owned(), subject.digest.to_string());
    AttestationManifest { manifest, entry, blobs }
}

/// A config that names the statements as if they were layers of no platform.
fn image_config(layers: &[Descriptor]) -> (Descriptor, Bytes) {
    let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.digest).collect();
    let config = json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let raw = Bytes::from(config.to_string());
    (described(MediaType::OciConfig, &raw), raw)
}

fn described(media_type: MediaType, raw: &Bytes) -> Descriptor {
    Descriptor::new(media_type, Digest::sha256(raw), raw.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_lead_to_the_image() {
        let subject = Descriptor::new(MediaType::OciManifest, Digest::sha256("image"), 5);
        let statement = Statement { predicate_type: "t", value: json!({"a": 1}), filename: String::new() };
        let image = attestation_manifest(&subject, std::slice::from_ref(&statement), AttestationForm::Image);
        assert_eq!(image.entry.annotations[REFERENCE_DIGEST], subject.digest.to_string());
        assert_eq!(image.entry.platform.as_ref().unwrap().to_string(), "unknown/unknown");
        assert_eq!(image.manifest.parsed().layers[0].annotations[PREDICATE_TYPE], "t");
        assert_eq!(image.manifest.parsed().other.get("subject"), None);
        let artifact = attestation_manifest(&subject, &[statement], AttestationForm::Artifact);
        assert_eq!(artifact.manifest.parsed().other["subject"]["digest"], subject.digest.to_string());
        assert_eq!(artifact.blobs.len(), 2);
    }
}
