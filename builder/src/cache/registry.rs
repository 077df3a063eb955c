//! A cache in a registry: an index under one name, with a manifest for each part.
//!
//! A registry gives no way to change an index only if nobody else did. So a writer reads, adds its part,
//! writes, and looks again after a while, and again after a longer one: who finds its part gone was
//! overtaken and adds it once more. The pauses are longer than it took to read and write, so that only a
//! writer that is much slower than this one can still overtake it unseen; its loss is a miss.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use oci::{Descriptor, Digest, Document, ImageDocument, Index, MediaType, Reference};
use registry_client::{BlobSource, RegistryError};

use super::error::CacheError;
use super::place::{Place, entry, is_part, with_part};
use super::read::is_of_buildkit;
use crate::Session;
use crate::event::StepId;
use crate::export::layer_source;

/// How often a part is added before a writer gives up.
const TRIES: usize = 12;
/// The shortest pause before a writer looks again.
const PAUSE: Duration = Duration::from_millis(40);

pub(super) async fn put_small(
    session: &Session,
    reference: &Reference,
    blob: &Descriptor,
    bytes: Bytes,
) -> Result<(), CacheError> {
    session.client.push_blob(reference.repository(), blob, &BlobSource::bytes(bytes), &[]).await?;
    Ok(())
}

/// The registry takes it from the repository of `from` where it has both.
pub(super) async fn put(
    session: &Session,
    reference: &Reference,
    blob: &Descriptor,
    from: Option<&Place>,
    step: StepId,
) -> Result<(), CacheError> {
    let origin = match from {
        Some(Place::Registry(other)) => Some(other.repository().clone()),
        Some(other @ Place::Directory(..)) => {
            Box::pin(other.fetch(session, blob, step)).await?;
            None
        }
        None => None,
    };
    let mount_from: Vec<_> = origin.iter().cloned().collect();
    let body = layer_source(session.clone(), origin, blob.clone(), step);
    session.client.push_blob(reference.repository(), blob, &body, &mount_from).await?;
    Ok(())
}

/// What stands under the name, as entries of an index that parts may be added to.
async fn entries(session: &Session, reference: &Reference) -> Result<Vec<Descriptor>, CacheError> {
    let foreign = |what| CacheError::Foreign { place: reference.familiar(), what };
    match session.client.image_document(reference).await {
        Err(RegistryError::NotFound(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
        Ok(ImageDocument::Index(index)) => {
            let entries = index.into_parsed().manifests;
            if entries.is_empty() || entries.iter().any(is_part) {
                return Ok(entries);
            }
            match entries.iter().any(|entry| is_of_buildkit(&entry.media_type)) {
                true => Ok(Vec::new()),
                false => Err(foreign("an image, and a cache is not written over it")),
            }
        }
        Ok(ImageDocument::Manifest(manifest)) => match is_of_buildkit(&manifest.parsed().config.media_type) {
            true => Ok(Vec::new()),
            false => Err(foreign("an image, and a cache is not written over it")),
        },
    }
}

pub(super) async fn append(
    session: &Session,
    reference: &Reference,
    part: &Descriptor,
    replaced: &[Digest],
) -> Result<(), CacheError> {
    let part = entry(part);
    let kept = |entries: &[Descriptor]| entries.iter().any(|entry| entry.digest == part.digest);
    for attempt in 0..TRIES {
        let began = Instant::now();
        let now = entries(session, reference).await?;
        if !kept(&now) {
            let index = Document::create(MediaType::OciIndex, Index::of(with_part(now, &part, replaced)));
            let kind = index.descriptor().media_type.clone();
            session.client.push_manifest(reference, &kind, index.raw().clone()).await?;
        }
        let pause = began.elapsed().max(PAUSE);
        tokio::time::sleep(pause + jitter(pause, attempt)).await;
        if !kept(&entries(session, reference).await?) {
            continue;
        }
        tokio::time::sleep(pause * 3).await;
        if kept(&entries(session, reference).await?) {
            return Ok(());
        }
    }
    Err(CacheError::Contested { place: reference.familiar(), tries: TRIES })
}

/// Keeps writers that met from meeting again: longer for each attempt, and not alike in two processes.
fn jitter(pause: Duration, attempt: usize) -> Duration {
    let nanos =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    let seed = u64::from(nanos) ^ (u64::from(std::process::id()) << 20);
    let span = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX).saturating_mul(attempt as u64 + 1);
    let digest = blake3::hash(&seed.to_le_bytes());
    let random = u64::from(u32::from_le_bytes([
        digest.as_bytes()[0],
        digest.as_bytes()[1],
        digest.as_bytes()[2],
        digest.as_bytes()[3],
    ]));
    Duration::from_micros(random % span.max(1))
}
