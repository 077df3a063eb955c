//! Manifests that come in, and deletion.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming as Body;
use hyper::header::{CONTENT_TYPE, HeaderName, LOCATION};
use hyper::{Request, StatusCode};
use layer_store::{Lease, Store, StoreError, StoredImage};
use oci::{Algorithm, Descriptor, Digest, ImageDocument, MediaType, Reference};

use super::Shared;
use super::answer::{Answer, Refused, empty, remark, with};
use super::documents::{Holders, holders};
use super::read::CONTENT_DIGEST;
use super::upload::SILENCE;
use crate::event::StepId;
use crate::image::ImageError;
use crate::toolchain::{Content, MadeSource, PlaceError, Source, stored_image};
use crate::worker::{Permit, blocking};

/// No manifest is larger.
const LARGEST: usize = 4 << 20;
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

impl Shared {
    /// Takes a manifest or index whose parts are all here. Under a tag it is an image of the store from
    /// now on, its layers unpacked; where they are not what manifest and config say of them, its bytes are
    /// kept, and a remark says why it will not run.
    pub(super) async fn put_manifest(
        &self,
        name: &Reference,
        request: Request<Body>,
    ) -> Result<Answer, Refused> {
        let invalid = |error: &dyn std::fmt::Display| Refused::bad("MANIFEST_INVALID", &error.to_string());
        let announced = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let announced = announced.map(MediaType::from_content_type);
        let raw = whole(request.into_body()).await?;
        let document =
            ImageDocument::parse(announced.as_ref(), raw.clone()).map_err(|error| invalid(&error))?;
        let digest = matching(name, &raw)?;
        let content = self.content(&document).await?;
        let (lease, own_raw, own_digest) = (self.session.lease.clone(), raw.clone(), digest.clone());
        blocking(Permit::free(), move || keep(&lease, &own_raw, &own_digest)).await.map_err(Refused::own)?;
        let mut unfit = None;
        let image = match name.digest() {
            // A part of an index, or an artifact: it is kept, and unpacked when a tag leads to it.
            Some(digest) => kept(Descriptor { digest: digest.clone(), ..document.descriptor().clone() }),
            None => match stored_image(&self.session, name, &content, StepId(0)).await {
                Ok(image) => image,
                // A registry keeps what is no image that could be unpacked, too, and gives it back as it came.
                Err(error) if is_unfit(&error) => {
                    unfit = Some(error);
                    kept(document.descriptor().clone())
                }
                Err(error) => return Err(Refused::own(error)),
            },
        };
        let (session, own_name) = (self.session.clone(), name.clone());
        let parts: Vec<Descriptor> = content.below.iter().map(|part| part.descriptor().clone()).collect();
        blocking(Permit::free(), move || {
            session.store.seal(&session.lease)?;
            session.store.tag(&own_name, &image)?;
            forget_parts(&session.store, &own_name, &parts)
        })
        .await
        .map_err(Refused::own)?;
        let location = format!("/v2/{}/manifests/{digest}", name.repository().familiar());
        let answer = with(empty(StatusCode::CREATED), LOCATION, &location);
        let answer = with(answer, CONTENT_DIGEST, &digest.to_string());
        let answer = match unfit {
            Some(error) => remark(answer, &format!("kept, but not as an image that can run: {error}")),
            None => answer,
        };
        Ok(match document.subject() {
            Some(subject) => with(answer, SUBJECT, &subject.digest.to_string()),
            None => answer,
        })
    }

    /// Everything that a new document leads to, which must be here.
    async fn content(&self, document: &ImageDocument) -> Result<Content, Refused> {
        let descriptor = document.descriptor();
        let made = MadeSource {
            shown: descriptor.digest.to_string(),
            top: document.clone(),
            new: BTreeMap::from([(descriptor.digest.clone(), document.raw().clone())]),
            stored: Some(self.session.store.clone()),
            parts: Vec::new(),
        };
        let source = Source::Made(Arc::new(made));
        let unknown = |message: &str| Refused::not_found("MANIFEST_BLOB_UNKNOWN", message);
        let content = Content::of(&source, None).await.map_err(|error| unknown(&error.to_string()))?;
        let (store, blobs) = (self.session.store.clone(), content.blobs.clone());
        let missing =
            blocking(Permit::free(), move || blobs.into_iter().find(|blob| !store.has_blob(blob))).await;
        match missing {
            Some(blob) => Err(unknown(&format!("blob {} is not here", blob.digest))),
            None => Ok(content),
        }
    }

