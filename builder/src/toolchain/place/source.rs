//! A place opened for reading.

use std::io;

use bytes::Bytes;
use futures::FutureExt;
use oci::{Descriptor, Digest, DocumentError, ImageDocument, Platform, Reference, Repository};
use registry_client::{BlobSource, BoxedRead, Client};
use tokio_util::io::InspectReader;

use super::error::PlaceError;
use super::files::FileSource;
use super::made::MadeSource;
use super::name::Place;
use super::stored::StoreSource;
use super::verified::Verified;
use crate::Session;
use crate::event::StepId;
use crate::image::{Progress, short};
use crate::request::CompressionChoice;
use crate::worker::{Permit, blocking};

/// A place opened for reading. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Source {
    /// A registry's image.
    Registry {
        /// The client.
        client: Client,
        /// Its name.
        name: Reference,
        /// What the name stood for when it was opened.
        top: ImageDocument,
    },
    /// An image of the store.
    Store(StoreSource),
    /// Files of any form.
    Files(std::sync::Arc<FileSource>),
    /// New documents over other sources.
    Made(std::sync::Arc<MadeSource>),
}

impl Source {
    /// Opens a place. Layers of a store's image that were never packed are packed now, as
    /// `compression` says.
    pub(crate) async fn open(
        session: &Session,
        place: &Place,
        compression: CompressionChoice,
    ) -> Result<Self, PlaceError> {
        match place {
            Place::Registry(name) => Self::registry(session, name).await,
            Place::Store(name) => {
                let found = StoreSource::open(session, name, compression).await?;
                found.map(Source::Store).ok_or_else(|| PlaceError::NotStored { name: name.clone() })
            }
            Place::Either(name) => match StoreSource::open(session, name, compression).await? {
                Some(stored) => Ok(Source::Store(stored)),
                None => Self::registry(session, name).await,
            },
            Place::Layout { .. }
            | Place::LayoutArchive { .. }
            | Place::DockerArchive { .. }
            | Place::Directory(_) => {
                let (place, lease) = (place.clone(), session.lease.clone());
                let files = blocking(Permit::free(), move || FileSource::open(&place, &lease)).await?;
                Ok(Source::Files(std::sync::Arc::new(files)))
            }
        }
    }

    async fn registry(session: &Session, name: &Reference) -> Result<Self, PlaceError> {
        let top = session.client.image_document(name).await?;
        Ok(Source::Registry { client: session.client.clone(), name: name.clone(), top })
    }

