//! An image's documents.

use bytes::Bytes;
use oci::{Descriptor, Digest, Document, ImageConfig, ImageDocument, Manifest, Platform, Reference};
use tokio::io::AsyncReadExt;

use super::error::ToolError;
use super::place::{Place, PlaceError, Source};
use crate::Session;
use crate::image::{find_document, stored_document, stored_variant};
use crate::request::CompressionChoice;
use crate::worker::{Permit, blocking};

/// No config is larger.
const LARGEST_CONFIG: u64 = 8 << 20;

/// An image's documents.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// What the name stands for: an index, a manifest, or (for an image that was never packed) its
    /// config.
    pub resolved: Descriptor,
    /// The bytes of that; `None` for an image of the store that was never packed.
    pub top: Option<Bytes>,
    /// The manifest for the platform; `None` for an image of the store that was never packed.
    pub manifest: Option<Document<Manifest>>,
    /// Its config.
    pub config: InspectedConfig,
}

/// The config of what was inspected.
#[derive(Clone, Debug)]
pub enum InspectedConfig {
    /// That of an image.
    Image(Document<ImageConfig>),
    /// That of an artifact, which may be anything.
    Artifact(Bytes),
}

impl InspectedConfig {
    /// Its bytes.
    pub fn raw(&self) -> &Bytes {
        match self {
            InspectedConfig::Image(config) => config.raw(),
            InspectedConfig::Artifact(raw) => raw,
        }
    }
}

/// The documents of an image, as the platform has it. No layer is fetched or packed.
pub async fn inspect(session: &Session, place: &Place, platform: &Platform) -> Result<Inspected, ToolError> {
    if let Place::Store(name) | Place::Either(name) = place {
        let found = {
            let (session, name, platform) = (session.clone(), name.clone(), platform.clone());
            blocking(Permit::free(), move || stored(&session, &name, &platform)).await?
        };
        if let Some(found) = found {
            return Ok(found);
        }
    }
    let source = Source::open(session, place, CompressionChoice::default()).await?;
    let top = source.top();
    let (resolved, raw) = (top.descriptor().clone(), top.raw().clone());
    let ImageDocument::Manifest(manifest) = source.for_platform(platform).await? else {
        return Err(PlaceError::refused(place, "it leads to an index only").into());
    };
    let config = config(&source, &manifest.parsed().config).await?;
    Ok(Inspected { resolved, top: Some(raw), manifest: Some(manifest), config })
}

async fn config(source: &Source, descriptor: &Descriptor) -> Result<InspectedConfig, ToolError> {
    if descriptor.size > LARGEST_CONFIG {
        return Err(PlaceError::refused(source.shown(), "its config is larger than any").into());
    }
    let mut raw = Vec::new();
    let read = source.blob(descriptor).await?.read_to_end(&mut raw).await;
    read.map_err(|error| PlaceError::blob(&descriptor.digest, error))?;
    let raw = Bytes::from(raw);
    if !descriptor.media_type.is_config() {
        return Ok(InspectedConfig::Artifact(raw));
    }
    let parsed = Document::parse_as(descriptor, raw);
    let bad = |source_error| PlaceError::Document { place: source.shown(), source: source_error };
    Ok(InspectedConfig::Image(parsed.map_err(bad)?))
}

/// The manifest or index that a place stands for, byte for byte; for a platform, that one's manifest.
pub async fn document(
    session: &Session,
    place: &Place,
    platform: Option<&Platform>,
) -> Result<(Descriptor, Bytes), ToolError> {
    if let Some(found) = stored_top(session, place, platform).await? {
        return Ok(found);
    }
    let source = Source::open(session, place, CompressionChoice::default()).await?;
    let document = match platform {
        None => source.top().clone(),
        Some(platform) => source.for_platform(platform).await?,
    };
    Ok((document.descriptor().clone(), document.raw().clone()))
}

/// The digest that a place stands for. Of a registry only a HEAD is asked.
pub async fn digest(
    session: &Session,
    place: &Place,
    platform: Option<&Platform>,
) -> Result<Descriptor, ToolError> {
    if let (Place::Registry(name) | Place::Either(name), None) = (place, platform)
        && stored_top(session, place, platform).await?.is_none()
    {
        return Ok(session.client.resolve(name).await.map_err(PlaceError::from)?);
    }
    Ok(document(session, place, platform).await?.0)
}

/// The same of the store's image, which is not packed for it; `None`: the place is another one.
async fn stored_top(
    session: &Session,
    place: &Place,
    platform: Option<&Platform>,
) -> Result<Option<(Descriptor, Bytes)>, ToolError> {
    let (Place::Store(name) | Place::Either(name)) = place else { return Ok(None) };
    let wanted = platform.cloned().unwrap_or_else(Platform::host);
    let found = {
        let (session, name) = (session.clone(), name.clone());
        blocking(Permit::free(), move || stored(&session, &name, &wanted)).await?
    };
    let Some(found) = found else { return Ok(None) };
    let never_packed = || ToolError::NeverPacked { name: name.clone() };
    match platform {
        None => Ok(Some((found.resolved, found.top.ok_or_else(never_packed)?))),
        Some(_) => {
            let manifest = found.manifest.ok_or_else(never_packed)?;
            Ok(Some((manifest.descriptor().clone(), manifest.raw().clone())))
        }
    }
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
    let index = image.index.as_ref().map(|index| raw_of(session, &index.digest)).transpose()?.flatten();
    let (resolved, top) = match (&image.index, index, &manifest) {
        (Some(index), Some(raw), _) => (index.clone(), Some(raw)),
        (Some(_) | None, _, Some(manifest)) => (manifest.descriptor().clone(), Some(manifest.raw().clone())),
        (Some(_) | None, _, None) => (config.descriptor().clone(), None),
    };
    Ok(Some(Inspected { resolved, top, manifest, config: InspectedConfig::Image(config) }))
}

fn raw_of(session: &Session, digest: &Digest) -> Result<Option<Bytes>, ToolError> {
    Ok(find_document(&session.store, digest)?)
}
