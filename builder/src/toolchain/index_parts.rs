//! What an index is made of: places, and descriptors of images that lie in the index's own repository.

use std::collections::BTreeMap;

use oci::{Descriptor, Digest, MediaType, Platform};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::ToolError;
use super::place::{InLayout, Place, PlaceError};

/// One of the things whose entries an index gets.
#[derive(Clone, Debug)]
pub struct IndexPart {
    /// Where it is.
    pub place: Place,
    /// What the index is to say of it, where that was written down.
    pub noted: Option<Noted>,
}

impl From<Place> for IndexPart {
    fn from(place: Place) -> Self {
        Self { place, noted: None }
    }
}

impl IndexPart {
    /// The image with a descriptor, which lies in the repository or layout of the index.
    ///
    /// # Errors
    ///
    /// The target holds nothing that could be found by its digest.
    pub fn noted(noted: Noted, target: &Place) -> Result<Self, PlaceError> {
        Ok(Self { place: at_digest(target, &noted.digest)?, noted: Some(noted) })
    }
}

/// A descriptor as buildx's `imagetools create --file` takes it: all but the digest may be absent.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Noted {
    /// Which document is meant.
    pub digest: Digest,
    media_type: Option<MediaType>,
    size: Option<u64>,
    platform: Option<Platform>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl From<Digest> for Noted {
    fn from(digest: Digest) -> Self {
        Self {
            digest,
            media_type: None,
            size: None,
            platform: None,
            annotations: BTreeMap::new(),
            other: Map::new(),
        }
    }
}

impl Noted {
    /// The entry: what is noted wins over what the image says of itself, but not over what it is.
    pub(super) fn over(&self, found: Descriptor, place: &Place) -> Result<Descriptor, ToolError> {
        let differs = |what: &str| {
            ToolError::from(PlaceError::refused(place, format!("its descriptor gives another {what}")))
        };
        if self.media_type.as_ref().is_some_and(|noted| *noted != found.media_type) {
            return Err(differs("media type"));
        }
        if self.size.is_some_and(|noted| noted != found.size) {
            return Err(differs("size"));
        }
        let mut entry = found;
        entry.platform = self.platform.clone().or(entry.platform);
        entry.annotations.extend(self.annotations.clone());
        entry.other.extend(self.other.clone());
        Ok(entry)
    }
}

fn at_digest(target: &Place, digest: &Digest) -> Result<Place, PlaceError> {
    let image = InLayout::Digest(digest.clone());
    match target {
        Place::Registry(name) => Ok(Place::Registry(name.repository().with_digest(digest.clone()))),
        Place::Store(name) | Place::Either(name) => {
            Ok(Place::Store(name.repository().with_digest(digest.clone())))
        }
        Place::Layout { dir, .. } => Ok(Place::Layout { dir: dir.clone(), image }),
        Place::LayoutArchive { file, .. } => Ok(Place::LayoutArchive { file: file.clone(), image }),
        Place::DockerArchive { .. } | Place::Directory(_) => {
            Err(PlaceError::refused(target, format!("{digest} cannot be found in it by its digest alone")))
        }
    }
}
