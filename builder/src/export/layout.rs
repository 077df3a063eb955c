//! The files of an OCI layout, and of a docker archive, which is one with a `manifest.json`. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use oci::{Descriptor, Digest, Manifest, Reference};
use serde::Serialize;

use super::assemble::{AssembledImage, Family};
use super::made::Made;
use crate::attest::AttestationManifest;

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Content of a blob.
#[derive(Clone, Debug)]
pub(crate) enum Blob {
    /// A document.
    Bytes(Bytes),
    /// A blob of the store.
    Stored(Descriptor),
}

/// Everything in a layout.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayoutFiles {
    /// By digest.
    pub blobs: BTreeMap<Digest, Blob>,
    /// Entries of `index.json`.
    pub index: Vec<Descriptor>,
    /// `manifest.json`, in a docker archive.
    pub docker: Option<Bytes>,
}

/// `oci-layout`.
pub(crate) const LAYOUT_VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayoutIndex<'a> {
    schema_version: u32,
    media_type: &'static str,
    manifests: &'a [Descriptor],
}

/// `index.json` with these entries.
pub(crate) fn index_json(entries: &[Descriptor]) -> Vec<u8> {
    let index = LayoutIndex {
        schema_version: 2,
        media_type: "application/vnd.oci.image.index.v1+json",
        manifests: entries,
    };
    serde_json::to_vec(&index).unwrap_or_else(|error| unreachable!("plain data: {error}"))
}

/// The layout of what was made, once for each name.
pub(crate) fn oci_files(made: &Made, names: &[Reference]) -> LayoutFiles {
    let mut blobs = BTreeMap::new();
    for image in &made.images {
        add_image(&mut blobs, image);
    }
    if let Some(index) = &made.index {
        blobs.insert(index.descriptor().digest.clone(), Blob::Bytes(index.raw().clone()));
    }
    for attestation in &made.attestations {
        let manifest = &attestation.manifest;
        blobs.insert(manifest.descriptor().digest.clone(), Blob::Bytes(manifest.raw().clone()));
        for (blob, raw) in &attestation.blobs {
            blobs.insert(blob.digest.clone(), Blob::Bytes(raw.clone()));
        }
    }
    let top = made.descriptor();
    let mut index = match names {
        [] => vec![top],
        names => names.iter().map(|name| named(&top, name)).collect(),
    };
    // What refers to the image has no name of its own.
    index.extend(made.referrers().iter().map(AttestationManifest::as_referrer));
    LayoutFiles { blobs, index, docker: None }
}

fn add_image(blobs: &mut BTreeMap<Digest, Blob>, image: &AssembledImage) {
    for document in
        [(image.manifest.descriptor(), image.manifest.raw()), (image.config.descriptor(), image.config.raw())]
    {
        blobs.insert(document.0.digest.clone(), Blob::Bytes(document.1.clone()));
    }
    for layer in &image.manifest.parsed().layers {
        blobs.insert(layer.digest.clone(), Blob::Stored(layer.clone()));
    }
}

/// An entry of `index.json` with a name.
pub(crate) fn named(top: &Descriptor, name: &Reference) -> Descriptor {
    let mut named = top.clone();
    named.annotations.insert(IMAGE_NAME.to_owned(), name.to_string());
    if let Some(tag) = name.tag() {
        named.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
    }
    named
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// Path of a blob in a layout.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// A docker archive with one image.
pub(crate) fn docker_files(made: &Made, image: &AssembledImage, names: &[Reference]) -> LayoutFiles {
    let json = docker_json([(image.manifest.parsed(), names.iter().collect())]);
    LayoutFiles { docker: Some(json.into()), ..oci_files(made, names) }
}

/// `manifest.json` of a docker archive: manifests with their names.
pub(crate) fn docker_json<'a>(
    images: impl IntoIterator<Item = (&'a Manifest, Vec<&'a Reference>)>,
) -> Vec<u8> {
    let entry = |(manifest, names): (&Manifest, Vec<&Reference>)| DockerEntry {
        config: blob_path(&manifest.config.digest),
        repo_tags: names.into_iter().map(Reference::familiar).collect(),
        layers: manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
    };
    let entries: Vec<DockerEntry> = images.into_iter().map(entry).collect();
    serde_json::to_vec(&entries).unwrap_or_else(|error| unreachable!("plain data: {error}"))
}

impl LayoutFiles {
    /// Algorithms whose directories are needed.
    pub(crate) fn algorithms(&self) -> BTreeSet<&'static str> {
        self.blobs.keys().map(|digest| digest.algorithm().name()).collect()
    }
}

/// The family a layout's documents are written in unless the output says otherwise.
impl Default for Family {
    fn default() -> Self {
        Family::Oci
    }
}
