//! Reading: manifests, blobs with ranges, tags, the catalogue, referrers.

use std::io::{Seek, SeekFrom};

use hyper::StatusCode;
use hyper::header::{ACCEPT_RANGES, CONTENT_RANGE, HeaderMap, HeaderName, LINK, RANGE};
use oci::{Descriptor, Digest, Document, ImageDocument, Index, MediaType, Reference, Repository};
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::Shared;
use super::answer::{Answer, Refused, bytes, json as json_answer, stream, with, with_status};
use super::documents::find;
use super::route::Page;
use crate::request::CompressionChoice;
use crate::toolchain::{Content, Place, PlaceError, Source, stored_referrers};
use crate::worker::{Permit, blocking};

pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

impl Shared {
    /// A manifest or index. An image that was never packed is packed now.
    pub(super) async fn manifest(&self, name: &Reference) -> Result<Answer, Refused> {
        let unknown = || Refused::not_found("MANIFEST_UNKNOWN", &format!("no manifest {}", name.familiar()));
        let document = match name.digest() {
            Some(_) => {
                let (store, wanted) = (self.session.store.clone(), name.clone());
                blocking(Permit::free(), move || find(&store, &wanted)).await.map_err(Refused::own)?
            }
            None => self.packed(name).await?,
        };
        let document = document.ok_or_else(unknown)?;
        let descriptor = document.descriptor();
        let digest = name.digest().unwrap_or(&descriptor.digest).to_string();
        Ok(with(bytes(document.raw().clone(), descriptor.media_type.as_str()), CONTENT_DIGEST, &digest))
    }

    /// The documents of an image of the store, all of them in the store from now on.
    async fn packed(&self, name: &Reference) -> Result<Option<ImageDocument>, Refused> {
        let place = Place::Store(name.clone());
        let source = match Source::open(&self.session, &place, CompressionChoice::default()).await {
            Ok(source) => source,
            Err(PlaceError::NotStored { .. }) => return Ok(None),
            Err(error) => return Err(Refused::own(error)),
        };
        let content = Content::of(&source, None).await.map_err(Refused::own)?;
        let lease = self.session.lease.clone();
        let documents: Vec<ImageDocument> = content.documents().cloned().collect();
        blocking(Permit::free(), move || {
            documents.iter().try_for_each(|document| lease.put_blob(document.raw()).map(drop))
        })
        .await
        .map_err(Refused::own)?;
        Ok(Some(content.top))
    }

    /// A blob, or a range of it.
    pub(super) async fn blob(&self, digest: &Digest, headers: &HeaderMap) -> Result<Answer, Refused> {
        let (store, wanted) = (self.session.store.clone(), digest.clone());
        let file = blocking(Permit::free(), move || store.open_blob(&wanted)).await.map_err(Refused::own)?;
        let unknown = || Refused::not_found("BLOB_UNKNOWN", &format!("no blob {digest}"));
        let mut file = file.ok_or_else(unknown)?;
        let size = file.metadata().map_err(Refused::own)?.len();
        let range =
            headers.get(RANGE).and_then(|range| range.to_str().ok()).and_then(|range| within(range, size));
        let (start, length) = match range {
            None => (0, size),
            Some(None) => {
                let refused = Refused::range("SIZE_INVALID", "the blob ends before that range").into_answer();
                return Ok(with(refused, CONTENT_RANGE, &format!("bytes */{size}")));
            }
            Some(Some((start, end))) => (start, end - start),
        };
        file.seek(SeekFrom::Start(start)).map_err(Refused::own)?;
        let answer = stream(tokio::fs::File::from_std(file).take(length), length);
        let answer = with(with(answer, CONTENT_DIGEST, &digest.to_string()), ACCEPT_RANGES, "bytes");
        match range {
            None => Ok(answer),
            Some(_) => {
                let range = format!("bytes {start}-{}/{size}", start + length - 1);
                Ok(with(with_status(answer, StatusCode::PARTIAL_CONTENT), CONTENT_RANGE, &range))
            }
        }
    }