    /// How people know it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Source::Registry { name, .. } => Place::Registry(name.clone()).to_string(),
            Source::Store(stored) => Place::Store(stored.name().clone()).to_string(),
            Source::Files(files) => files.shown().to_owned(),
            Source::Made(made) => made.shown.clone(),
        }
    }

    /// The manifest or index that the name stands for.
    pub(crate) fn top(&self) -> &ImageDocument {
        match self {
            Source::Registry { top, .. } => top,
            Source::Store(stored) => stored.top(),
            Source::Files(files) => files.top(),
            Source::Made(made) => &made.top,
        }
    }

    /// A manifest or index that another one names.
    pub(crate) async fn document(&self, entry: &Descriptor) -> Result<ImageDocument, PlaceError> {
        if self.top().descriptor().digest == entry.digest {
            return Ok(self.top().clone());
        }
        let raw = match self {
            Source::Registry { client, name, .. } => {
                client.manifest(name.repository(), &entry.digest).await?.1
            }
            Source::Store(stored) => {
                let (stored, wanted) = (stored.clone(), entry.clone());
                blocking(Permit::free(), move || stored.document(&wanted)).await?
            }
            Source::Files(files) => {
                let (files, wanted) = (std::sync::Arc::clone(files), entry.clone());
                blocking(Permit::free(), move || files.document(&wanted)).await?
            }
            Source::Made(made) => Box::pin(made.document(entry)).await?,
        };
        parse(&self.shown(), entry, raw)
    }

    /// Opens a blob. What is read to its end is what the descriptor promises.
    pub(crate) async fn blob(&self, blob: &Descriptor) -> Result<BoxedRead, PlaceError> {
        match self {
            Source::Registry { client, name, .. } => {
                Ok(Box::new(client.blob(name.repository(), blob).await?))
            }
            Source::Store(stored) => stored.blob(blob).await,
            Source::Files(files) => {
                let reader = files.blob(blob).await?;
                Ok(Box::new(Verified::new(reader, blob)))
            }
            Source::Made(made) => Box::pin(made.blob(blob)).await,
        }
    }

    /// A blob that tells of its progress.
    pub(super) async fn told_blob(
        &self,
        session: &Session,
        blob: &Descriptor,
        step: StepId,
    ) -> Result<BoxedRead, PlaceError> {
        Ok(told(self.blob(blob).await?, 0, session, blob, step))
    }

    /// A blob as the body of an upload; it is opened when the registry wants it, and again for each try.
    pub(super) fn upload(&self, session: &Session, blob: &Descriptor, step: StepId) -> BlobSource {
        let (source, session, blob) = (self.clone(), session.clone(), blob.clone());
        if let Some(repository) = self.origin(&blob).cloned() {
            let client = session.client.clone();
            return BlobSource::at(move |offset| {
                let (source, session, blob) = (source.clone(), session.clone(), blob.clone());
                let (client, repository) = (client.clone(), repository.clone());
                async move {
                    if offset == 0 {
                        return source.told_blob(&session, &blob, step).await.map_err(io::Error::other);
                    }
                    // What the target has is not fetched again. The target holds all of it against the digest.
                    let rest = client.blob_range(&repository, &blob, offset..blob.size).await;
                    let rest = rest.map_err(io::Error::other)?;
                    Ok(told(Box::new(rest), offset, &session, &blob, step))
                }
                .boxed()
            });
        }
        BlobSource::new(move || {
            let (source, session, blob) = (source.clone(), session.clone(), blob.clone());
            async move { source.told_blob(&session, &blob, step).await.map_err(io::Error::other) }.boxed()
        })
    }

    /// The repository that a blob comes from, where it is a registry's and that is known beforehand.
    pub(super) fn origin(&self, blob: &Descriptor) -> Option<&Repository> {
        match self {
            Source::Registry { name, .. } => Some(name.repository()),
            Source::Store(_) | Source::Files(_) => None,
            Source::Made(made) => made.origin(blob),
        }
    }

    /// Where a registry could take blobs from by itself.
    pub(super) fn repositories(&self) -> Vec<Repository> {
        match self {
            Source::Registry { name, .. } => vec![name.repository().clone()],
            Source::Store(stored) => vec![stored.name().repository().clone()],
            Source::Files(_) => Vec::new(),
            Source::Made(made) => made.parts.iter().flat_map(Source::repositories).collect(),
        }
    }

    /// Manifests that refer to one of this image.
    pub(crate) async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, PlaceError> {
        match self {
            Source::Registry { client, name, .. } => {
                Ok(client.referrers(name.repository(), subject, None).await?)
            }
            Source::Store(stored) => {
                let (stored, subject) = (stored.clone(), subject.clone());
                blocking(Permit::free(), move || stored.referrers(&subject)).await
            }
            Source::Files(files) => {
                let (files, subject) = (std::sync::Arc::clone(files), subject.clone());
                blocking(Permit::free(), move || files.referrers(&subject)).await
            }
            Source::Made(made) => {
                let mut all = Vec::new();
                for part in &made.parts {
                    all.extend(Box::pin(part.referrers(subject)).await?);
                }
                Ok(all)
            }
        }
    }

    /// The entry for a platform, through indexes within indexes; the top itself where it is no index.
    pub(crate) async fn for_platform(&self, platform: &Platform) -> Result<ImageDocument, PlaceError> {
        const DEEPEST: usize = 4;
        let mut document = self.top().clone();
        for _ in 0..DEEPEST {
            let ImageDocument::Index(index) = &document else { return Ok(document) };
            let entries = &index.parsed().manifests;
            let chosen = platform.choose(entries).and_then(|at| entries.get(at)).cloned();
            let chosen = chosen
                .ok_or_else(|| PlaceError::NoPlatform { place: self.shown(), platform: platform.clone() })?;
            document = self.document(&chosen).await?;
        }
        Err(PlaceError::refused(self.shown(), "indexes within indexes without end"))
    }
}

/// A reader that tells of its progress, from an offset on.
fn told(reader: BoxedRead, offset: u64, session: &Session, blob: &Descriptor, step: StepId) -> BoxedRead {
    let mut progress = Progress::new(session.events.clone(), step, short(&blob.digest), Some(blob.size));
    progress.add(offset);
    Box::new(InspectReader::new(reader, move |bytes: &[u8]| progress.add(bytes.len() as u64)))
}

/// A document that must be what its entry promises.
pub(super) fn parse(place: &str, entry: &Descriptor, raw: Bytes) -> Result<ImageDocument, PlaceError> {
    let bad = |source| PlaceError::Document { place: place.to_owned(), source };
    let (actual, size) = (Digest::of(entry.digest.algorithm(), &raw), raw.len() as u64);
    if actual != entry.digest || size != entry.size {
        return Err(bad(DocumentError::Mismatch { expected: entry.digest.clone(), actual, size }));
    }
    ImageDocument::parse(Some(&entry.media_type), raw).map_err(bad)
}
