//! All parts of a place, whatever form they have there: entries of an index, one manifest, the inline
//! cache of an image.

use futures::StreamExt;
use oci::{Descriptor, Document, ImageConfig, ImageDocument, Manifest, MediaType};

use super::document::{Part, RECORDS_TYPE};
use super::error::CacheError;
use super::inline::{self, Inline};
use super::place::{Place, Top, is_part};
use crate::Session;

/// Parts that are read; the newest count.
const PARTS_AT_MOST: usize = 64;
/// How many are on their way at once.
const AT_ONCE: usize = 4;
/// The config of a cache that BuildKit wrote.
const BUILDKIT_TYPE: &str = "application/vnd.buildkit.cacheconfig.v0";

/// Whether a config or an entry of an index belongs to a cache that BuildKit wrote.
pub(super) fn is_of_buildkit(media_type: &MediaType) -> bool {
    media_type.as_str() == BUILDKIT_TYPE
}

/// A part with its manifest.
#[derive(Debug)]
pub(super) struct Placed {
    pub manifest: Descriptor,
    pub part: Part,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The parts, the oldest first.
    pub parts: Vec<Placed>,
    /// Parts that could not be read.
    pub faults: Vec<CacheError>,
}

/// Reads all parts of a place. Fails where nothing under its name can be read.
pub(super) async fn read(session: &Session, place: &Place) -> Result<Found, CacheError> {
    let entries = match place.top(session).await? {
        Top::Manifest(document) => {
            let placed = of_document(session, place, document).await?;
            return some(place, Found { parts: placed.into_iter().collect(), faults: Vec::new() });
        }
        Top::Entries(entries) => entries,
    };
    if entries.iter().any(|entry| is_of_buildkit(&entry.media_type)) {
        return Err(of_buildkit(place));
    }
    // Beside parts there may be images with caches inside, and indexes in which BuildKit kept a cache.
    let may_hold =
        |entry: &&Descriptor| is_part(entry) || entry.media_type.is_manifest() || entry.media_type.is_index();
    let read = entries.iter().filter(may_hold);
    let newest: Vec<&Descriptor> = read.rev().take(PARTS_AT_MOST).collect();
    let reading: Vec<_> = newest
        .into_iter()
        .rev()
        .map(|entry| async move {
            let document = place.document(session, entry).await?;
            of_document(session, place, document).await
        })
        .collect();
    let mut found = Found::default();
    let mut results = futures::stream::iter(reading).buffered(AT_ONCE);
    while let Some(result) = results.next().await {
        match result {
            Ok(placed) => found.parts.extend(placed),
            Err(fault) => found.faults.push(fault),
        }
    }
    some(place, found)
}

fn some(place: &Place, found: Found) -> Result<Found, CacheError> {
    if found.parts.is_empty() && found.faults.is_empty() {
        return Err(CacheError::Foreign { place: place.to_string(), what: "no cache" });
    }
    Ok(found)
}

/// The part of a manifest, or of the image that it describes.
async fn of_document(
    session: &Session,
    place: &Place,
    document: ImageDocument,
) -> Result<Option<Placed>, CacheError> {
    let manifest = match document {
        ImageDocument::Manifest(manifest) => manifest,
        ImageDocument::Index(index) => {
            let of_its = |entry: &Descriptor| is_of_buildkit(&entry.media_type);
            return match index.parsed().manifests.iter().any(of_its) {
                true => Err(of_buildkit(place)),
                false => Ok(None),
            };
        }
    };
    let config = &manifest.parsed().config;
    let damaged = |reason| CacheError::Part { place: place.to_string(), reason };
    let part = if config.media_type.as_str() == RECORDS_TYPE {
        Part::decode(&place.small(session, config).await?).map_err(damaged)?
    } else if is_of_buildkit(&config.media_type) {
        return Err(of_buildkit(place));
    } else if config.media_type.is_config() {
        match of_image(session, place, &manifest).await? {
            Inline::Part(part) => part,
            Inline::OfBuildKit => return Err(of_buildkit(place)),
            Inline::Nothing => return Ok(None),
        }
    } else {
        return Ok(None);
    };
    Ok(Some(Placed { manifest: manifest.descriptor().clone(), part }))
}

async fn of_image(
    session: &Session,
    place: &Place,
    manifest: &Document<Manifest>,
) -> Result<Inline, CacheError> {
    let descriptor = &manifest.parsed().config;
    let raw = place.small(session, descriptor).await?;
    let config: Document<ImageConfig> = Document::parse_as(descriptor, raw)
        .map_err(|source| CacheError::Manifest { place: place.to_string(), source: Box::new(source) })?;
    inline::read(config.parsed(), manifest.parsed())
        .map_err(|reason| CacheError::Part { place: place.to_string(), reason })
}

/// Its keys are made otherwise, of other parts, so that none of them is ever asked for here.
fn of_buildkit(place: &Place) -> CacheError {
    CacheError::Foreign {
        place: place.to_string(),
        what: "a cache that BuildKit wrote, whose keys are made otherwise; nothing of it can be used",
    }
}
