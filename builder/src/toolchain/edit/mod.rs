//! New images from old ones without running anything: layers added, configs changed, bases swapped,
//! layers merged. Layers that stay keep their blobs.

mod change;
mod flatten;
mod layer;
mod rebase;
mod rewrite;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use oci::{
    Descriptor, Document, History, ImageConfig, ImageDocument, Manifest, MediaType, Platform, Repository,
};
use serde_json::Map;
use tokio::io::AsyncReadExt;

pub use change::ConfigChange;
pub use rewrite::{LayerChange, NewTimes};

use super::error::ToolError;
use super::place::{Content, MadeSource, Place, PlaceError, Source, write};
use crate::Session;
use crate::event::StepId;
use crate::export::Family;
use crate::request::CompressionChoice;

/// What is done to an image.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Tars become layers on top.
    Append(Vec<PathBuf>),
    /// Tars become layers on top, then the config, the manifest's annotations and the layers are changed.
    Mutate(Box<Mutation>),
    /// The layers of one base are swapped for those of another.
    Rebase {
        /// The base it has; where absent, its annotations say it.
        old: Option<Place>,
        /// The base it gets; where absent, its annotations say it.
        new: Option<Place>,
    },
    /// All layers become one.
    Flatten,
}

/// Changes of one image that go together.
#[derive(Clone, Debug, Default)]
pub struct Mutation {
    /// Tars that become layers.
    pub append: Vec<PathBuf>,
    /// Of the config and the annotations.
    pub config: ConfigChange,
    /// Of all layers, the new ones included.
    pub layers: LayerChange,
}

/// Where a new image goes.
#[derive(Clone, Debug)]
pub enum EditTarget {
    /// To a place.
    Place(Place),
    /// To a repository of a registry, under its digest alone.
    ByDigest(Repository),
}

/// An image that is being changed.
struct Image {
    shown: String,
    manifest: Manifest,
    config: ImageConfig,
    family: Family,
    parts: Vec<Source>,
}

/// Makes an image from another one (or from nothing) and writes it to its place. What it stands for
/// there is returned.
pub async fn edit(
    session: &Session,
    from: Option<&Place>,
    platform: Option<&Platform>,
    edit: &Edit,
    to: &EditTarget,
    step: StepId,
) -> Result<Descriptor, ToolError> {
    let image = match from {
        Some(place) => Image::open(session, place, platform).await?,
        None => Image::empty(platform.cloned().unwrap_or_else(Platform::host)),
    };
    let image = match edit {
        Edit::Append(files) => layer::append(session, image, files).await?,
        Edit::Mutate(mutation) => {
            let mut image = layer::append(session, image, &mutation.append).await?;
            change::apply(&mut image, &mutation.config);
            rewrite::rewrite(session, image, &mutation.layers, step).await?
        }
        Edit::Rebase { old, new } => {
            rebase::rebase(session, image, platform, (old.as_ref(), new.as_ref())).await?
        }
        Edit::Flatten => flatten::flatten(session, image, step).await?,
    };
    image.commit(session, to, step).await
}

