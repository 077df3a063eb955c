//! Making indexes of images, and changing their entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use oci::{Descriptor, Digest, Document, ImageConfig, ImageDocument, Index, MediaType, Platform};
use serde_json::{Map, Value};
use tokio::io::AsyncReadExt;

use super::error::ToolError;
use super::place::{Content, MadeSource, Place, PlaceError, Source, write};
use crate::Session;
use crate::event::StepId;
use crate::request::CompressionChoice;

/// What an index is made of.
#[derive(Clone, Debug)]
pub struct IndexRequest {
    /// Where it goes.
    pub target: Place,
    /// The images and indexes whose entries it gets, in order.
    pub parts: Vec<Place>,
    /// Whether the entries that the target has stay.
    pub existing: Existing,
    /// Annotations of the index itself.
    pub annotations: BTreeMap<String, String>,
}

/// What becomes of an index that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced.
    Replace,
    /// Its entries stay, unless new ones have their platform.
    Append,
}

/// Changes of one entry.
#[derive(Clone, Debug, Default)]
pub struct EntryChange {
    /// `platform.os`.
    pub os: Option<String>,
    /// `platform.architecture`.
    pub architecture: Option<String>,
    /// `platform.variant`.
    pub variant: Option<String>,
    /// `platform.os.version`.
    pub os_version: Option<String>,
    /// `platform.os.features`.
    pub os_features: Vec<String>,
    /// Annotations of the entry.
    pub annotations: BTreeMap<String, String>,
}

/// An index that is made, with all it leads to, but not written yet.
pub struct MadeIndex {
    source: Source,
    index: Document<Index>,
    target: Place,
}

impl MadeIndex {
    /// The document.
    pub fn document(&self) -> &Document<Index> {
        &self.index
    }

    /// Writes it to its place, with everything that is not there.
    pub async fn commit(self, session: &Session, step: StepId) -> Result<Descriptor, ToolError> {
        let content = Content::of(&self.source, None).await?;
        write(session, &self.source, &content, &self.target, step).await?;
        Ok(self.index.descriptor().clone())
    }

    fn over(parts: Vec<Source>, index: Index, media_type: MediaType, target: &Place) -> Self {
        let index = Document::create(media_type, Index { ..index });
        let made = MadeSource {
            shown: target.to_string(),
            top: ImageDocument::Index(index.clone()),
            new: BTreeMap::new(),
            stored: None,
            parts,
        };
        Self { source: Source::Made(Arc::new(made)), index, target: target.clone() }
    }
}

/// Makes an index of images. Entries of indexes among them are taken over as they are; an image's own
/// entry gets the platform of its config.
pub async fn make_index(session: &Session, request: &IndexRequest) -> Result<MadeIndex, ToolError> {
    let mut sources = Vec::new();
    let (mut entries, mut annotations): (Vec<Descriptor>, _) = (Vec::new(), BTreeMap::new());
    if request.existing == Existing::Append
        && let Some(source) = existing(session, &request.target).await?
    {
        if let ImageDocument::Index(index) = source.top() {
            annotations = index.parsed().annotations.clone();
        }
        entries = entries_of(&source).await?;
        sources.push(source);
    }
    for place in &request.parts {
        let source = Source::open(session, place, CompressionChoice::default()).await?;
        let new = entries_of(&source).await?;
        entries.retain(|old| !new.iter().any(|new| replaces(new, old)));
        entries.extend(new);
        sources.push(source);
    }
    annotations.extend(request.annotations.clone());
    let docker = !entries.is_empty()
        && entries.iter().all(|entry| entry.media_type == MediaType::DockerManifest)
        && annotations.is_empty();
    let media_type = if docker { MediaType::DockerList } else { MediaType::OciIndex };
    let index = Index {
        schema_version: 2,
        media_type: Some(media_type.clone()),
        manifests: entries,
        annotations,
        other: Map::new(),
    };
    Ok(MadeIndex::over(sources, index, media_type, &request.target))
}

/// Changes one entry of an index: the one with a digest, or the one that a place stands for.
pub async fn annotate_index(
    session: &Session,
    target: &Place,
    entry: &Digest,
    change: &EntryChange,
) -> Result<MadeIndex, ToolError> {
    let source = Source::open(session, target, CompressionChoice::default()).await?;
    let ImageDocument::Index(document) = source.top() else {
        return Err(PlaceError::refused(target, "it is no index").into());
    };
    let (mut index, media_type) = (document.parsed().clone(), document.descriptor().media_type.clone());
    let found = index.manifests.iter_mut().find(|known| known.digest == *entry);
    let found = found.ok_or_else(|| PlaceError::refused(target, format!("it has no entry {entry}")))?;
    apply(found, change);
    Ok(MadeIndex::over(vec![source], index, media_type, target))
}

fn apply(entry: &mut Descriptor, change: &EntryChange) {
    let mut platform = entry.platform.clone().unwrap_or_else(|| Platform {
        architecture: String::new(),
        os: String::new(),
        variant: None,
        os_version: None,
        os_features: Vec::new(),
    });
    if let Some(os) = &change.os {
        platform.os.clone_from(os);
    }
    if let Some(architecture) = &change.architecture {
        platform.architecture.clone_from(architecture);
    }
    platform.variant = change.variant.clone().or(platform.variant);
    platform.os_version = change.os_version.clone().or(platform.os_version);
    if !change.os_features.is_empty() {
        platform.os_features.clone_from(&change.os_features);
    }
    if !platform.os.is_empty() || !platform.architecture.is_empty() {
        entry.platform = Some(platform);
    }
    entry.annotations.extend(change.annotations.clone());
}

/// The index that is at a place now; `None`: there is nothing.
async fn existing(session: &Session, place: &Place) -> Result<Option<Source>, ToolError> {
    match Source::open(session, place, CompressionChoice::default()).await {
        Ok(source) => Ok(Some(source)),
        Err(
            PlaceError::NotStored { .. } | PlaceError::Registry(registry_client::RegistryError::NotFound(_)),
        ) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a source adds to an index.
async fn entries_of(source: &Source) -> Result<Vec<Descriptor>, ToolError> {
    match source.top() {
        ImageDocument::Index(index) => Ok(index.parsed().manifests.clone()),
        ImageDocument::Manifest(manifest) => {
            let descriptor = &manifest.parsed().config;
            let mut entry = manifest.descriptor().clone();
            if descriptor.media_type.is_config() {
                let mut raw = Vec::new();
                let read = source.blob(descriptor).await?.read_to_end(&mut raw).await;
                read.map_err(|error| PlaceError::blob(&descriptor.digest, error))?;
                let config: Document<ImageConfig> = Document::parse_as(descriptor, raw.into())
                    .map_err(|error| PlaceError::Document { place: source.shown(), source: error })?;
                entry.platform = Some(config.parsed().platform());
            } else if let Some(kind) = source.top().as_referrer().other.get("artifactType") {
                entry.other.insert("artifactType".to_owned(), Value::clone(kind));
            }
            Ok(vec![entry])
        }
    }
}

/// Whether a new entry takes the place of an old one: the same image, or another for its platform.
fn replaces(new: &Descriptor, old: &Descriptor) -> bool {
    let known = |platform: &Platform| platform.os != "unknown";
    let same_platform = match (&new.platform, &old.platform) {
        (Some(new), Some(old)) => known(new) && new.clone().normalise() == old.clone().normalise(),
        (Some(_), None) | (None, Some(_) | None) => false,
    };
    new.digest == old.digest || same_platform
}
