//! Why an image could not be had.

use std::io;

use layer_store::StoreError;
use oci::{Descriptor, Digest, DocumentError, MediaType, Platform, Reference};
use registry_client::RegistryError;
use thiserror::Error;

use crate::error::{Categorised, Category};

/// Why an image could not be had.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Not in the store, and the registry may not be asked.
    #[error("{reference} is not in the store for {platform}, and pulling is switched off", reference = reference.familiar())]
    NotStored {
        /// The image.
        reference: Reference,
        /// For which platform.
        platform: Platform,
    },
    /// A document makes no sense.
    #[error("{reference}: {source}", reference = reference.familiar())]
    Document {
        /// The image.
        reference: Reference,
        /// Why.
        source: DocumentError,
    },
    /// The store's image was removed since it was looked up, or a layer of it is damaged.
    #[error("{reference} is not whole in the store any more: pull it or build it again", reference = reference.familiar())]
    Gone {
        /// The image.
        reference: Reference,
    },
    /// Config and manifest disagree.
    #[error("{reference} has {layers} layers and {diff_ids} diff ids", reference = reference.familiar())]
    Uneven {
        /// The image.
        reference: Reference,
        /// In the manifest.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
    /// A layer in a form this program cannot read.
    #[error("{}: layer {digest} {}", reference.familiar(), cannot_be_unpacked(media_type))]
    LayerType {
        /// The image.
        reference: Reference,
        /// The layer.
        digest: Digest,
        /// Its type.
        media_type: String,
    },
    /// A layer could not be unpacked.
    #[error("layer {digest}: {source}", digest = blob.digest)]
    Unpack {
        /// Its blob.
        blob: Descriptor,
        /// Why.
        source: StoreError,
    },
    /// A layer's bytes could not be read or stored.
    #[error("layer {digest}: {source}", digest = blob.digest)]
    Layer {
        /// Its blob.
        blob: Descriptor,
        /// Why.
        source: io::Error,
    },
}

/// Why a layer of that type is not unpacked.
fn cannot_be_unpacked(media_type: &str) -> String {
    match MediaType::from(media_type).decrypted() {
        Some(_) => "is encrypted: bring the image in with `rbuild pull --decryption-key`".to_owned(),
        None => format!("is of type {media_type}, which is no layer that can be unpacked"),
    }
}

impl Categorised for ImageError {
    fn category(&self) -> Category {
        match self {
            ImageError::Registry(error) => error.category(),
            ImageError::NotStored { .. }
            | ImageError::Document { .. }
            | ImageError::Uneven { .. }
            | ImageError::LayerType { .. } => Category::Remote,
            ImageError::Store(_)
            | ImageError::Gone { .. }
            | ImageError::Unpack { .. }
            | ImageError::Layer { .. } => Category::Local,
        }
    }
}
