//! A source that was made: new documents and blobs over those of other sources.

use std::collections::BTreeMap;

use bytes::Bytes;
use oci::{Descriptor, Digest, ImageDocument, MediaType, Repository};
use registry_client::BoxedRead;

use super::error::PlaceError;
use super::source::Source;
use crate::image::find_document;

/// New documents and small blobs, over everything that the parts have.
pub(crate) struct MadeSource {
    /// How people know it.
    pub shown: String,
    /// What it stands for.
    pub top: ImageDocument,
    /// New documents and blobs.
    pub new: BTreeMap<Digest, Bytes>,
    /// A store whose documents and blobs are taken before those of the parts.
    pub stored: Option<layer_store::Store>,
    /// Where everything else is.
    pub parts: Vec<Source>,
}

impl MadeSource {
    /// The bytes of a document.
    pub(super) async fn document(&self, entry: &Descriptor) -> Result<Bytes, PlaceError> {
        if let Some(new) = self.new.get(&entry.digest) {
            return Ok(new.clone());
        }
        if let Some(store) = &self.stored
            && let Some(stored) = find_document(store, &entry.digest)?
        {
            return Ok(stored);
        }
        let mut failed = None;
        for part in &self.parts {
            match part.document(entry).await {
                Ok(document) => return Ok(document.raw().clone()),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| self.missing(entry)))
    }

    /// Opens a blob.
    pub(super) async fn blob(&self, blob: &Descriptor) -> Result<BoxedRead, PlaceError> {
        if let Some(new) = self.new.get(&blob.digest) {
            return Ok(Box::new(std::io::Cursor::new(new.clone())));
        }
        if let Some(store) = self.stored.as_ref().filter(|store| store.has_blob(blob))
            && let Some(file) = store.open_blob(&blob.digest)?
        {
            return Ok(Box::new(tokio::fs::File::from_std(file)));
        }
        let mut failed = None;
        for part in &self.parts {
            match part.blob(blob).await {
                Ok(reader) => return Ok(reader),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| self.missing(blob)))
    }

    /// The repository of a registry that a blob comes from. Of several parts nobody knows which one has it.
    pub(super) fn origin(&self, blob: &Descriptor) -> Option<&Repository> {
        let is_here = self.new.contains_key(&blob.digest)
            || self.stored.as_ref().is_some_and(|store| store.has_blob(blob));
        match self.parts.as_slice() {
            [only] if !is_here => only.origin(blob),
            [..] => None,
        }
    }

    fn missing(&self, entry: &Descriptor) -> PlaceError {
        PlaceError::Missing { place: self.shown.clone(), digest: entry.digest.clone() }
    }
}

/// The empty JSON that stands for a config that an artifact does not have (image-spec, "Guidance for an
/// Empty Descriptor").
pub(crate) fn empty_config() -> (Descriptor, Bytes) {
    let raw = Bytes::from_static(b"{}");
    (Descriptor::new(MediaType::OciEmpty, Digest::sha256(&raw), raw.len() as u64), raw)
}
