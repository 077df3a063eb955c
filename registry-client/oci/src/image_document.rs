//! A document of which only its bytes say whether it is a manifest or an index.

use bytes::Bytes;
use defence::Defence;
use serde_json::Value;

use crate::{Descriptor, Digest, Document, DocumentError, Index, Manifest, MediaType};

/// What an image name leads to.
#[expect(clippy::large_enum_variant, reason = "there are never many of them")]
#[derive(Clone, Debug)]
pub enum ImageDocument {
    /// One image.
    Manifest(Document<Manifest>),
    /// One image per platform.
    Index(Document<Index>),
}

impl ImageDocument {
    /// Reads a manifest or index. `announced` is what a descriptor or Content-Type says of it; where that
    /// says nothing useful, the document's own `mediaType` decides, then its structure. A document that
    /// contradicts itself or the announcement is refused: other programs might read it otherwise.
    pub fn parse(announced: Option<&MediaType>, raw: Bytes) -> Result<Self, DocumentError> {
        let digest = Digest::sha256(&raw);
        let announced = announced.filter(|kind| kind.is_manifest() || kind.is_index());
        let value: Value = serde_json::from_slice(&raw).map_err(|source| DocumentError::Syntax {
            digest: digest.clone(),
            media_type: announced.cloned().unwrap_or(MediaType::OciManifest),
            source,
        })?;
        let kind = judge(announced, &value)
            .map_err(|reason| DocumentError::Refused { digest: digest.clone(), reason })?;
        let descriptor = Descriptor::new(kind, digest, raw.len() as u64);
        match descriptor.media_type.is_index() {
            true => Ok(Self::Index(Document::take(descriptor, raw)?)),
            false => Ok(Self::Manifest(Document::take(descriptor, raw)?)),
        }
    }

    /// Media type, digest and size.
    pub fn descriptor(&self) -> &Descriptor {
        match self {
            Self::Manifest(document) => document.descriptor(),
            Self::Index(document) => document.descriptor(),
        }
    }

    /// The manifest that this one refers to.
    pub fn subject(&self) -> Option<Descriptor> {
        let other = match self {
            Self::Manifest(document) => &document.parsed().other,
            Self::Index(document) => &document.parsed().other,
        };
        serde_json::from_value(other.get("subject")?.clone()).ok()
    }

    /// The entry that stands for it in a list of referrers (distribution-spec, "Listing Referrers"): its
    /// descriptor with its artifact type and annotations.
    pub fn as_referrer(&self) -> Descriptor {
        let (own, annotations, config) = match self {
            Self::Manifest(document) => {
                let manifest = document.parsed();
                (&manifest.other, &manifest.annotations, Some(manifest.config.media_type.as_str()))
            }
            Self::Index(document) => (&document.parsed().other, &document.parsed().annotations, None),
        };
        let mut entry = self.descriptor().clone();
        entry.annotations.clone_from(annotations);
        let own = own.get("artifactType").and_then(Value::as_str).filter(|kind| !kind.is_empty());
        if let Some(kind) = own.or(config) {
            entry.other.insert("artifactType".to_owned(), kind.into());
        }
        entry
    }

    /// The bytes.
    pub fn raw(&self) -> &Bytes {
        match self {
            Self::Manifest(document) => document.raw(),
            Self::Index(document) => document.raw(),
        }
    }
}

/// The media type of a document, or why it has none.
fn judge(announced: Option<&MediaType>, value: &Value) -> Result<MediaType, String> {
    let has = |field: &str| value.get(field).is_some_and(|content| !content.is_null());
    if value.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
        return Err("Docker schema 1 images are not supported".to_owned());
    }
    if !defence::stands(Defence::DocumentsOneThing) {
        return Ok(announced.cloned().unwrap_or(MediaType::OciManifest));
    }
    if has("manifests") && (has("layers") || has("config")) {
        return Err("it is both a manifest and an index".to_owned());
    }
    let own = value.get("mediaType").and_then(Value::as_str).map(MediaType::from);
    if let (Some(announced), Some(own)) = (announced, &own)
        && announced != own
    {
        return Err(format!("it was announced as {announced} and says it is {own}"));
    }
    let kind = match (own, announced) {
        (Some(own), _) => own,
        (None, Some(announced)) => announced.clone(),
        (None, None) if has("manifests") => MediaType::OciIndex,
        (None, None) if has("config") => MediaType::OciManifest,
        (None, None) => return Err("it is neither a manifest nor an index".to_owned()),
    };
    match (kind.is_manifest(), kind.is_index()) {
        (true, _) if has("manifests") => Err(format!("it says it is {kind} and has manifests")),
        (_, true) if has("layers") || has("config") => Err(format!("it says it is {kind} and has layers")),
        (false, false) => Err(format!("{kind} is neither a manifest nor an index")),
        (true, _) | (_, true) => Ok(kind),
    }
}
