//! The layers of an image: what is missing is fetched, several at once.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use graph::ImageSource;
use layer_store::{Lease, PendingLayer, Snapshot, Store, Unpacked};
use oci::{ChainId, Descriptor, DiffId, Reference, Repository};

use super::documents::{even, manifest_and_config};
use super::error::ImageError;
use super::stream::fetch_and_unpack;
use crate::Session;
use crate::event::StepId;
use crate::worker::{Permit, blocking};

/// How many layers are on their way at once.
const AT_ONCE: usize = 4;

/// One layer of the image, in its place.
#[derive(Clone, Debug)]
struct Place {
    blob: Descriptor,
    diff: DiffId,
    chain: ChainId,
}

/// The layers of a pinned image as a snapshot; missing ones are fetched and unpacked.
pub async fn pull_image(
    session: &Session,
    source: &ImageSource,
    step: StepId,
) -> Result<Snapshot, ImageError> {
    if source.manifest.media_type.is_config() {
        let (lease, source) = (session.lease.clone(), source.clone());
        return blocking(Permit::free(), move || stored_snapshot(&lease, &source)).await;
    }
    let (manifest, config) = manifest_and_config(session, &source.reference, &source.manifest).await?;
    let places = places(&source.reference, &manifest.parsed().layers, &config.parsed().rootfs.diff_ids)?;
    let fetched = fetch_missing(session, &source.reference, &places, step).await?;
    stack(session, &source.reference, places, fetched, step).await
}

/// The layers of an image that was built here and has no manifest; its config names it.
fn stored_snapshot(lease: &Lease, source: &ImageSource) -> Result<Snapshot, ImageError> {
    let snapshot = tagged_snapshot(lease.store(), source)?;
    for id in &snapshot.0 {
        if lease.layer(id)?.is_none() {
            return Err(ImageError::Gone { reference: source.reference.clone() });
        }
    }
    Ok(snapshot)
}

fn tagged_snapshot(store: &Store, source: &ImageSource) -> Result<Snapshot, ImageError> {
    let matches = |variant: &&layer_store::StoredVariant| variant.config.digest == source.manifest.digest;
    let by_name = store.image(&source.reference)?;
    if let Some(variant) = by_name.as_ref().and_then(|image| image.variants.iter().find(matches)) {
        return Ok(variant.snapshot.clone());
    }
    for (_, image) in store.images()? {
        if let Some(variant) = image.variants.iter().find(matches) {
            return Ok(variant.snapshot.clone());
        }
    }
    Err(ImageError::Gone { reference: source.reference.clone() })
}

fn places(
    reference: &Reference,
    layers: &[Descriptor],
    diff_ids: &[DiffId],
) -> Result<Vec<Place>, ImageError> {
    even(reference, layers, diff_ids)?;
    let mut chain: Option<ChainId> = None;
    let mut places = Vec::with_capacity(layers.len());
    for (blob, diff) in layers.iter().zip(diff_ids) {
        if blob.media_type.compression().is_none() {
            return Err(ImageError::LayerType {
                reference: reference.clone(),
                digest: blob.digest.clone(),
                media_type: blob.media_type.to_string(),
            });
        }
        let this = ChainId::extend(chain.as_ref(), diff);
        places.push(Place { blob: blob.clone(), diff: diff.clone(), chain: this.clone() });
        chain = Some(this);
    }
    Ok(places)
}

/// Fetches what the store does not have, each diff once. By position; `None`: nothing was fetched
/// for that position.
async fn fetch_missing(
    session: &Session,
    reference: &Reference,
    places: &[Place],
    step: StepId,
) -> Result<Vec<Option<Unpacked>>, ImageError> {
    let missing: BTreeSet<usize> = {
        let (store, places) = (session.store.clone(), places.to_vec());
        blocking(Permit::free(), move || missing(&store, &places)).await?
    };
    let repository = reference.repository();
    // Collected first: a stream that maps borrowed items is not `Send` enough for its callers.
    let fetches: Vec<_> = places
        .iter()
        .enumerate()
        .map(|(position, place)| fetch_if(missing.contains(&position), session, repository, place, step))
        .collect();
    futures::stream::iter(fetches).buffered(AT_ONCE).try_collect().await
}

async fn fetch_if(
    wanted: bool,
    session: &Session,
    repository: &Repository,
    place: &Place,
    step: StepId,
) -> Result<Option<Unpacked>, ImageError> {
    match wanted {
        true => fetch_and_unpack(session, repository, &place.blob, &place.diff, step).await.map(Some),
        false => Ok(None),
    }
}

fn missing(store: &Store, places: &[Place]) -> Result<BTreeSet<usize>, ImageError> {
    let mut seen = BTreeSet::new();
    let mut missing = BTreeSet::new();
    for (position, place) in places.iter().enumerate() {
        if store.find_layer(&place.diff, &place.chain)?.is_none() && seen.insert(&place.diff) {
            missing.insert(position);
        }
    }
    Ok(missing)
}

/// Completes layers that need the ones below, from the bottom up.
async fn stack(
    session: &Session,
    reference: &Reference,
    places: Vec<Place>,
    fetched: Vec<Option<Unpacked>>,
    step: StepId,
) -> Result<Snapshot, ImageError> {
    let mut below = Snapshot::default();
    for (place, fetched) in places.into_iter().zip(fetched) {
        let unpacked = match fetched {
            Some(unpacked) => unpacked,
            None => match find(session, &place).await? {
                Some(layer) => Unpacked::Complete(layer),
                // The same diff twice, and it depends on what is below: rare enough to fetch again.
                None => {
                    fetch_and_unpack(session, reference.repository(), &place.blob, &place.diff, step).await?
                }
            },
        };
        below = on_top(session, below, unpacked, place).await?;
    }
    Ok(below)
}

async fn find(session: &Session, place: &Place) -> Result<Option<layer_store::LayerId>, ImageError> {
    let (lease, place) = (session.lease.clone(), place.clone());
    Ok(blocking(Permit::free(), move || lease.find_layer(&place.diff, &place.chain)).await?)
}

async fn on_top(
    session: &Session,
    below: Snapshot,
    unpacked: Unpacked,
    place: Place,
) -> Result<Snapshot, ImageError> {
    let lease = session.lease.clone();
    blocking(Permit::free(), move || {
        let complete = |pending: PendingLayer| pending.complete(&below, &place.chain);
        let layer = match unpacked {
            Unpacked::Complete(layer) => layer,
            Unpacked::NeedsBelow(pending) => {
                complete(pending).map_err(|source| ImageError::Unpack { blob: place.blob.clone(), source })?
            }
        };
        if lease.store().has_blob(&place.blob) {
            lease.adopt_blob(&layer, &place.blob)?;
        }
        Ok(below.with(layer))
    })
    .await
}
