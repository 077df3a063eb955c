//! An image of a registry, brought into the store under its name.

use graph::ImageSource;
use layer_store::{StoredImage, StoredVariant};
use oci::{Descriptor, Digest, Document, Manifest, Platform, Reference};

use super::error::ToolError;
use super::place::{CopyOptions, LayerCrypt, Place, copy};
use crate::Session;
use crate::event::StepId;
use crate::image::{image_facts, pull_image, stored_document};
use crate::request::PullPolicy;
use crate::worker::{Permit, blocking};

/// What was pulled.
#[derive(Clone, Debug)]
pub struct PulledImage {
    /// The image's id: the digest of its config.
    pub id: Digest,
    /// What the name stands for: an index or the manifest.
    pub resolved: Descriptor,
    /// The manifest for the platform.
    pub manifest: Descriptor,
    /// The platform it is for.
    pub platform: Platform,
}

/// Pulls an image and gives it its name in the store.
pub async fn pull(
    session: &Session,
    name: &Reference,
    platform: &Platform,
    step: StepId,
) -> Result<PulledImage, ToolError> {
    let Fetched { resolved, manifest, variant } = fetch(session, name, platform, step).await?;
    let (session, name) = (session.clone(), name.clone());
    blocking(Permit::free(), move || {
        session.store.seal(&session.lease)?;
        let (id, platform) = (variant.config.digest.clone(), variant.platform.clone());
        let image = joined(session.store.image(&name)?, &resolved, variant);
        session.store.tag(&name, &image)?;
        Ok(PulledImage { id, resolved, manifest, platform })
    })
    .await
}

/// Pulls an image whose layers are encrypted, and gives what it is in plain text its name in the store.
/// The digest of its config is returned.
///
/// # Errors
/// Where there is no such image, or none of the keys opens a layer.
pub async fn pull_decrypted(
    session: &Session,
    name: &Reference,
    platform: &Platform,
    crypt: LayerCrypt,
    step: StepId,
) -> Result<Digest, ToolError> {
    let options = CopyOptions { platform: Some(platform.clone()), crypt, ..CopyOptions::default() };
    let (from, to) = (Place::Registry(name.clone()), Place::Store(name.clone()));
    copy(session, &from, &to, &options, step).await?;
    let (store, name, platform) = (session.store.clone(), name.clone(), platform.clone());
    blocking(Permit::free(), move || {
        let variants = store.image(&name)?.map(|image| image.variants).unwrap_or_default();
        let id = variants.first().map(|variant| variant.config.digest.clone());
        id.ok_or(ToolError::NoVariant { name, platform })
    })
    .await
}

/// What a registry has under a name for a platform, in the store and under no name there.
pub(super) struct Fetched {
    /// What the name stands for.
    resolved: Descriptor,
    manifest: Descriptor,
    /// As the store has it.
    pub(super) variant: StoredVariant,
}

/// Brings an image into the store without giving it a name.
pub(super) async fn fetch(
    session: &Session,
    name: &Reference,
    platform: &Platform,
    step: StepId,
) -> Result<Fetched, ToolError> {
    let facts = image_facts(session, name, platform, PullPolicy::Always).await?;
    let source =
        ImageSource { reference: name.clone(), manifest: facts.manifest.clone(), platform: platform.clone() };
    let snapshot = pull_image(session, &source, step).await?;
    let (store, name) = (session.store.clone(), name.clone());
    blocking(Permit::free(), move || {
        let manifest: Option<Document<Manifest>> = stored_document(&store, &name, &facts.manifest)?;
        let manifest = manifest.ok_or_else(|| ToolError::NoImage { name: name.clone() })?;
        let variant = StoredVariant {
            platform: facts.config.platform(),
            config: manifest.parsed().config.clone(),
            manifest: Some(facts.manifest.clone()),
            snapshot,
        };
        Ok(Fetched { resolved: facts.resolved, manifest: facts.manifest, variant })
    })
    .await
}

/// The image with one more platform, where the same index was pulled before; else a new one.
fn joined(old: Option<StoredImage>, resolved: &Descriptor, variant: StoredVariant) -> StoredImage {
    let created = jiff::Timestamp::now().as_second();
    let index = resolved.media_type.is_index().then(|| resolved.clone());
    let same = |old: &StoredImage| match (&old.index, &index) {
        (Some(old), Some(new)) => old.digest == new.digest,
        (Some(_), None) | (None, Some(_) | None) => false,
    };
    let mut variants = old.filter(same).map(|old| old.variants).unwrap_or_default();
    variants.retain(|known| known.platform != variant.platform);
    variants.push(variant);
    StoredImage { created, index, variants }
}
