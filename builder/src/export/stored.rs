//! The store's own images: a config and layer ids. Nothing is compressed for them.

use layer_store::{ArchiveTimes, StoredImage, StoredVariant};
use oci::{Document, ImageConfig, MediaType, Reference};

use super::assemble::{AssembledImage, Family, Style, image_with};
use super::error::ExportError;
use super::layers::{Based, Form, diff_ids, entries, free};
use super::made::{Made, config, times};
use super::stamp;
use crate::Session;
use crate::attest::AttestationManifest;
use crate::image::keep_document;
use crate::request::{CompressionChoice, Output};
use crate::worker::blocking;

/// The configs of an image without packed layers, one for each target.
pub(super) async fn configs(
    session: &Session,
    targets: &[Based],
    output: Option<&Output>,
    request_epoch: Option<i64>,
) -> Result<Vec<Document<ImageConfig>>, ExportError> {
    let mut configs = Vec::with_capacity(targets.len());
    for based in targets {
        let epoch = match output {
            Some(output) => based.finished.epoch(output, request_epoch),
            None => based.finished.target.epoch.or(request_epoch),
        };
        let diff_ids = diff_ids(session, based).await?;
        let config = config(based, diff_ids, &times(session, based, epoch)?);
        configs.push(Document::create(MediaType::OciConfig, config));
    }
    Ok(configs)
}

/// An image as the store keeps it. Manifests are kept where there are any.
pub(super) async fn image(
    session: &Session,
    targets: &[Based],
    configs: Vec<Document<ImageConfig>>,
    made: Option<&Made>,
) -> Result<StoredImage, ExportError> {
    let (lease, made, targets) = (session.lease.clone(), made.cloned(), targets.to_vec());
    blocking(free(), move || {
        let mut variants = Vec::with_capacity(targets.len());
        for (position, (based, config)) in targets.iter().zip(&configs).enumerate() {
            keep_document(&lease, config)?;
            let manifest =
                made.as_ref().and_then(|made| made.images.get(position)).map(|image| &image.manifest);
            if let Some(manifest) = manifest {
                keep_document(&lease, manifest)?;
            }
            variants.push(StoredVariant {
                platform: based.finished.target.platform.clone(),
                config: config.descriptor().clone(),
                manifest: manifest.map(|manifest| manifest.descriptor().clone()),
                snapshot: based.finished.snapshot.clone(),
            });
        }
        for attestation in made.iter().flat_map(|made| &made.attestations) {
            keep_document(&lease, &attestation.manifest)?;
            for (_, raw) in &attestation.blobs {
                lease.put_blob(raw)?;
            }
        }
        let index = made.as_ref().and_then(|made| made.index.as_ref());
        if let Some(index) = index {
            keep_document(&lease, index)?;
        }
        Ok(StoredImage {
            created: stamp::now(),
            index: index.map(|index| index.descriptor().clone()),
            variants,
        })
    })
    .await
}

/// What refers to an image, each under its digest in the image's repositories.
pub(super) fn referrers(made: &Made, names: &[Reference]) -> Vec<(StoredImage, Vec<Reference>)> {
    let one = |attestation: &AttestationManifest| {
        let top = attestation.manifest.descriptor().clone();
        let mut own: Vec<Reference> =
            names.iter().map(|name| name.repository().with_digest(top.digest.clone())).collect();
        own.dedup();
        (StoredImage { created: stamp::now(), index: Some(top), variants: Vec::new() }, own)
    };
    made.referrers().iter().map(one).collect()
}

/// Gives the image its names. Its layers are proven after a power cut, as all results of builds are.
pub(super) async fn tag(
    session: &Session,
    image: StoredImage,
    names: Vec<Reference>,
) -> Result<(), ExportError> {
    if names.is_empty() {
        return Ok(());
    }
    let (store, lease) = (session.store.clone(), session.lease.clone());
    blocking(free(), move || {
        store.settle(&lease)?;
        for name in &names {
            store.tag(name, &image)?;
        }
        Ok(())
    })
    .await
}

/// Packs an image of the store that has no manifest. Its config stays as it is, byte for byte.
pub(crate) async fn pack(
    session: &Session,
    variant: &StoredVariant,
    config: Document<ImageConfig>,
    compression: CompressionChoice,
) -> Result<AssembledImage, ExportError> {
    let based = Based::of_stored(variant, config.parsed());
    let form = Form { family: Family::Oci, compression, times: ArchiveTimes::Kept };
    let entries = entries(session, &based, form).await?;
    Ok(image_with(&variant.platform, config, entries, &Style::PLAIN))
}
