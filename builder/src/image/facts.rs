//! What an image name stands for.

use graph::ImageFacts;
use layer_store::{Store, StoredImage, StoredVariant};
use oci::{Descriptor, Digest, Document, ImageConfig, ImageDocument, MediaType, Platform, Reference};
use registry_client::RegistryError;

use super::answers;
use super::documents::{find_document, keep_document, stored};
use super::error::ImageError;
use crate::Session;
use crate::event::Event;
use crate::request::PullPolicy;
use crate::worker::{Permit, blocking};

/// What an image name stands for on a platform: the store's image first, then documents of the
/// store that a digest names, then the registry, as far as the policy allows.
pub async fn image_facts(
    session: &Session,
    reference: &Reference,
    platform: &Platform,
    policy: PullPolicy,
) -> Result<ImageFacts, ImageError> {
    let found = {
        let (store, reference, platform) = (session.store.clone(), reference.clone(), platform.clone());
        blocking(Permit::free(), move || stored_facts(&store, &reference, &platform, policy)).await?
    };
    if let Some(facts) = found {
        return Ok(facts);
    }
    match policy {
        PullPolicy::Never => {
            Err(ImageError::NotStored { reference: reference.clone(), platform: platform.clone() })
        }
        PullPolicy::Missing | PullPolicy::Always => remote_facts(session, reference, platform).await,
        PullPolicy::Newer => match remote_facts(session, reference, platform).await {
            Ok(facts) => Ok(facts),
            Err(unreached) => kept_facts(session, reference, platform, unreached).await,
        },
    }
}

/// The store's image under that name, where the registry does not say what it has.
async fn kept_facts(
    session: &Session,
    reference: &Reference,
    platform: &Platform,
    unreached: ImageError,
) -> Result<ImageFacts, ImageError> {
    let (store, name, asked) = (session.store.clone(), reference.clone(), platform.clone());
    let kept = blocking(Permit::free(), move || facts_by_name(&store, &name, &asked)).await;
    let Ok(Some(facts)) = kept else { return Err(unreached) };
    let text = format!("{}: the image of the store is taken: {unreached}", reference.familiar());
    session.events.send(Event::Warning(text)).await;
    Ok(facts)
}

/// One HEAD tells whether the documents of the last time still count; only others are fetched.
async fn remote_facts(
    session: &Session,
    reference: &Reference,
    platform: &Platform,
) -> Result<ImageFacts, ImageError> {
    let pinned = match reference.digest() {
        Some(_) => reference.clone(),
        None => {
            let found = match answers::resolve(session, reference).await {
                Err(ImageError::Registry(limit @ RegistryError::Throttled(_))) => {
                    return last_facts(session, reference, platform, limit).await;
                }
                found => found?,
            };
            if let Some(facts) = known_facts(session, reference, &found.digest, platform).await {
                return Ok(ImageFacts { resolved: found, ..facts });
            }
            reference.with_digest(found.digest)
        }
    };
    let _turn = answers::turn(session, &pinned).await?;
    if let Some(digest) = pinned.digest()
        && let Some(facts) = known_facts(session, reference, digest, platform).await
    {
        return Ok(facts);
    }
    let image = session.client.fetch_image(&pinned, platform).await?;
    let lease = session.lease.clone();
    blocking(Permit::free(), move || {
        if let Some(index) = &image.index {
            keep_document(&lease, index)?;
        }
        keep_document(&lease, &image.manifest)?;
        keep_document(&lease, &image.config)?;
        Ok(ImageFacts {
            manifest: image.manifest.descriptor().clone(),
            resolved: image.resolved,
            config: image.config.into_parsed(),
        })
    })
    .await
}

/// What the name stood for at the last time, where a registry allows no more requests and the documents are
/// in the store.
async fn last_facts(
    session: &Session,
    reference: &Reference,
    platform: &Platform,
    limit: RegistryError,
) -> Result<ImageFacts, ImageError> {
    let Some(last) = answers::last(session, reference).await else { return Err(limit.into()) };
    let digest = &last.descriptor.digest;
    let Some(facts) = known_facts(session, reference, digest, platform).await else {
        return Err(limit.into());
    };
    let age = last.asked.elapsed().unwrap_or_default().as_secs();
    let minutes = age.div_ceil(60);
    let text = format!(
        "{}: the registry allows no more requests, so {digest} is taken, which it was {minutes} min ago: {limit}",
        reference.familiar()
    );
    session.events.send(Event::Warning(text)).await;
    Ok(ImageFacts { resolved: last.descriptor, ..facts })
}

