//! The documents of an image in the other family of media types. Configs and layers keep their bytes, so
//! they are sent, mounted and found as before; manifests and indexes get new digests.

use std::collections::BTreeMap;
use std::sync::Arc;

use oci::{Compression, Descriptor, Digest, Document, ImageDocument, Index, Manifest, MediaType};
use serde_json::{Map, Value};

use super::content::Content;
use super::error::PlaceError;
use super::made::MadeSource;
use super::source::Source;
use crate::export::Family;

/// The media types that an image has at its new place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Types {
    /// Those that it has.
    #[default]
    Keep,
    /// Those of one family.
    Of(Family),
}

/// The image with the media types of a family.
pub(super) async fn converted(
    source: Source,
    content: Content,
    family: Family,
) -> Result<(Source, Content), PlaceError> {
    let mut new: BTreeMap<Digest, ImageDocument> = BTreeMap::new();
    // Each document comes after those that it names.
    for old in content.documents() {
        let made = match old {
            ImageDocument::Manifest(manifest) => in_manifest(manifest, family),
            ImageDocument::Index(index) => in_index(index, family, &new),
        };
        let made = made.map_err(|reason| PlaceError::refused(source.shown(), reason))?;
        new.insert(old.descriptor().digest.clone(), made);
    }
    let top = new.get(&content.top.descriptor().digest).cloned().unwrap_or_else(|| content.top.clone());
    if top.descriptor() == content.top.descriptor() {
        return Ok((source, content));
    }
    let new = new.into_values().map(|one| (one.descriptor().digest.clone(), one.raw().clone())).collect();
    let shown = source.shown();
    let made = Source::Made(Arc::new(MadeSource { shown, top, new, stored: None, parts: vec![source] }));
    let content = Content::of(&made, None).await?;
    Ok((made, content))
}

fn in_index(
    old: &Document<Index>,
    family: Family,
    new: &BTreeMap<Digest, ImageDocument>,
) -> Result<ImageDocument, String> {
    let mut index = old.parsed().clone();
    for entry in &mut index.manifests {
        let Some(below) = new.get(&entry.digest).map(ImageDocument::descriptor) else { continue };
        if below.digest != entry.digest {
            entry.other.remove("data");
        }
        (entry.media_type, entry.digest, entry.size) =
            (below.media_type.clone(), below.digest.clone(), below.size);
    }
    let media_type = family.convert(&MediaType::OciIndex);
    if let Family::Docker = family {
        // Docker's documents have no annotations.
        index.annotations.clear();
        no_subject(&index.other)?;
    }
    index.media_type = Some(media_type.clone());
    Ok(ImageDocument::Index(match index == *old.parsed() {
        true => old.clone(),
        false => Document::create(media_type, index),
    }))
}

fn in_manifest(old: &Document<Manifest>, family: Family) -> Result<ImageDocument, String> {
    let mut manifest = old.parsed().clone();
    let is_image = manifest.config.media_type.is_config() && manifest.layers.iter().all(is_image_layer);
    match (family, is_image) {
        // Artifacts and attestations are OCI's already.
        (Family::Oci, false) => return Ok(ImageDocument::Manifest(old.clone())),
        (Family::Docker, false) => {
            return Err("Docker's types have no room for artifacts, attestations and encrypted layers; \
                        --platform leaves an index's attestations behind"
                .to_owned());
        }
        (Family::Oci | Family::Docker, true) => {}
    }
    if let Family::Docker = family {
        manifest.annotations.clear();
        no_subject(&manifest.other)?;
        if manifest.layers.iter().any(|layer| layer.media_type.compression() == Some(Compression::Zstd)) {
            return Err("Docker's types have no room for layers packed with zstd".to_owned());
        }
    }
    for blob in manifest.layers.iter_mut().chain([&mut manifest.config]) {
        blob.media_type = family.convert(&blob.media_type);
    }
    let media_type = family.convert(&MediaType::OciManifest);
    manifest.media_type = Some(media_type.clone());
    Ok(ImageDocument::Manifest(match manifest == *old.parsed() {
        true => old.clone(),
        false => Document::create(media_type, manifest),
    }))
}

fn no_subject(other: &Map<String, Value>) -> Result<(), String> {
    match other.contains_key("subject") {
        true => Err("Docker's types have no room for what refers to another image".to_owned()),
        false => Ok(()),
    }
}

fn is_image_layer(layer: &Descriptor) -> bool {
    layer.media_type.is_layer()
}
