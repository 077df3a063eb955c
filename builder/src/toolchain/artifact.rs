//! Artifacts: pushing and fetching them, attaching them to images, and finding them again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use oci::{Descriptor, Digest, Document, ImageDocument, Manifest, MediaType};
use serde_json::{Map, json};

use super::error::ToolError;
use super::place::{Content, MadeSource, Place, PlaceError, Source, empty_config, write};
use crate::Session;
use crate::event::StepId;
use crate::request::CompressionChoice;
use crate::worker::{Permit, blocking};

pub(super) const TITLE: &str = "org.opencontainers.image.title";
/// What a file is where nothing is said.
const BYTES: &str = "application/octet-stream";
/// What a config is where nothing is said.
const UNKNOWN_CONFIG: &str = "application/vnd.unknown.config.v1+json";
/// Referrers of referrers deeper than this are not followed.
const DEEPEST: usize = 8;

/// A file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its media type, where that is known.
    pub media_type: Option<String>,
    /// Annotations of its entry. A title among them counts.
    pub annotations: BTreeMap<String, String>,
}

/// An artifact to push or attach.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// What kind it is, a media type; where absent, it is of the kind of its config.
    pub artifact_type: Option<String>,
    /// Its config, which has no title; where absent, it has the empty one.
    pub config: Option<ArtifactFile>,
    /// Its files.
    pub files: Vec<ArtifactFile>,
    /// Annotations of its manifest.
    pub annotations: BTreeMap<String, String>,
}

/// Attaches an artifact to what a place stands for, in that place. Its own descriptor is returned.
pub async fn attach(
    session: &Session,
    subject: &Place,
    artifact: &Artifact,
    step: StepId,
) -> Result<Descriptor, ToolError> {
    let source = Source::open(session, subject, CompressionChoice::default()).await?;
    keep_subject(session, &source, subject, step).await?;
    let (manifest, new) = manifest(session, artifact, Some(source.top().descriptor())).await?;
    Ok(write_referrer(session, (&source, subject), manifest, new, step).await?)
}

/// An image of the store that was packed for being read keeps the manifest that something is to refer to.
pub(super) async fn keep_subject(
    session: &Session,
    source: &Source,
    place: &Place,
    step: StepId,
) -> Result<(), PlaceError> {
    if let Source::Store(stored) = source
        && stored.is_packed_anew()
    {
        let content = Content::of(source, None).await?;
        write(session, source, &content, place, step).await?;
    }
    Ok(())
}

/// Writes an artifact that refers to nothing to a place, under the name that the place has. Its descriptor is
/// returned.
pub async fn push_artifact(
    session: &Session,
    to: &Place,
    artifact: &Artifact,
    step: StepId,
) -> Result<Descriptor, ToolError> {
    let (manifest, new) = manifest(session, artifact, None).await?;
    let descriptor = manifest.descriptor().clone();
    let made = Source::Made(Arc::new(MadeSource {
        shown: to.to_string(),
        top: ImageDocument::Manifest(manifest),
        new,
        stored: Some(session.store.clone()),
        parts: Vec::new(),
    }));
    let content = Content::of(&made, None).await?;
    write(session, &made, &content, to, step).await?;
    Ok(descriptor)
}

/// The manifest of an artifact, whose files are taken into the store, and its small blobs.
async fn manifest(
    session: &Session,
    artifact: &Artifact,
    subject: Option<&Descriptor>,
) -> Result<(Document<Manifest>, BTreeMap<Digest, Bytes>), ToolError> {
    let (empty, raw) = empty_config();
    let config = match &artifact.config {
        Some(given) => file(session, given, UNKNOWN_CONFIG).await?,
        None => empty.clone(),
    };
    let mut layers = Vec::new();
    for given in &artifact.files {
        let mut layer = file(session, given, BYTES).await?;
        let title = layer.annotations.entry(TITLE.to_owned()).or_insert_with(|| title(&given.path));
        if layers.iter().any(|other: &Descriptor| other.annotations.get(TITLE) == Some(title)) {
            return Err(PlaceError::refused(given.path.display(), "another file has the same title").into());
        }
        layers.push(layer);
    }
    if layers.is_empty() {
        layers.push(empty.clone());
    }
    let mut other = Map::new();
    if let Some(kind) = &artifact.artifact_type {
        other.insert("artifactType".to_owned(), json!(kind));
    }
    if let Some(subject) = subject {
        other.insert("subject".to_owned(), json!(plain(subject)));
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OciManifest),
        config,
        layers,
        annotations: artifact.annotations.clone(),
        other,
    };
    Ok((Document::create(MediaType::OciManifest, manifest), BTreeMap::from([(empty.digest, raw)])))
}

