//! Where a cache lies: a name in a registry, or entries of an OCI layout.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use futures::StreamExt;
use oci::{Descriptor, Digest, ImageDocument, Reference};

use super::directory;
use super::document::PART_TYPE;
use super::error::CacheError;
use super::registry;
use super::request::{CacheDestination, CacheSource, Pick};
use crate::Session;
use crate::event::StepId;
use crate::image::ensure_blob;
use crate::worker::{Permit, blocking};

/// No document of a cache is longer than this while it is packed.
const LARGEST: u64 = 32 << 20;

/// Where a cache lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// In a registry.
    Registry(Reference),
    /// In a layout.
    Directory(PathBuf, Pick),
}

/// What stands under a place's name.
#[derive(Debug)]
pub(super) enum Top {
    /// One manifest.
    Manifest(ImageDocument),
    /// Several, the oldest first.
    Entries(Vec<Descriptor>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => f.write_str(&reference.familiar()),
            Self::Directory(path, _) => write!(f, "{}", path.display()),
        }
    }
}

impl From<&CacheSource> for Place {
    fn from(source: &CacheSource) -> Self {
        match source {
            CacheSource::Registry(reference) => Self::Registry(reference.clone()),
            CacheSource::Local { directory, pick } => Self::Directory(directory.clone(), pick.clone()),
        }
    }
}

impl Place {
    /// Where a destination lies; `None`: inside the image.
    pub(super) fn of(destination: &CacheDestination) -> Option<Self> {
        match destination {
            CacheDestination::Registry(reference) => Some(Self::Registry(reference.clone())),
            CacheDestination::Local { directory, tag, earlier: _ } => {
                Some(Self::Directory(directory.clone(), Pick::Tag(tag.clone())))
            }
            CacheDestination::Inline => None,
        }
    }

    /// What stands under the name now.
    pub(super) async fn top(&self, session: &Session) -> Result<Top, CacheError> {
        match self {
            Self::Registry(reference) => match session.client.image_document(reference).await? {
                ImageDocument::Index(index) => Ok(Top::Entries(index.into_parsed().manifests)),
                manifest @ ImageDocument::Manifest(_) => Ok(Top::Manifest(manifest)),
            },
            Self::Directory(path, pick) => {
                let (path, pick) = (path.clone(), pick.clone());
                Ok(Top::Entries(blocking(Permit::free(), move || directory::entries(&path, &pick)).await?))
            }
        }
    }

    /// A manifest or index of the place.
    pub(super) async fn document(
        &self,
        session: &Session,
        entry: &Descriptor,
    ) -> Result<ImageDocument, CacheError> {
        let raw = match self {
            Self::Registry(reference) => {
                session.client.manifest(reference.repository(), &entry.digest).await?.1
            }
            Self::Directory(..) => self.small(session, entry).await?,
        };
        ImageDocument::parse(Some(&entry.media_type), raw)
            .map_err(|source| CacheError::Manifest { place: self.to_string(), source: Box::new(source) })
    }

    /// A document of the place that is a blob, verified.
    pub(super) async fn small(&self, session: &Session, blob: &Descriptor) -> Result<Bytes, CacheError> {
        if blob.size > LARGEST {
            let reason = format!("{} is longer than {LARGEST} bytes", blob.digest);
            return Err(CacheError::Part { place: self.to_string(), reason });
        }
        match self {
            Self::Registry(reference) => {
                let mut stream = session.client.blob(reference.repository(), blob).await?.into_stream();
                let mut bytes = Vec::new();
                while let Some(piece) = stream.next().await {
                    let piece = piece.map_err(|error| {
                        let reason = format!("{}: {error}", blob.digest);
                        CacheError::Part { place: self.to_string(), reason }
                    })?;
                    bytes.extend_from_slice(&piece);
                }
                Ok(bytes.into())
            }
            Self::Directory(path, _) => {
                let (path, blob) = (path.clone(), blob.clone());
                blocking(Permit::free(), move || directory::read(&path, &blob)).await
            }
        }
    }

