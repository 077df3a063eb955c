//! Documents whose bytes matter.

use bytes::Bytes;
use defence::Defence;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::{Descriptor, Digest, MediaType};

/// A document that cannot be taken.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// Not the JSON it should be.
    #[error("{media_type} {digest}: {source}")]
    Syntax {
        /// Which document.
        digest: Digest,
        /// What it was taken for.
        media_type: MediaType,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Well-formed, but nothing this program may read.
    #[error("document {digest}: {reason}")]
    Refused {
        /// Which document.
        digest: Digest,
        /// Why.
        reason: String,
    },
    /// Other bytes than the descriptor promises.
    #[error("{expected} was promised, {size} bytes of {actual} came")]
    Mismatch {
        /// The promised digest.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
        /// The size of what came.
        size: u64,
    },
}

/// A JSON document with the very bytes it came in: those are what gets stored and pushed.
#[derive(Clone, Debug)]
pub struct Document<T> {
    raw: Bytes,
    descriptor: Descriptor,
    parsed: T,
}

impl<T: DeserializeOwned> Document<T> {
    /// Parses bytes and remembers them. The digest is computed here.
    pub fn parse(media_type: MediaType, raw: Bytes) -> Result<Self, DocumentError> {
        let descriptor = Descriptor::new(media_type, Digest::sha256(&raw), raw.len() as u64);
        Self::take(descriptor, raw)
    }

    /// Parses bytes that must be the ones a descriptor promises, and keeps that descriptor.
    pub fn parse_as(descriptor: &Descriptor, raw: Bytes) -> Result<Self, DocumentError> {
        let actual = Digest::of(descriptor.digest.algorithm(), &raw);
        let size = raw.len() as u64;
        let same = actual == descriptor.digest && size == descriptor.size;
        if !same && defence::stands(Defence::DocumentsVerified) {
            return Err(DocumentError::Mismatch { expected: descriptor.digest.clone(), actual, size });
        }
        Self::take(descriptor.clone(), raw)
    }

    pub(crate) fn take(descriptor: Descriptor, raw: Bytes) -> Result<Self, DocumentError> {
        let parsed = serde_json::from_slice(&raw).map_err(|source| DocumentError::Syntax {
            digest: descriptor.digest.clone(),
            media_type: descriptor.media_type.clone(),
            source,
        })?;
        Ok(Self { raw, descriptor, parsed })
    }
}

impl<T: Serialize> Document<T> {
    /// Writes a value as compact JSON.
    pub fn create(media_type: MediaType, parsed: T) -> Self {
        let raw = serde_json::to_vec(&parsed).unwrap_or_else(|error| unreachable!("plain data: {error}"));
        let descriptor = Descriptor::new(media_type, Digest::sha256(&raw), raw.len() as u64);
        Self { raw: raw.into(), descriptor, parsed }
    }
}

impl<T> Document<T> {
    /// The bytes.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Media type, digest and size of the bytes.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// What they say.
    pub fn parsed(&self) -> &T {
        &self.parsed
    }

    /// What they say, without the bytes.
    pub fn into_parsed(self) -> T {
        self.parsed
    }
}