    /// Tags of a repository.
    pub(super) async fn tags(&self, repository: &Repository, page: &Page) -> Result<Answer, Refused> {
        let names = self.names().await?;
        let ours: Vec<&Reference> = names.iter().filter(|name| name.repository() == repository).collect();
        if ours.is_empty() {
            return Err(Refused::not_found(
                "NAME_UNKNOWN",
                &format!("no repository {}", repository.familiar()),
            ));
        }
        let mut tags: Vec<String> = ours.iter().filter_map(|name| name.tag().map(str::to_owned)).collect();
        tags.sort();
        tags.dedup();
        let (tags, more) = page.cut(tags);
        let path = format!("/v2/{}/tags/list", repository.familiar());
        let next = tags.last().filter(|_| more).cloned();
        let answer = json_answer(&json!({"name": repository.familiar(), "tags": tags}));
        Ok(linked(answer, &path, page, next.as_deref()))
    }

    /// Repositories, as they are asked for here.
    pub(super) async fn catalogue(&self, page: &Page) -> Result<Answer, Refused> {
        let names = self.names().await?;
        let mut all: Vec<String> = names.iter().map(|name| name.repository().familiar()).collect();
        // A port cannot stand in a path.
        all.retain(|name| !name.contains(':'));
        all.sort();
        all.dedup();
        let (names, more) = page.cut(all);
        let next = names.last().filter(|_| more).cloned();
        Ok(linked(json_answer(&json!({"repositories": names})), "/v2/_catalog", page, next.as_deref()))
    }

    async fn names(&self) -> Result<Vec<Reference>, Refused> {
        let store = self.session.store.clone();
        let images = blocking(Permit::free(), move || store.images()).await.map_err(Refused::own)?;
        Ok(images.into_iter().map(|(name, _)| name).collect())
    }

    /// What refers to a manifest.
    pub(super) async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        kind: Option<&str>,
    ) -> Result<Answer, Refused> {
        let (store, repository, subject) = (self.session.store.clone(), repository.clone(), subject.clone());
        let found = blocking(Permit::free(), move || stored_referrers(&store, &repository, &subject)).await;
        let mut manifests: Vec<Descriptor> = found.map_err(Refused::own)?;
        manifests.retain(|entry| kind.is_none() || entry.artifact_type() == kind);
        let index = Document::create(MediaType::OciIndex, Index::of(manifests));
        let answer = bytes(index.raw().clone(), MediaType::OciIndex.as_str());
        Ok(if kind.is_some() { with(answer, FILTERS, "artifactType") } else { answer })
    }
}

fn linked(answer: Answer, path: &str, page: &Page, next: Option<&str>) -> Answer {
    match (next, page.count) {
        (Some(last), Some(count)) => {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("n", &count.to_string())
                .append_pair("last", last)
                .finish();
            with(answer, LINK, &format!("<{path}?{query}>; rel=\"next\""))
        }
        (Some(_) | None, _) => answer,
    }
}

/// One range of bytes, as (start, end behind it). `None`: none that is understood, so it is ignored;
/// `Some(None)`: it lies behind the end.
fn within(text: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (start, end) = text.strip_prefix("bytes=")?.split_once('-')?;
    if start.is_empty() {
        let last: u64 = end.parse().ok()?;
        return Some((last > 0 && size > 0).then(|| (size - last.min(size), size)));
    }
    let start: u64 = start.parse().ok()?;
    let end: u64 = if end.is_empty() { size } else { end.parse::<u64>().ok()?.checked_add(1)?.min(size) };
    if start < size && end <= start {
        return None;
    }
    Some((start < size).then_some((start, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-", Some(Some((0, 10)))),
            ("bytes=2-3", Some(Some((2, 4)))),
            ("bytes=2-99", Some(Some((2, 10)))),
            ("bytes=-3", Some(Some((7, 10)))),
            ("bytes=-99", Some(Some((0, 10)))),
            ("bytes=10-", Some(None)),
            ("bytes=3-2", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-", None),
        ] {
            assert_eq!(within(text, 10), expected, "{text}");
        }
    }
}
