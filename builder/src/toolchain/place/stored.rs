//! An image of the store as a source.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use layer_store::{Store, StoredImage, StoredVariant};
use oci::{Descriptor, Digest, Document, ImageConfig, ImageDocument, Manifest, Reference};
use registry_client::{BoxedRead, Client};

use super::content::{DEEPEST, is_elsewhere};
use super::error::PlaceError;
use super::verified::Verified;
use crate::Session;
use crate::export::{AssembledImage, Style, assemble_index, pack_stored};
use crate::image::{find_document, stored_document};
use crate::request::CompressionChoice;
use crate::worker::{Permit, blocking};

/// An image of the store with all its documents. Cheap to clone.
#[derive(Clone)]
pub(crate) struct StoreSource {
    store: Store,
    client: Client,
    name: Reference,
    top: ImageDocument,
    /// Documents that were made for this source and are not in the store.
    made: BTreeMap<Digest, Bytes>,
}

impl StoreSource {
    /// Looks an image up, and packs what was never packed. `None`: there is none.
    pub(super) async fn open(
        session: &Session,
        name: &Reference,
        compression: CompressionChoice,
    ) -> Result<Option<Self>, PlaceError> {
        let (lease, wanted) = (session.lease.clone(), name.clone());
        let Some((image, whole)) = blocking(Permit::free(), move || {
            let Some(image) = lease.image(&wanted)? else { return Ok(None) };
            let whole = image.index.as_ref().and_then(|top| whole(lease.store(), top));
            Ok::<_, PlaceError>(Some((image, whole)))
        })
        .await?
        else {
            return Ok(None);
        };
        let (top, made) = match whole {
            Some(top) => (top, BTreeMap::new()),
            None => assembled(session, name, &image, compression).await?,
        };
        let (store, client) = (session.store.clone(), session.client.clone());
        Ok(Some(Self { store, client, name: name.clone(), top, made }))
    }

    /// Whether it was packed for being read, and the store does not know its manifest yet.
    pub(crate) fn is_packed_anew(&self) -> bool {
        !self.made.is_empty()
    }

    pub(super) fn name(&self) -> &Reference {
        &self.name
    }

    pub(super) fn top(&self) -> &ImageDocument {
        &self.top
    }

    /// The bytes of a document.
    pub(super) fn document(&self, entry: &Descriptor) -> Result<Bytes, PlaceError> {
        if let Some(made) = self.made.get(&entry.digest) {
            return Ok(made.clone());
        }
        let missing = || PlaceError::Missing { place: self.shown(), digest: entry.digest.clone() };
        find_document(&self.store, &entry.digest)?.ok_or_else(missing)
    }

    /// Opens a blob: the store's, else the one of the registry that the image came from.
    pub(super) async fn blob(&self, blob: &Descriptor) -> Result<BoxedRead, PlaceError> {
        if let Some(made) = self.made.get(&blob.digest) {
            return Ok(Box::new(std::io::Cursor::new(made.clone())));
        }
        let (store, wanted) = (self.store.clone(), blob.clone());
        let file = blocking(Permit::free(), move || match store.has_blob(&wanted) {
            true => store.open_blob(&wanted.digest),
            false => Ok(None),
        })
        .await?;
        match file {
            Some(file) => Ok(Box::new(Verified::new(Box::new(tokio::fs::File::from_std(file)), blob))),
            None => Ok(Box::new(self.client.blob(self.name.repository(), blob).await?)),
        }
    }

    /// Images of the same repository whose manifest refers to one.
    pub(super) fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, PlaceError> {
        referrers(&self.store, self.name.repository(), subject)
    }

    fn shown(&self) -> String {
        format!("store:{}", self.name.familiar())
    }
}

/// Manifests of a repository of the store that refer to one, parts of indexes included.
pub(crate) fn referrers(
    store: &Store,
    repository: &oci::Repository,
    subject: &Digest,
) -> Result<Vec<Descriptor>, PlaceError> {
    let mut search = Search { store, subject, seen: BTreeSet::new(), found: Vec::new() };
    for (name, image) in store.images()? {
        if name.repository() == repository {
            let variants = image.variants.iter().filter_map(|variant| variant.manifest.as_ref());
            for top in image.index.iter().chain(variants) {
                search.document(top, DEEPEST)?;
            }
        }
    }
    Ok(search.found)
}

