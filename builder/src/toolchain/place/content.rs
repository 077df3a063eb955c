//! All that an image consists of.

use std::collections::BTreeSet;

use futures::FutureExt;
use futures::future::BoxFuture;
use oci::{Descriptor, Digest, ImageDocument, Manifest, MediaType, Platform};

use super::error::PlaceError;
use super::source::Source;

/// Indexes deeper than this are hostile.
pub(super) const DEEPEST: usize = 8;
/// Images with more documents than this are hostile.
const MOST: usize = 10_000;

/// All that an image consists of, in the order in which it can be written.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// What the image's name will stand for.
    pub top: ImageDocument,
    /// The documents below it, deepest first.
    pub below: Vec<ImageDocument>,
    /// What refers to it and to what is below it, each after what it refers to.
    pub referrers: Vec<ImageDocument>,
    /// Configs and layers of all of them, each once.
    pub blobs: Vec<Descriptor>,
}

/// Finds the parts of one image.
struct Walk<'a> {
    source: &'a Source,
    seen: BTreeSet<Digest>,
    documents: Vec<ImageDocument>,
    blobs: Vec<Descriptor>,
}

impl Content {
    /// Everything, or everything for one platform.
    pub(crate) async fn of(source: &Source, platform: Option<&Platform>) -> Result<Self, PlaceError> {
        let top = match platform {
            Some(platform) => source.for_platform(platform).await?,
            None => source.top().clone(),
        };
        let mut walk = Walk::new(source);
        walk.document(top.clone(), DEEPEST).await?;
        walk.documents.pop();
        Ok(Self { top, below: walk.documents, referrers: Vec::new(), blobs: walk.blobs })
    }

    /// The same with all that refers to it, and to that.
    pub(crate) async fn with_referrers(mut self, source: &Source) -> Result<Self, PlaceError> {
        let mut walk = Walk::new(source);
        walk.seen = self.blobs.iter().map(|blob| blob.digest.clone()).collect();
        walk.seen.extend(self.documents().map(|document| document.descriptor().digest.clone()));
        let mut subjects: Vec<Digest> =
            self.documents().map(|document| document.descriptor().digest.clone()).collect();
        while let Some(subject) = subjects.pop() {
            for entry in source.referrers(&subject).await? {
                if !walk.seen.contains(&entry.digest) {
                    subjects.push(entry.digest.clone());
                    walk.entry(&entry, DEEPEST).await?;
                }
            }
        }
        self.blobs.append(&mut walk.blobs);
        self.referrers = walk.documents;
        Ok(self)
    }

    /// The top and what is below it.
    pub(crate) fn documents(&self) -> impl Iterator<Item = &ImageDocument> {
        self.below.iter().chain(std::iter::once(&self.top))
    }

    /// The manifests of single images.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = &oci::Document<Manifest>> {
        self.documents().filter_map(|document| match document {
            ImageDocument::Manifest(manifest) => Some(manifest),
            ImageDocument::Index(_) => None,
        })
    }
}

impl<'a> Walk<'a> {
    fn new(source: &'a Source) -> Self {
        Self { source, seen: BTreeSet::new(), documents: Vec::new(), blobs: Vec::new() }
    }

    fn entry<'b>(&'b mut self, entry: &'b Descriptor, depth: usize) -> BoxFuture<'b, Result<(), PlaceError>> {
        async move {
            if self.seen.contains(&entry.digest) {
                return Ok(());
            }
            if !(entry.media_type.is_manifest() || entry.media_type.is_index()) {
                self.blob(entry);
                return Ok(());
            }
            let document = self.source.document(entry).await?;
            self.document(document, depth).await
        }
        .boxed()
    }

    async fn document(&mut self, document: ImageDocument, depth: usize) -> Result<(), PlaceError> {
        if depth == 0 || self.documents.len() > MOST {
            let reason = "indexes within indexes without end";
            return Err(PlaceError::refused(self.source.shown(), reason));
        }
        self.seen.insert(document.descriptor().digest.clone());
        match &document {
            ImageDocument::Index(index) => {
                for entry in &index.parsed().manifests {
                    self.entry(entry, depth - 1).await?;
                }
            }
            ImageDocument::Manifest(manifest) => {
                self.blob(&manifest.parsed().config);
                manifest.parsed().layers.iter().for_each(|layer| self.blob(layer));
            }
        }
        self.documents.push(document);
        Ok(())
    }

    fn blob(&mut self, blob: &Descriptor) {
        if !is_elsewhere(blob) && self.seen.insert(blob.digest.clone()) {
            self.blobs.push(blob.clone());
        }
    }
}

/// Foreign layers stay where their URLs say; no registry has them.
pub(super) fn is_elsewhere(blob: &Descriptor) -> bool {
    let foreign = matches!(blob.media_type, MediaType::DockerForeignLayer(_) | MediaType::OciForeignLayer(_));
    foreign && blob.other.get("urls").and_then(|urls| urls.as_array()).is_some_and(|urls| !urls.is_empty())
}
