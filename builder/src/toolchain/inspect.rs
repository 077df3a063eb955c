//! An image's documents.

use oci::{Descriptor, Document, ImageConfig, Manifest, Platform, Reference};

use super::error::ToolError;
use crate::Session;
use crate::image::{ImageError, stored_document, stored_variant};
use crate::worker::{Permit, blocking};

/// An image's documents.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// What the name stands for: an index, a manifest, or (for an image that was never packed) its
    /// config.
    pub resolved: Descriptor,
    /// The manifest; `None` for an image of the store that was never packed.
    pub manifest: Option<Document<Manifest>>,
    /// The config.
    pub config: Document<ImageConfig>,
    /// Whether it is in the store.
    pub stored: bool,
}

/// The documents of an image: the store's first, else the registry's. No layer is fetched.
pub async fn inspect(
    session: &Session,
    name: &Reference,
    platform: &Platform,
) -> Result<Inspected, ToolError> {
    let found = {
        let (session, name, platform) = (session.clone(), name.clone(), platform.clone());
        blocking(Permit::free(), move || stored(&session, &name, &platform)).await?
    };
    if let Some(found) = found {
        return Ok(found);
    }
    let image = session.client.fetch_image(name, platform).await.map_err(ImageError::from)?;
    Ok(Inspected {
        resolved: image.resolved,
        manifest: Some(image.manifest),
        config: image.config,
        stored: false,
    })
}

fn stored(session: &Session, name: &Reference, platform: &Platform) -> Result<Option<Inspected>, ToolError> {
    let Some(image) = session.store.image(name)? else { return Ok(None) };
    let Some(variant) = stored_variant(&image, platform) else { return Ok(None) };
    let config: Option<Document<ImageConfig>> = stored_document(&session.store, name, &variant.config)?;
    let Some(config) = config else { return Ok(None) };
    let manifest: Option<Document<Manifest>> = match &variant.manifest {
        Some(manifest) => stored_document(&session.store, name, manifest)?,
        None => None,
    };
    let own = manifest
        .as_ref()
        .map_or_else(|| config.descriptor().clone(), |manifest| manifest.descriptor().clone());
    let resolved = image.index.clone().unwrap_or(own);
    Ok(Some(Inspected { resolved, manifest, config, stored: true }))
}