impl Image {
    /// Opens an image of one platform.
    async fn open(session: &Session, place: &Place, platform: Option<&Platform>) -> Result<Self, ToolError> {
        let source = Source::open(session, place, CompressionChoice::default()).await?;
        let document = match (platform, source.top()) {
            (None, ImageDocument::Manifest(_)) => source.top().clone(),
            (None, ImageDocument::Index(index)) => {
                let entries = index.parsed().manifests.iter().filter_map(|entry| entry.platform.as_ref());
                let names: Vec<String> = entries.map(ToString::to_string).collect();
                let reason = format!("it is an index of {}: name one with --platform", names.join(", "));
                return Err(PlaceError::refused(place, reason).into());
            }
            (Some(platform), _) => source.for_platform(platform).await?,
        };
        let ImageDocument::Manifest(manifest) = document else {
            return Err(PlaceError::refused(place, "it leads to an index only").into());
        };
        let descriptor = &manifest.parsed().config;
        if !descriptor.media_type.is_config() {
            return Err(PlaceError::refused(place, "it is an artifact, not an image").into());
        }
        let mut raw = Vec::new();
        let read = source.blob(descriptor).await?.read_to_end(&mut raw).await;
        read.map_err(|error| PlaceError::blob(&descriptor.digest, error))?;
        let config: Document<ImageConfig> = Document::parse_as(descriptor, raw.into())
            .map_err(|error| PlaceError::Document { place: place.to_string(), source: error })?;
        let family = match manifest.descriptor().media_type == MediaType::DockerManifest {
            true => Family::Docker,
            false => Family::Oci,
        };
        if config.parsed().rootfs.diff_ids.len() != manifest.parsed().layers.len() {
            return Err(PlaceError::refused(place, "its config and its manifest name other layers").into());
        }
        Ok(Self {
            shown: place.to_string(),
            manifest: manifest.into_parsed(),
            config: config.into_parsed(),
            family,
            parts: vec![source],
        })
    }

    /// An image without layers.
    fn empty(platform: Platform) -> Self {
        let config = ImageConfig {
            architecture: platform.architecture,
            os: platform.os,
            variant: platform.variant,
            ..ImageConfig::default()
        };
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MediaType::OciManifest),
            config: Document::create(MediaType::OciConfig, config.clone()).descriptor().clone(),
            layers: Vec::new(),
            annotations: BTreeMap::new(),
            other: Map::new(),
        };
        Self { shown: "scratch".to_owned(), manifest, config, family: Family::Oci, parts: Vec::new() }
    }

    /// Adds a layer on top.
    fn push(&mut self, blob: Descriptor, diff: oci::DiffId, created_by: &str) {
        self.pad_history();
        self.manifest.layers.push(blob);
        self.config.rootfs.diff_ids.push(diff);
        self.config.history.push(History {
            created: self.config.created.clone(),
            created_by: Some(created_by.to_owned()),
            ..History::default()
        });
    }

    /// Makes the entries that stand for layers as many as the layers.
    fn pad_history(&mut self) {
        let standing = self.config.history.iter().filter(|entry| !entry.empty_layer).count();
        for _ in standing..self.config.rootfs.diff_ids.len() {
            let comment = Some("layer without a history entry".to_owned());
            self.config.history.push(History { comment, ..History::default() });
        }
    }

    /// Where the documents and blobs are that it has so far.
    fn source(&self, session: &Session) -> Source {
        let manifest = Document::create(self.family.convert(&MediaType::OciManifest), self.manifest.clone());
        Source::Made(Arc::new(MadeSource {
            shown: self.shown.clone(),
            top: ImageDocument::Manifest(manifest),
            new: BTreeMap::new(),
            stored: Some(session.store.clone()),
            parts: self.parts.clone(),
        }))
    }

    /// Writes the documents anew and the image to its place.
    async fn commit(self, session: &Session, to: &EditTarget, step: StepId) -> Result<Descriptor, ToolError> {
        let config = Document::create(self.family.convert(&MediaType::OciConfig), self.config);
        let media_type = self.family.convert(&MediaType::OciManifest);
        let manifest = Manifest {
            media_type: Some(media_type.clone()),
            config: config.descriptor().clone(),
            ..self.manifest
        };
        let manifest = Document::create(media_type, manifest);
        let made = MadeSource {
            shown: self.shown,
            top: ImageDocument::Manifest(manifest.clone()),
            new: BTreeMap::from([(config.descriptor().digest.clone(), config.raw().clone())]),
            stored: Some(session.store.clone()),
            parts: self.parts,
        };
        let source = Source::Made(Arc::new(made));
        let content = Content::of(&source, None).await?;
        let to = match to {
            EditTarget::Place(place) => place.clone(),
            EditTarget::ByDigest(repository) => {
                Place::Registry(repository.with_digest(manifest.descriptor().digest.clone()))
            }
        };
        write(session, &source, &content, &to, step).await?;
        Ok(manifest.descriptor().clone())
    }
}
