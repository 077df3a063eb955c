//! An image for a platform, through indexes.

use oci::{
    Descriptor, Document, DocumentError, ImageConfig, ImageDocument, Index, Manifest, MediaType, Platform,
    Reference,
};

use super::manifest::LARGEST_DOCUMENT;
use crate::{Client, RegistryError};

const DEEPEST_INDEX: usize = 4;

/// An image as a registry has it for one platform.
#[derive(Clone, Debug)]
pub struct ResolvedImage {
    /// What the name stands for: an index or a manifest.
    pub resolved: Descriptor,
    /// The index, where the name stands for one.
    pub index: Option<Document<Index>>,
    /// The manifest for the platform.
    pub manifest: Document<Manifest>,
    /// Its config.
    pub config: Document<ImageConfig>,
}

impl Client {
    /// The image that a name stands for on a platform, with manifest and config. No layer is fetched.
    pub async fn fetch_image(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<ResolvedImage, RegistryError> {
        let top = self.image_document(reference).await?;
        let resolved = top.descriptor().clone();
        let index = match &top {
            ImageDocument::Index(index) => Some(index.clone()),
            ImageDocument::Manifest(_) => None,
        };
        let manifest = self.descend(reference, platform, top).await?;
        let config = self.config(reference, manifest.parsed()).await?;
        Ok(ResolvedImage { resolved, index, manifest, config })
    }

    async fn descend(
        &self,
        reference: &Reference,
        platform: &Platform,
        top: ImageDocument,
    ) -> Result<Document<Manifest>, RegistryError> {
        let mut document = top;
        for _ in 0..DEEPEST_INDEX {
            let index = match document {
                ImageDocument::Manifest(manifest) => return Ok(manifest),
                ImageDocument::Index(index) => index.into_parsed(),
            };
            let chosen = platform.choose(&index.manifests).and_then(|at| index.manifests.get(at));
            let Some(chosen) = chosen else {
                let available = index.manifests.into_iter().filter_map(|entry| entry.platform);
                return Err(RegistryError::NoPlatform {
                    reference: Box::new(reference.clone()),
                    platform: Box::new(platform.clone()),
                    available: available.filter(|platform| platform.os != "unknown").collect(),
                });
            };
            document = self.child(reference, chosen).await?;
        }
        Err(RegistryError::protocol(
            &reference.repository().registry,
            &reference.to_string(),
            "indexes within indexes without end",
        ))
    }

    /// An entry of an index, which must be what the entry says.
    async fn child(&self, reference: &Reference, entry: &Descriptor) -> Result<ImageDocument, RegistryError> {
        let name = reference.repository().with_digest(entry.digest.clone());
        let document = self.image_document(&name).await?;
        let found = document.descriptor();
        match found.size == entry.size && found.media_type == entry.media_type {
            true => Ok(document),
            false => {
                let reason = format!(
                    "the index promises {} bytes of {}, there are {} of {}",
                    entry.size, entry.media_type, found.size, found.media_type
                );
                Err(RegistryError::corrupt(&name.repository().registry, &name.to_string(), reason))
            }
        }
    }

    async fn config(
        &self,
        reference: &Reference,
        manifest: &Manifest,
    ) -> Result<Document<ImageConfig>, RegistryError> {
        let host = &reference.repository().registry;
        let subject = format!("config of {reference}");
        let descriptor = &manifest.config;
        if !is_image_config(&descriptor.media_type) {
            return Err(RegistryError::protocol(
                host,
                &subject,
                format!("{} is not an image", descriptor.media_type),
            ));
        }
        if descriptor.size > LARGEST_DOCUMENT {
            return Err(RegistryError::corrupt(
                host,
                &subject,
                format!("it is longer than {LARGEST_DOCUMENT} bytes"),
            ));
        }
        let bytes = self.small_blob(reference.repository(), descriptor).await?;
        let refuse = |source| {
            let source = Box::new(source);
            RegistryError::Document { host: host.clone(), subject: subject.clone(), source }
        };
        let config: Document<ImageConfig> = Document::parse_as(descriptor, bytes).map_err(refuse)?;
        let (named, layers) = (config.parsed().rootfs.diff_ids.len(), manifest.layers.len());
        match named == layers {
            true => Ok(config),
            false => Err(refuse(DocumentError::Refused {
                digest: descriptor.digest.clone(),
                reason: format!("it names {named} layers, the manifest {layers}"),
            })),
        }
    }
}

/// Old images call their config plain bytes.
fn is_image_config(media_type: &MediaType) -> bool {
    media_type.is_config() || media_type.as_str() == "application/octet-stream"
}
