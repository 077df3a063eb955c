//! An image of the store, sent to a registry.

use std::collections::BTreeMap;

use layer_store::{StoredImage, StoredVariant};
use oci::{Descriptor, Digest, Document, ImageConfig, Index, Manifest, Reference, Repository};

use super::error::ToolError;
use crate::Session;
use crate::event::StepId;
use crate::export::{AssembledImage, Family, Made, PushPlan, assemble_index, pack_stored, push_image};
use crate::image::stored_document;
use crate::request::CompressionChoice;
use crate::worker::{Permit, blocking};

/// Pushes the store's image `name` as `target`. Layers that were never packed are packed as
/// `compression` says; all else goes as it came. What was pushed is returned.
pub async fn push(
    session: &Session,
    name: &Reference,
    target: &Reference,
    compression: CompressionChoice,
    step: StepId,
) -> Result<Descriptor, ToolError> {
    let (image, index) = {
        let (store, name) = (session.store.clone(), name.clone());
        blocking(Permit::free(), move || {
            let image = store.image(&name)?.ok_or_else(|| ToolError::NoImage { name: name.clone() })?;
            let index: Option<Document<Index>> = match &image.index {
                Some(index) => stored_document(&store, &name, index)?,
                None => None,
            };
            Ok::<_, ToolError>((image, index))
        })
        .await?
    };
    let mut images = Vec::with_capacity(image.variants.len());
    for variant in &image.variants {
        images.push(assembled(session, name, variant, compression).await?);
    }
    let sources = sources(&images, name.repository());
    let index = index_for(&image, index, &images);
    let made = Made { images, index };
    let pushed = made.descriptor();
    let plan = PushPlan { made, names: vec![target.clone()], by_digest: false, sources };
    push_image(session, &plan, step).await?;
    Ok(pushed)
}

/// The documents of one variant: its own, or a manifest made now.
async fn assembled(
    session: &Session,
    name: &Reference,
    variant: &StoredVariant,
    compression: CompressionChoice,
) -> Result<AssembledImage, ToolError> {
    let (store, copy, name) = (session.store.clone(), variant.clone(), name.clone());
    let (config, manifest) = blocking(Permit::free(), move || {
        let config: Option<Document<ImageConfig>> = stored_document(&store, &name, &copy.config)?;
        let config = config.ok_or_else(|| ToolError::NoImage { name: name.clone() })?;
        let manifest: Option<Document<Manifest>> = match &copy.manifest {
            Some(manifest) => stored_document(&store, &name, manifest)?,
            None => None,
        };
        Ok::<_, ToolError>((config, manifest))
    })
    .await?;
    match manifest {
        Some(manifest) => Ok(AssembledImage { platform: variant.platform.clone(), config, manifest }),
        None => Ok(pack_stored(session, variant, config, compression).await?),
    }
}

/// Where blobs come from that are not in the store any more.
fn sources(images: &[AssembledImage], origin: &Repository) -> BTreeMap<Digest, Repository> {
    let layers = images.iter().flat_map(|image| &image.manifest.parsed().layers);
    layers.map(|layer| (layer.digest.clone(), origin.clone())).collect()
}

/// The image's own index where everything it names is here; a new one over several images; none
/// for a single one.
fn index_for(
    image: &StoredImage,
    own: Option<Document<Index>>,
    images: &[AssembledImage],
) -> Option<Document<Index>> {
    let here =
        |entry: &Descriptor| images.iter().any(|image| image.manifest.descriptor().digest == entry.digest);
    match own {
        Some(index) if index.parsed().manifests.iter().all(here) => Some(index),
        Some(_) | None => {
            (image.variants.len() > 1).then(|| assemble_index(images, Family::Oci, &BTreeMap::new()))
        }
    }
}
