//! The store as the target: blobs and documents, then the layers of every image in them, then the name.

use std::io;

use futures::{StreamExt, TryStreamExt};
use graph::ImageSource;
use layer_store::{StoredImage, StoredVariant};
use oci::{Descriptor, Document, ImageConfig, ImageDocument, Manifest, Reference};

use super::content::Content;
use super::error::PlaceError;
use super::pipe::into_blocking;
use super::source::Source;
use super::to_registry::AT_ONCE;
use crate::Session;
use crate::event::StepId;
use crate::image::{ensure_blob, pull_image, stored_document};
use crate::worker::{Permit, blocking};

/// Takes an image into the store; how many blobs needed no transfer.
pub(super) async fn write(
    session: &Session,
    source: &Source,
    content: &Content,
    name: &Reference,
    step: StepId,
) -> Result<usize, PlaceError> {
    let had = take_in(session, source, content, step).await?;
    let image = named(session, name, content, step).await?;
    let (session, name) = (session.clone(), name.clone());
    let referrers: Vec<Descriptor> = content.referrers.iter().map(|one| one.descriptor().clone()).collect();
    blocking(Permit::free(), move || {
        session.store.seal(&session.lease)?;
        for referrer in referrers {
            let own_name = name.repository().with_digest(referrer.digest.clone());
            let created = image.created;
            session
                .store
                .tag(&own_name, &StoredImage { created, index: Some(referrer), variants: Vec::new() })?;
        }
        session.store.tag(&name, &image)
    })
    .await?;
    Ok(had)
}

/// Brings in all blobs and documents, under no name; how many blobs needed no transfer.
pub(crate) async fn take_in(
    session: &Session,
    source: &Source,
    content: &Content,
    step: StepId,
) -> Result<usize, PlaceError> {
    let fetches: Vec<_> = content.blobs.iter().map(|blob| fetch(session, source, blob, step)).collect();
    let had: Vec<bool> = futures::stream::iter(fetches).buffer_unordered(AT_ONCE).try_collect().await?;
    keep_documents(session, content).await?;
    Ok(had.into_iter().filter(|had| *had).count())
}

/// Brings one blob in; whether it was there.
async fn fetch(
    session: &Session,
    source: &Source,
    blob: &Descriptor,
    step: StepId,
) -> Result<bool, PlaceError> {
    let (store, wanted) = (session.store.clone(), blob.clone());
    if blocking(Permit::free(), move || store.has_blob(&wanted)).await {
        return Ok(true);
    }
    match source.origin(blob) {
        // What an earlier process had of it is not fetched again.
        Some(repository) => ensure_blob(session, repository, blob, step).await?,
        None => {
            let reader = source.told_blob(session, blob, step).await?;
            let (lease, wanted) = (session.lease.clone(), blob.clone());
            let stored = into_blocking(reader, move |mut incoming| {
                let mut writer = lease.blob_of(wanted.digest.algorithm()).map_err(io::Error::other)?;
                io::copy(&mut incoming, &mut writer)?;
                writer.commit_as(&wanted).map_err(io::Error::other)
            });
            stored.await.map_err(|error| PlaceError::blob(&blob.digest, error))?;
        }
    }
    Ok(false)
}

async fn keep_documents(session: &Session, content: &Content) -> Result<(), PlaceError> {
    let documents: Vec<ImageDocument> = content.documents().chain(&content.referrers).cloned().collect();
    let lease = session.lease.clone();
    blocking(Permit::free(), move || {
        for document in documents {
            lease.put_blob(document.raw())?;
        }
        Ok(())
    })
    .await
}

/// What the name will stand for. Layers of every image that can be unpacked are unpacked.
pub(crate) async fn named(
    session: &Session,
    name: &Reference,
    content: &Content,
    step: StepId,
) -> Result<StoredImage, PlaceError> {
    let mut variants: Vec<StoredVariant> = Vec::new();
    for manifest in content.manifests() {
        if let Some(variant) = variant(session, name, manifest, step).await?
            && !variants.iter().any(|known| known.platform == variant.platform)
        {
            variants.push(variant);
        }
    }
    let top = content.top.descriptor().clone();
    let speaks_for_itself = top.media_type.is_manifest() && !variants.is_empty();
    let index = (!speaks_for_itself).then_some(top);
    Ok(StoredImage { created: jiff::Timestamp::now().as_second(), index, variants })
}

/// One image; `None` for what is none (attestations, artifacts) or has layers that are not here.
async fn variant(
    session: &Session,
    name: &Reference,
    manifest: &Document<Manifest>,
    step: StepId,
) -> Result<Option<StoredVariant>, PlaceError> {
    let (config, layers) = (&manifest.parsed().config, &manifest.parsed().layers);
    let can_be_unpacked = |layer: &Descriptor| layer.media_type.is_layer() && session.store.has_blob(layer);
    if !config.media_type.is_config() || !layers.iter().all(can_be_unpacked) {
        return Ok(None);
    }
    let (store, reference, descriptor) = (session.store.clone(), name.clone(), config.clone());
    let config: Option<Document<ImageConfig>> =
        blocking(Permit::free(), move || stored_document(&store, &reference, &descriptor)).await?;
    let Some(config) = config else { return Ok(None) };
    if config.parsed().rootfs.diff_ids.len() != layers.len() {
        return Ok(None);
    }
    let platform = config.parsed().platform();
    let source = ImageSource {
        reference: name.clone(),
        manifest: manifest.descriptor().clone(),
        platform: platform.clone(),
    };
    let snapshot = pull_image(session, &source, step).await?;
    Ok(Some(StoredVariant {
        platform,
        config: config.descriptor().clone(),
        manifest: Some(manifest.descriptor().clone()),
        snapshot,
    }))
}