/// Writes a manifest that refers to what a place stands for into that place, under its own digest.
pub(super) async fn write_referrer(
    session: &Session,
    (source, subject): (&Source, &Place),
    manifest: Document<Manifest>,
    new: BTreeMap<Digest, Bytes>,
    step: StepId,
) -> Result<Descriptor, PlaceError> {
    let descriptor = manifest.descriptor().clone();
    let made = Source::Made(Arc::new(MadeSource {
        shown: subject.to_string(),
        top: ImageDocument::Manifest(manifest),
        new,
        stored: Some(session.store.clone()),
        parts: Vec::new(),
    }));
    let content = Content::of(&made, None).await?;
    let own = |name: &oci::Reference| name.repository().with_digest(descriptor.digest.clone());
    match subject {
        Place::Registry(name) => {
            write(session, &made, &content, &Place::Registry(own(name)), step).await?;
        }
        Place::Store(name) => {
            write(session, &made, &content, &Place::Store(own(name)), step).await?;
        }
        Place::Layout { .. } => {
            // The subject stays; the artifact gets an entry without a tag.
            let content = Content {
                top: source.top().clone(),
                below: Vec::new(),
                referrers: vec![content.top],
                blobs: content.blobs,
            };
            write(session, &made, &content, subject, step).await?;
        }
        Place::Either(name) => return Err(PlaceError::Ambiguous { name: name.familiar() }),
        Place::LayoutArchive { .. } | Place::DockerArchive { .. } | Place::Directory(_) => {
            let reason = "nothing can be attached in it; copy it to a registry, the store or a layout";
            return Err(PlaceError::refused(subject, reason));
        }
    }
    Ok(descriptor)
}

/// Media type, digest and size alone.
fn plain(descriptor: &Descriptor) -> Descriptor {
    Descriptor::new(descriptor.media_type.clone(), descriptor.digest.clone(), descriptor.size)
}

/// Takes a file into the store; its entry.
async fn file(session: &Session, given: &ArtifactFile, kind: &str) -> Result<Descriptor, ToolError> {
    let (lease, given, kind) = (session.lease.clone(), given.clone(), kind.to_owned());
    blocking(Permit::free(), move || {
        let failed = |source| PlaceError::Io { path: given.path.clone(), source };
        let mut file = std::fs::File::open(&given.path).map_err(failed)?;
        let mut writer = lease.blob()?;
        std::io::copy(&mut file, &mut writer).map_err(failed)?;
        let (digest, size) = writer.commit()?;
        let kind = given.media_type.as_deref().unwrap_or(&kind);
        let mut layer = Descriptor::new(MediaType::from(kind), digest, size);
        layer.annotations = given.annotations;
        Ok(layer)
    })
    .await
}

/// What a file is called: its path, where that leads below the directory we are in, else its name alone.
fn title(path: &Path) -> String {
    let below = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if path.components().all(|part| below(&part)) {
        let parts = path.components().filter(|part| *part != Component::CurDir);
        return parts.collect::<PathBuf>().to_string_lossy().into_owned();
    }
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What refers to a manifest, with what refers to that.
#[derive(Clone, Debug)]
pub struct Referrer {
    /// The entry, with artifact type and annotations.
    pub entry: Descriptor,
    /// What refers to it in turn.
    pub referrers: Vec<Referrer>,
}

/// What refers to the thing that a place stands for.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// That thing.
    pub subject: Descriptor,
    /// What refers to it; of one artifact type where one was named.
    pub referrers: Vec<Referrer>,
}

/// Finds what refers to an image.
pub async fn discover(
    session: &Session,
    place: &Place,
    artifact_type: Option<&str>,
) -> Result<Discovered, ToolError> {
    let source = Source::open(session, place, CompressionChoice::default()).await?;
    let subject = plain(source.top().descriptor());
    let mut seen = BTreeSet::new();
    let mut referrers = below(&source, &subject.digest, &mut seen, DEEPEST).await?;
    if let Some(wanted) = artifact_type {
        referrers.retain(|referrer| referrer.entry.artifact_type() == Some(wanted));
    }
    Ok(Discovered { subject, referrers })
}

fn below<'a>(
    source: &'a Source,
    subject: &'a Digest,
    seen: &'a mut BTreeSet<Digest>,
    depth: usize,
) -> BoxFuture<'a, Result<Vec<Referrer>, ToolError>> {
    async move {
        let mut found = Vec::new();
        for entry in source.referrers(subject).await? {
            if depth > 0 && seen.insert(entry.digest.clone()) {
                let referrers = below(source, &entry.digest, seen, depth - 1).await?;
                found.push(Referrer { entry, referrers });
            }
        }
        Ok(found)
    }
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_paths_below_us_or_names() {
        for (path, expected) in
            [("a", "a"), ("./d/a", "d/a"), ("d/./a", "d/a"), ("/d/a", "a"), ("../a", "a"), ("d/../a", "a")]
        {
            assert_eq!(title(path.as_ref()), expected, "{path}");
        }
    }
}