    /// Brings a blob into this store, verified.
    pub(super) async fn fetch(
        &self,
        session: &Session,
        blob: &Descriptor,
        step: StepId,
    ) -> Result<(), CacheError> {
        match self {
            Self::Registry(reference) => Ok(ensure_blob(session, reference.repository(), blob, step).await?),
            Self::Directory(path, _) => {
                let (path, blob, lease) = (path.clone(), blob.clone(), session.lease.clone());
                blocking(Permit::free(), move || directory::fetch(&lease, &path, &blob)).await
            }
        }
    }

    /// Puts a small document there.
    pub(super) async fn put_small(
        &self,
        session: &Session,
        blob: &Descriptor,
        bytes: Bytes,
    ) -> Result<(), CacheError> {
        match self {
            Self::Registry(reference) => registry::put_small(session, reference, blob, bytes).await,
            Self::Directory(path, _) => {
                let (path, blob) = (path.clone(), blob.clone());
                blocking(Permit::free(), move || directory::put(&path, &blob, &mut bytes.as_ref())).await
            }
        }
    }

    /// Puts a blob of this store there, or one that `from` has.
    pub(super) async fn put(
        &self,
        session: &Session,
        blob: &Descriptor,
        from: Option<&Place>,
        step: StepId,
    ) -> Result<(), CacheError> {
        match self {
            Self::Registry(reference) => registry::put(session, reference, blob, from, step).await,
            Self::Directory(path, _) => {
                if let Some(from) = from {
                    Box::pin(from.fetch(session, blob, step)).await?;
                }
                let (path, blob, store) = (path.clone(), blob.clone(), session.store.clone());
                blocking(Permit::free(), move || directory::put_stored(&path, &blob, &store)).await
            }
        }
    }

    /// Makes a part visible, whose manifest, config and layers are there, in place of `replaced` and
    /// beside all others.
    pub(super) async fn append(
        &self,
        session: &Session,
        part: &Descriptor,
        replaced: &[Digest],
    ) -> Result<(), CacheError> {
        match self {
            Self::Registry(reference) => registry::append(session, reference, part, replaced).await,
            Self::Directory(path, pick) => {
                let (path, pick, part) = (path.clone(), pick.clone(), part.clone());
                let replaced = replaced.to_vec();
                blocking(Permit::free(), move || directory::append(&path, &pick, &part, &replaced)).await
            }
        }
    }

    /// Puts the manifest of a part there, without making it visible.
    pub(super) async fn put_manifest(
        &self,
        session: &Session,
        part: &Descriptor,
        raw: Bytes,
    ) -> Result<(), CacheError> {
        match self {
            Self::Registry(reference) => {
                let name = reference.repository().with_digest(part.digest.clone());
                session.client.push_manifest(&name, &part.media_type, raw).await?;
                Ok(())
            }
            Self::Directory(..) => self.put_small(session, part, raw).await,
        }
    }
}

/// How a part is entered into an index.
pub(super) fn entry(part: &Descriptor) -> Descriptor {
    let mut entry = part.clone();
    entry.other.insert("artifactType".to_owned(), PART_TYPE.into());
    entry
}

/// Whether an entry of an index is a part.
pub(super) fn is_part(entry: &Descriptor) -> bool {
    entry.artifact_type() == Some(PART_TYPE)
}

/// The entries with a part, and without those that it replaces.
pub(super) fn with_part(
    entries: impl IntoIterator<Item = Descriptor>,
    part: &Descriptor,
    replaced: &[Digest],
) -> Vec<Descriptor> {
    let stays = |entry: &Descriptor| entry.digest != part.digest && !replaced.contains(&entry.digest);
    entries.into_iter().filter(stays).chain([part.clone()]).collect()
}
