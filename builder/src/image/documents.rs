//! Manifests and configs as blobs of the store.

use bytes::Bytes;
use layer_store::{Lease, Store};
use oci::{Descriptor, DiffId, Digest, Document, ImageConfig, ImageDocument, Manifest, MediaType, Reference};
use serde::de::DeserializeOwned;

use super::error::ImageError;
use crate::Session;
use crate::worker::{Permit, blocking};

/// No manifest, index or config is larger than this.
const DOCUMENT_AT_MOST: u64 = 8 << 20;

/// A base image as far as its descendants need it.
#[derive(Clone, Debug)]
pub(crate) struct BaseImage {
    /// Digests of its layers' tars, bottom first.
    pub diff_ids: Vec<DiffId>,
    /// Its layers' blobs; `None` for an image of the store that was never packed.
    pub layers: Option<Vec<Descriptor>>,
}

/// The bytes of a document that is in the store under this digest.
pub(crate) fn find_document(store: &Store, digest: &Digest) -> Result<Option<Bytes>, ImageError> {
    let Some(file) = store.open_blob(digest)? else { return Ok(None) };
    let Ok(metadata) = file.metadata() else { return Ok(None) };
    if metadata.len() > DOCUMENT_AT_MOST {
        return Ok(None);
    }
    Ok(store.read_blob(&Descriptor::new(MediaType::Other(String::new()), digest.clone(), metadata.len()))?)
}

/// Keeps a document.
pub(crate) fn keep_document<T>(lease: &Lease, document: &Document<T>) -> Result<(), ImageError> {
    if !lease.store().has_blob(document.descriptor()) {
        lease.put_blob(document.raw())?;
    }
    Ok(())
}

/// A document of the store under its descriptor.
pub(crate) fn stored<T: DeserializeOwned>(
    store: &Store,
    reference: &Reference,
    descriptor: &Descriptor,
) -> Result<Option<Document<T>>, ImageError> {
    let Some(raw) = find_document(store, &descriptor.digest)? else { return Ok(None) };
    Document::parse_as(descriptor, raw)
        .map(Some)
        .map_err(|source| ImageError::Document { reference: reference.clone(), source })
}

/// Manifest and config of a pinned image, from the store or else from the registry (and then kept).
pub(super) async fn manifest_and_config(
    session: &Session,
    reference: &Reference,
    descriptor: &Descriptor,
) -> Result<(Document<Manifest>, Document<ImageConfig>), ImageError> {
    let stored_pair = {
        let (store, reference, descriptor) = (session.store.clone(), reference.clone(), descriptor.clone());
        blocking(Permit::free(), move || stored_pair(&store, &reference, &descriptor)).await?
    };
    if let Some(pair) = stored_pair {
        return Ok(pair);
    }
    let pinned = reference.with_digest(descriptor.digest.clone());
    let platform = oci::Platform::host();
    let image = session.client.fetch_image(&pinned, &platform).await?;
    let lease = session.lease.clone();
    blocking(Permit::free(), move || {
        keep_document(&lease, &image.manifest)?;
        keep_document(&lease, &image.config)?;
        Ok((image.manifest, image.config))
    })
    .await
}

type Pair = (Document<Manifest>, Document<ImageConfig>);

fn stored_pair(
    store: &Store,
    reference: &Reference,
    descriptor: &Descriptor,
) -> Result<Option<Pair>, ImageError> {
    let Some(raw) = find_document(store, &descriptor.digest)? else { return Ok(None) };
    let document = ImageDocument::parse(Some(&descriptor.media_type), raw)
        .map_err(|source| ImageError::Document { reference: reference.clone(), source })?;
    let ImageDocument::Manifest(manifest) = document else { return Ok(None) };
    let config = stored(store, reference, &manifest.parsed().config)?;
    Ok(config.map(|config| (manifest, config)))
}

/// What the descendants of an image need to know of it.
pub(crate) async fn base_image(
    session: &Session,
    reference: &Reference,
    descriptor: &Descriptor,
) -> Result<BaseImage, ImageError> {
    if descriptor.media_type.is_config() {
        let (store, name, config) = (session.store.clone(), reference.clone(), descriptor.clone());
        let config: Option<Document<ImageConfig>> =
            blocking(Permit::free(), move || stored(&store, &name, &config)).await?;
        let config = config.ok_or_else(|| ImageError::Gone { reference: reference.clone() })?;
        return Ok(BaseImage { diff_ids: config.into_parsed().rootfs.diff_ids, layers: None });
    }
    let (manifest, config) = manifest_and_config(session, reference, descriptor).await?;
    let (layers, diff_ids) = (manifest.into_parsed().layers, config.into_parsed().rootfs.diff_ids);
    even(reference, &layers, &diff_ids)?;
    Ok(BaseImage { diff_ids, layers: Some(layers) })
}

/// Refuses an image with more or fewer layers than diff ids.
pub(super) fn even(
    reference: &Reference,
    layers: &[Descriptor],
    diff_ids: &[DiffId],
) -> Result<(), ImageError> {
    if layers.len() == diff_ids.len() {
        return Ok(());
    }
    Err(ImageError::Uneven { reference: reference.clone(), layers: layers.len(), diff_ids: diff_ids.len() })
}
