//! Encrypting and decrypting the layers of an image on its way: the one change of documents that a copy
//! makes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use oci::{Descriptor, Digest, Document, ImageDocument, Index, Manifest, MediaType};

use super::content::Content;
use super::error::PlaceError;
use super::made::MadeSource;
use super::made_of::made_of;
use super::source::Source;
use crate::Session;
use crate::encryption::{self, DecryptionKey, RecipientKey};
use crate::event::StepId;
use crate::worker::{Permit, blocking};

/// What becomes of layers on their way.
#[derive(Clone, Debug, Default)]
pub enum LayerCrypt {
    /// Nothing.
    #[default]
    Keep,
    /// They are encrypted for all of these recipients.
    Encrypt(Vec<RecipientKey>, LayerChoice),
    /// Those that are encrypted are decrypted by one of these keys.
    Decrypt(Vec<DecryptionKey>),
}

/// Which layers of a manifest are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerChoice {
    /// All of them.
    All,
    /// Those at these positions; negative ones count from the end.
    At(Vec<i64>),
}

impl LayerChoice {
    fn positions(&self, count: usize) -> Result<BTreeSet<usize>, String> {
        let Self::At(chosen) = self else { return Ok((0..count).collect()) };
        let end = i64::try_from(count).unwrap_or(i64::MAX);
        let position = |at: &i64| {
            let place = if *at < 0 { end + at } else { *at };
            let place = usize::try_from(place).ok().filter(|place| *place < count);
            place.ok_or_else(|| format!("it has {count} layers, and none is number {at}"))
        };
        chosen.iter().map(position).collect()
    }
}

/// The image with other layers: new documents and blobs over those that stay.
pub(super) async fn changed(
    session: &Session,
    source: &Source,
    content: Content,
    crypt: &LayerCrypt,
    step: StepId,
) -> Result<(Source, Content), PlaceError> {
    let mut work = Work { session, source, crypt, step, blobs: BTreeMap::new(), documents: BTreeMap::new() };
    let of: BTreeMap<Digest, ImageDocument> =
        content.documents().map(|one| (one.descriptor().digest.clone(), one.clone())).collect();
    let top = work.document(&content.top, &of).await?;
    let new = work.documents.values();
    let new = new.map(|one| (one.descriptor().digest.clone(), one.raw().clone())).collect();
    let made = Source::Made(Arc::new(MadeSource {
        shown: source.shown(),
        top,
        new,
        stored: Some(session.store.clone()),
        parts: vec![source.clone()],
    }));
    let content = Content::of(&made, None).await?;
    Ok((made, content))
}

struct Work<'a> {
    session: &'a Session,
    source: &'a Source,
    crypt: &'a LayerCrypt,
    step: StepId,
    /// Layers that were changed.
    blobs: BTreeMap<Digest, Descriptor>,
    /// Documents that were changed or looked at, by their old digest.
    documents: BTreeMap<Digest, ImageDocument>,
}

impl Work<'_> {
    fn document<'b>(
        &'b mut self,
        old: &'b ImageDocument,
        of: &'b BTreeMap<Digest, ImageDocument>,
    ) -> BoxFuture<'b, Result<ImageDocument, PlaceError>> {
        async move {
            let digest = &old.descriptor().digest;
            if let Some(known) = self.documents.get(digest) {
                return Ok(known.clone());
            }
            let new = match old {
                ImageDocument::Manifest(manifest) => self.manifest(manifest).await?,
                ImageDocument::Index(index) => self.index(index, of).await?,
            };
            self.documents.insert(digest.clone(), new.clone());
            Ok(new)
        }
        .boxed()
    }

    async fn index(
        &mut self,
        old: &Document<Index>,
        of: &BTreeMap<Digest, ImageDocument>,
    ) -> Result<ImageDocument, PlaceError> {
        let mut index = old.parsed().clone();
        for entry in &mut index.manifests {
            let Some(below) = of.get(&entry.digest) else { continue };
            let new = self.document(below, of).await?.descriptor().clone();
            (entry.media_type, entry.digest, entry.size) = (new.media_type, new.digest, new.size);
        }
        if index == *old.parsed() {
            return Ok(ImageDocument::Index(old.clone()));
        }
        // Statements about the image name digests that it no longer has.
        index.media_type = Some(MediaType::OciIndex);
        Ok(ImageDocument::Index(Document::create(MediaType::OciIndex, index)))
    }

    async fn manifest(&mut self, old: &Document<Manifest>) -> Result<ImageDocument, PlaceError> {
        let mut manifest = old.parsed().clone();
        let keep = Ok(ImageDocument::Manifest(old.clone()));
        if !manifest.config.media_type.is_config() || manifest.layers.iter().all(is_no_layer) {
            return keep;
        }
        let refused = |reason| PlaceError::refused(self.source.shown(), reason);
        let chosen: BTreeSet<usize> = match self.crypt {
            LayerCrypt::Keep => return keep,
            LayerCrypt::Encrypt(_, choice) => choice.positions(manifest.layers.len()).map_err(refused)?,
            LayerCrypt::Decrypt(_) => (0..manifest.layers.len())
                .filter(|at| encryption::is_encrypted(&manifest.layers[*at]))
                .collect(),
        };
        if chosen.is_empty() {
            return keep;
        }
        for at in chosen {
            manifest.layers[at] = self.layer(&manifest.layers[at].clone()).await?;
        }
        for layer in &mut manifest.layers {
            layer.media_type = layer.media_type.to_oci();
        }
        manifest.config.media_type = manifest.config.media_type.to_oci();
        manifest.media_type = Some(MediaType::OciManifest);
        Ok(ImageDocument::Manifest(Document::create(MediaType::OciManifest, manifest)))
    }

    /// One layer, changed into the store. Images that share it share what it becomes.
    async fn layer(&mut self, old: &Descriptor) -> Result<Descriptor, PlaceError> {
        if let Some(known) = self.blobs.get(&old.digest) {
            return Ok(known.clone());
        }
        let lease = self.session.lease.clone();
        let layer = old.clone();
        let new = match self.crypt {
            LayerCrypt::Keep => layer,
            LayerCrypt::Encrypt(recipients, _) => {
                let recipients = recipients.clone();
                let make = move |from| encryption::encrypt(&lease, &layer, from, &recipients);
                made_of(self.session, self.source, old, self.step, make).await??
            }
            LayerCrypt::Decrypt(keys) => {
                let keys = keys.clone();
                let secret = blocking(Permit::free(), move || encryption::opened(&layer, &keys)).await?;
                let (layer, plain) = (old.clone(), secret.plain.clone());
                if !self.session.store.has_blob(&plain) {
                    let make = move |from| encryption::decrypt(&lease, &layer, from, &secret);
                    made_of(self.session, self.source, old, self.step, make).await??;
                }
                plain
            }
        };
        self.blobs.insert(old.digest.clone(), new.clone());
        Ok(new)
    }
}

/// Layers of artifacts and attestations are files of other kinds.
fn is_no_layer(layer: &Descriptor) -> bool {
    !layer.media_type.is_layer() && !encryption::is_encrypted(layer)
}