/// What the store knows of a digest. Documents of the store that make no sense are fetched again.
async fn known_facts(
    session: &Session,
    reference: &Reference,
    digest: &Digest,
    platform: &Platform,
) -> Option<ImageFacts> {
    let (store, name, platform) = (session.store.clone(), reference.clone(), platform.clone());
    let digest = digest.clone();
    blocking(Permit::free(), move || facts_by_digest(&store, &name, &digest, &platform)).await.ok().flatten()
}

/// Facts that need no request.
fn stored_facts(
    store: &Store,
    reference: &Reference,
    platform: &Platform,
    policy: PullPolicy,
) -> Result<Option<ImageFacts>, ImageError> {
    if let Some(digest) = reference.digest() {
        return facts_by_digest(store, reference, digest, platform);
    }
    match policy {
        PullPolicy::Always | PullPolicy::Newer => Ok(None),
        PullPolicy::Missing | PullPolicy::Never => facts_by_name(store, reference, platform),
    }
}

/// The variant of a stored image that serves a platform.
pub(crate) fn stored_variant<'a>(image: &'a StoredImage, platform: &Platform) -> Option<&'a StoredVariant> {
    let entry = |variant: &StoredVariant| Descriptor {
        platform: Some(variant.platform.clone()),
        ..Descriptor::new(MediaType::OciManifest, variant.config.digest.clone(), variant.config.size)
    };
    let entries: Vec<Descriptor> = image.variants.iter().map(entry).collect();
    image.variants.get(platform.choose(&entries)?)
}

fn facts_by_name(
    store: &Store,
    reference: &Reference,
    platform: &Platform,
) -> Result<Option<ImageFacts>, ImageError> {
    let Some(image) = store.image(reference)? else { return Ok(None) };
    let Some(variant) = stored_variant(&image, platform) else { return Ok(None) };
    let config: Option<Document<ImageConfig>> = stored(store, reference, &variant.config)?;
    // An image that was only built has no manifest: its config is its identity.
    let manifest = variant.manifest.clone().unwrap_or_else(|| variant.config.clone());
    Ok(config.map(|config| ImageFacts {
        resolved: image.index.clone().unwrap_or_else(|| manifest.clone()),
        manifest,
        config: config.into_parsed(),
    }))
}

/// Index, manifest and config of a digest, where all of them are in the store.
fn facts_by_digest(
    store: &Store,
    reference: &Reference,
    digest: &Digest,
    platform: &Platform,
) -> Result<Option<ImageFacts>, ImageError> {
    let Some(top) = image_document(store, reference, digest)? else { return Ok(None) };
    let resolved = top.descriptor().clone();
    let manifest = match top {
        ImageDocument::Manifest(manifest) => manifest,
        ImageDocument::Index(index) => {
            let entries = &index.parsed().manifests;
            let Some(entry) = platform.choose(entries).and_then(|at| entries.get(at)) else {
                return Ok(None);
            };
            match image_document(store, reference, &entry.digest)? {
                Some(ImageDocument::Manifest(manifest)) => manifest,
                Some(ImageDocument::Index(_)) | None => return Ok(None),
            }
        }
    };
    let config: Option<Document<ImageConfig>> = stored(store, reference, &manifest.parsed().config)?;
    Ok(config.map(|config| ImageFacts {
        manifest: manifest.descriptor().clone(),
        resolved,
        config: config.into_parsed(),
    }))
}

fn image_document(
    store: &Store,
    reference: &Reference,
    digest: &Digest,
) -> Result<Option<ImageDocument>, ImageError> {
    let Some(raw) = find_document(store, digest)? else { return Ok(None) };
    ImageDocument::parse(None, raw)
        .map(Some)
        .map_err(|source| ImageError::Document { reference: reference.clone(), source })
}
