//! Making indexes of images, and changing their entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use oci::{Descriptor, Digest, Document, ImageConfig, ImageDocument, Index, MediaType, Platform};
use serde_json::{Map, Value};
use tokio::io::AsyncReadExt;

use super::error::ToolError;
use super::index_parts::IndexPart;
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
    pub parts: Vec<IndexPart>,
    /// What becomes of one single image.
    pub single: Single,
    /// Whether the entries that the target has stay.
    pub existing: Existing,
    /// Annotations of the index itself.
    pub annotations: BTreeMap<String, String>,
    /// Annotations of entries: of one platform's, or of all.
    pub entry_annotations: Vec<(Option<Platform>, String, String)>,
}

/// What is made of one single image, where the index has no further entries and no annotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Single {
    /// An index with one entry.
    Index,
    /// The image itself, under another name.
    Image,
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
    target: Place,
}

impl MadeIndex {
    /// The document, which is a manifest only where one single image was to stay one.
    pub fn document(&self) -> &ImageDocument {
        self.source.top()
    }

    /// Writes it to its place, with everything that is not there.
    pub async fn commit(self, session: &Session, step: StepId) -> Result<Descriptor, ToolError> {
        let content = Content::of(&self.source, None).await?;
        write(session, &self.source, &content, &self.target, step).await?;
        Ok(self.source.top().descriptor().clone())
    }

    fn over(parts: Vec<Source>, index: Index, media_type: MediaType, target: &Place) -> Self {
        let index = Document::create(media_type, Index { ..index });
        let made = MadeSource {
            shown: target.to_string(),
            top: ImageDocument::Index(index),
            new: BTreeMap::new(),
            stored: None,
            parts,
        };
        Self { source: Source::Made(Arc::new(made)), target: target.clone() }
    }
}

/// Makes an index of images. Entries of indexes among them are taken over as they are; an image's own
/// entry gets the platform of its config. One single index without annotations stays what it is, byte for
/// byte.
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
    for IndexPart { place, noted } in &request.parts {
        let source = Source::open(session, place, CompressionChoice::default()).await?;
        let mut new = entries_of(&source).await?;
        if let (Some(noted), ImageDocument::Manifest(_)) = (noted, source.top()) {
            new = new.into_iter().map(|entry| noted.over(entry, place)).collect::<Result<_, _>>()?;
        }
        entries.retain(|old| !new.iter().any(|new| replaces(new, old)));
        entries.extend(new);
        sources.push(source);
    }
    if let [source] = sources.as_slice()
        && request.annotations.is_empty()
        && request.entry_annotations.is_empty()
        && (request.single == Single::Image || matches!(source.top(), ImageDocument::Index(_)))
    {
        return Ok(MadeIndex { source: source.clone(), target: request.target.clone() });
    }
    annotations.extend(request.annotations.clone());
    for (platform, key, value) in &request.entry_annotations {
        let mut found = false;
        for entry in entries.iter_mut().filter(|entry| is_for(entry, platform.as_ref())) {
            entry.annotations.insert(key.clone(), value.clone());
            found = true;
        }
        if let (false, Some(platform)) = (found, platform) {
            let reason = format!("annotation {key}: it has no entry for {platform}");
            return Err(PlaceError::refused(&request.target, reason).into());
        }
    }
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

fn is_for(entry: &Descriptor, platform: Option<&Platform>) -> bool {
    let same = |wanted: &Platform| {
        entry.platform.clone().is_some_and(|own| own.normalise() == wanted.clone().normalise())
    };
    platform.is_none_or(same)
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