/// Looks for what refers to a subject.
struct Search<'a> {
    store: &'a Store,
    subject: &'a Digest,
    seen: BTreeSet<Digest>,
    found: Vec<Descriptor>,
}

impl Search<'_> {
    /// Looks at a document that is in the store, and at what is below it.
    fn document(&mut self, entry: &Descriptor, depth: usize) -> Result<(), PlaceError> {
        if depth == 0 || !self.seen.insert(entry.digest.clone()) {
            return Ok(());
        }
        let Some(raw) = find_document(self.store, &entry.digest)? else { return Ok(()) };
        let Ok(document) = ImageDocument::parse(Some(&entry.media_type), raw) else { return Ok(()) };
        if document.subject().is_some_and(|other| other.digest == *self.subject) {
            // Under the digest that it is known by here, be it of another hash function.
            self.found.push(Descriptor { digest: entry.digest.clone(), ..document.as_referrer() });
        }
        match &document {
            ImageDocument::Index(index) => index
                .parsed()
                .manifests
                .iter()
                .filter(|below| below.media_type.is_manifest() || below.media_type.is_index())
                .try_for_each(|below| self.document(below, depth - 1)),
            ImageDocument::Manifest(_) => Ok(()),
        }
    }
}

/// The document under a descriptor, where everything it leads to is in the store.
fn whole(store: &Store, top: &Descriptor) -> Option<ImageDocument> {
    let raw = find_document(store, &top.digest).ok()??;
    let document = ImageDocument::parse(Some(&top.media_type), raw).ok()?;
    let is_here = |blob: &Descriptor| is_elsewhere(blob) || store.has_blob(blob);
    let all = match &document {
        ImageDocument::Index(index) => index.parsed().manifests.iter().all(|entry| {
            match entry.media_type.is_manifest() || entry.media_type.is_index() {
                true => whole(store, entry).is_some(),
                false => is_here(entry),
            }
        }),
        ImageDocument::Manifest(manifest) => {
            is_here(&manifest.parsed().config) && manifest.parsed().layers.iter().all(is_here)
        }
    };
    all.then_some(document)
}

type Made = (ImageDocument, BTreeMap<Digest, Bytes>);

/// The documents of the variants that are here, under an index where there are several.
async fn assembled(
    session: &Session,
    name: &Reference,
    image: &StoredImage,
    compression: CompressionChoice,
) -> Result<Made, PlaceError> {
    let mut images = Vec::with_capacity(image.variants.len());
    for variant in &image.variants {
        images.push(variant_of(session, name, variant, compression).await?);
    }
    let mut made = BTreeMap::new();
    for image in &images {
        made.insert(image.manifest.descriptor().digest.clone(), image.manifest.raw().clone());
        made.insert(image.config.descriptor().digest.clone(), image.config.raw().clone());
    }
    let top = match images.as_slice() {
        [] => {
            let reason = "its documents are not all in the store; pull it again";
            return Err(PlaceError::refused(format!("store:{}", name.familiar()), reason));
        }
        [only] => ImageDocument::Manifest(only.manifest.clone()),
        several => ImageDocument::Index(assemble_index(several, &[], &Style::PLAIN)),
    };
    Ok((top, made))
}

/// The documents of one variant: its own, or a manifest made now.
async fn variant_of(
    session: &Session,
    name: &Reference,
    variant: &StoredVariant,
    compression: CompressionChoice,
) -> Result<AssembledImage, PlaceError> {
    let (store, copy, wanted) = (session.store.clone(), variant.clone(), name.clone());
    let (config, manifest) = blocking(Permit::free(), move || {
        let config: Option<Document<ImageConfig>> = stored_document(&store, &wanted, &copy.config)?;
        let config = config.ok_or_else(|| PlaceError::NotStored { name: wanted.clone() })?;
        let manifest: Option<Document<Manifest>> = match &copy.manifest {
            Some(manifest) => stored_document(&store, &wanted, manifest)?,
            None => None,
        };
        Ok::<_, PlaceError>((config, manifest))
    })
    .await?;
    match manifest {
        Some(manifest) => {
            let (platform, annotations) = (variant.platform.clone(), BTreeMap::new());
            Ok(AssembledImage { platform, config, manifest, annotations })
        }
        None => Ok(pack_stored(session, variant, config, compression).await?),
    }
}