    /// Takes a tag away, or all names of a digest in its repository. Its blobs go when the store is
    /// pruned.
    pub(super) async fn delete_manifest(&self, name: &Reference) -> Result<Answer, Refused> {
        let (store, wanted) = (self.session.store.clone(), name.clone());
        let found = match name.digest() {
            None => Holders::Names(vec![name.clone()]),
            Some(_) => {
                blocking(Permit::free(), move || holders(&store, &wanted)).await.map_err(Refused::own)?
            }
        };
        let names = match found {
            Holders::Names(names) => names,
            Holders::Part(whole) => {
                return Err(Refused::denied(&format!("it is a part of {}", whole.familiar())));
            }
        };
        let store = self.session.store.clone();
        let gone = blocking(Permit::free(), move || {
            names.iter().try_fold(false, |gone, name| store.remove_image(name).map(|this| gone | this))
        });
        match gone.await.map_err(Refused::own)? {
            true => Ok(empty(StatusCode::ACCEPTED)),
            false => Err(Refused::not_found("MANIFEST_UNKNOWN", &format!("no manifest {}", name.familiar()))),
        }
    }
}

/// All of a manifest.
async fn whole(body: Body) -> Result<Bytes, Refused> {
    let silent = || Refused::bad("MANIFEST_INVALID", "the client was silent for too long");
    let read = tokio::time::timeout(SILENCE, Limited::new(body, LARGEST).collect());
    match read.await.map_err(|_| silent())? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Refused::too_large("MANIFEST_INVALID", "it is larger than any manifest"))
        }
        Err(error) => Err(Refused::bad("MANIFEST_INVALID", &error.to_string())),
    }
}

/// A name for a document alone.
fn kept(document: Descriptor) -> StoredImage {
    StoredImage { created: jiff::Timestamp::now().as_second(), index: Some(document), variants: Vec::new() }
}

/// Whether an image is not unpacked for what was sent, and not for a failure here.
fn is_unfit(error: &PlaceError) -> bool {
    let PlaceError::Image(error) = error else { return matches!(error, PlaceError::Document { .. }) };
    match error {
        ImageError::Document { .. } | ImageError::Uneven { .. } | ImageError::LayerType { .. } => true,
        ImageError::Unpack { source, .. } => matches!(
            source,
            StoreError::Mismatch { .. }
                | StoreError::Length { .. }
                | StoreError::Archive { .. }
                | StoreError::Stream { .. }
                | StoreError::Path { .. }
        ),
        ImageError::Registry(_)
        | ImageError::Store(_)
        | ImageError::NotStored { .. }
        | ImageError::Gone { .. }
        | ImageError::Layer { .. } => false,
    }
}

/// Keeps a document under its digest, by whatever hash function that is.
fn keep(lease: &Lease, raw: &Bytes, digest: &Digest) -> layer_store::Result<()> {
    lease.put_blob(raw)?;
    if digest.algorithm() == Algorithm::Sha256 {
        return Ok(());
    }
    let mut writer = lease.blob_of(digest.algorithm())?;
    let written = std::io::Write::write_all(&mut writer, raw);
    written.map_err(|source| layer_store::StoreError::Sink { source })?;
    writer.commit_as(&Descriptor::new(MediaType::OciManifest, digest.clone(), raw.len() as u64))
}

/// The digest of a manifest, which must be the one it is put under.
fn matching(name: &Reference, raw: &Bytes) -> Result<Digest, Refused> {
    let Some(wanted) = name.digest() else { return Ok(Digest::sha256(raw)) };
    match Digest::of(wanted.algorithm(), raw) {
        found if found == *wanted => Ok(found),
        found => Err(Refused::bad("DIGEST_INVALID", &format!("its digest is {found}"))),
    }
}

/// Parts that came under their digests need no names of their own any more.
fn forget_parts(store: &Store, name: &Reference, parts: &[Descriptor]) -> layer_store::Result<()> {
    for part in parts {
        store.untag(&name.repository().with_digest(part.digest.clone()))?;
    }
    Ok(())
}
