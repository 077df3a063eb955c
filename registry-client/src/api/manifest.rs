//! Manifests and indexes.

use bytes::Bytes;
use defence::Defence;
use oci::{Algorithm, Descriptor, Digest, ImageDocument, MediaType, Reference, Repository};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};

use super::referrers::SUBJECT;
use crate::auth::scope::Scopes;
use crate::hosts::PullBy;
use crate::hosts::endpoint::Endpoint;
use crate::http::answer::read_limited;
use crate::http::call::Call;
use crate::{Client, RegistryError};

pub(super) const LARGEST_DOCUMENT: u64 = 4 << 20;
pub(super) const ACCEPTED: HeaderValue = HeaderValue::from_static(
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json",
);
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Whether a registry said that it keeps the list of referrers of a manifest's subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Noticed,
    Unnoticed,
}

impl Client {
    /// What a name stands for now. One HEAD, which costs no pull quota; a GET where that does not tell.
    pub async fn resolve(&self, reference: &Reference) -> Result<Descriptor, RegistryError> {
        let at = |endpoint: Endpoint| async move {
            match self.head(&endpoint, reference).await? {
                Some(descriptor) => Ok(descriptor),
                None => Ok(self.document_at(&endpoint, reference).await?.descriptor().clone()),
            }
        };
        self.pull(reference.repository(), PullBy::of(reference), at).await
    }

    /// Tells apart who is asked for a name, and on which terms: where two clients have the same text here, the
    /// answer that one gets serves the other. Credentials are left out, and no secret is in it.
    pub fn terms_of(&self, reference: &Reference) -> Result<String, RegistryError> {
        let (hosts, bundles) = (&self.0.options.hosts, &self.0.options.ca_bundles);
        let places = hosts.for_pull(reference.repository(), PullBy::of(reference))?;
        let certificates: Vec<_> =
            places.iter().map(|place| hosts.certificates(&place.host)).collect::<Result<_, _>>()?;
        Ok(format!("{reference} {places:?} {certificates:?} {bundles:?}"))
    }

    /// A manifest or index by its digest, verified, as its registry has it.
    pub async fn manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(MediaType, Bytes), RegistryError> {
        let document = self.image_document(&repository.with_digest(digest.clone())).await?;
        Ok((document.descriptor().media_type.clone(), document.raw().clone()))
    }

    /// The manifest or index that a name stands for, verified where the name has a digest.
    pub async fn image_document(&self, reference: &Reference) -> Result<ImageDocument, RegistryError> {
        let at = |endpoint: Endpoint| async move { self.document_at(&endpoint, reference).await };
        self.pull(reference.repository(), PullBy::of(reference), at).await
    }

    /// Uploads a manifest or index, under the reference's tag or else its digest. Everything it names must
    /// be there before, but for a subject, which need not exist. Where the registry keeps no list of what
    /// refers to the subject, the index that stands for it is updated.
    pub async fn push_manifest(
        &self,
        reference: &Reference,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<Digest, RegistryError> {
        let endpoint = self.0.options.hosts.for_push(reference.repository())?;
        let digest = digest_like(reference.digest(), &bytes);
        let name = reference.tag().map_or_else(|| digest.to_string(), str::to_owned);
        if let Some(named) = reference.digest()
            && *named != digest
        {
            let reason = format!("the manifest to push is {digest}");
            return Err(RegistryError::corrupt(&endpoint.host, &reference.to_string(), reason));
        }
        let kept = self
            .0
            .patience
            .retry(|| self.put_manifest(&endpoint, reference, &name, media_type, &bytes))
            .await?;
        if kept == Subject::Unnoticed
            && let Ok(document) = ImageDocument::parse(Some(media_type), bytes)
            && let Some(subject) = document.subject()
        {
            let mut entry = document.as_referrer();
            entry.digest = digest.clone();
            let repository = reference.repository();
            self.0
                .patience
                .retry(|| self.enter_referrer(&endpoint, repository, &subject.digest, &entry))
                .await?;
        }
        Ok(digest)
    }

    pub(super) async fn put_manifest(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        name: &str,
        media_type: &MediaType,
        bytes: &Bytes,
    ) -> Result<Subject, RegistryError> {
        let scopes = Scopes::push(&endpoint.path);
        let subject = format!("pushing {reference}");
        let body = || reqwest::Body::from(bytes.clone());
        let mut call = Call::new(endpoint, &scopes, Method::PUT, format!("manifests/{name}"), &subject);
        let kind = HeaderValue::from_str(media_type.as_str())
            .map_err(|_| call.protocol("its media type is not fit for a header"))?;
        call = call.header(CONTENT_TYPE, kind);
        call.body = Some(&body);
        let response = self.0.demand(&call).await?;
        let kept = match response.headers().contains_key(SUBJECT) {
            true => Subject::Noticed,
            false => Subject::Unnoticed,
        };
        let Some(stored) = digest_header(response.headers()) else { return Ok(kept) };
        let own = digest_like(Some(&stored), bytes);
        match stored == own {
            true => Ok(kept),
            false => Err(RegistryError::corrupt(
                &endpoint.host,
                &subject,
                format!("{own} was sent, it stored {stored}"),
            )),
        }
    }

    /// A HEAD; `None` where a GET must tell.
    async fn head(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let (scopes, subject) = (Scopes::pull(&endpoint.path), reference.to_string());
        let call =
            Call::new(endpoint, &scopes, Method::HEAD, path(reference), &subject).header(ACCEPT, ACCEPTED);
        let response = self.0.send(&call).await?;
        match response.status().as_u16() {
            200 => Ok(described(&response)
                .filter(|found| reference.digest().is_none_or(|digest| *digest == found.digest))),
            // the GET that follows brings the registry's own words
            400..=407 => Ok(None),
            _ => call.accept(response).await.map(|_| None),
        }
    }

    pub(super) async fn document_at(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
    ) -> Result<ImageDocument, RegistryError> {
        let (scopes, subject) = (Scopes::pull(&endpoint.path), reference.to_string());
        let call =
            Call::new(endpoint, &scopes, Method::GET, path(reference), &subject).header(ACCEPT, ACCEPTED);
        let response = self.0.demand(&call).await?;
        let (kind, announced) = (content_type(response.headers()), digest_header(response.headers()));
        let body = read_limited(&endpoint.host, &subject, response, LARGEST_DOCUMENT).await?;
        if let Some(expected) = reference.digest().or(announced.as_ref()) {
            let actual = digest_like(Some(expected), &body);
            if actual != *expected && defence::stands(Defence::DocumentsVerified) {
                let reason = format!("{expected} was asked for, {} bytes of {actual} came", body.len());
                return Err(RegistryError::corrupt(&endpoint.host, &subject, reason));
            }
        }
        ImageDocument::parse(kind.as_ref(), body).map_err(|source| RegistryError::Document {
            host: endpoint.host.clone(),
            subject: subject.clone(),
            source: Box::new(source),
        })
    }
}

pub(super) fn path(reference: &Reference) -> String {
    let name = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.to_owned(),
        (None, None) => String::new(),
    };
    format!("manifests/{name}")
}

/// The digest of bytes by the algorithm of another digest.
pub(super) fn digest_like(other: Option<&Digest>, bytes: &[u8]) -> Digest {
    Digest::of(other.map_or(Algorithm::Sha256, Digest::algorithm), bytes)
}

pub(super) fn digest_header(headers: &HeaderMap) -> Option<Digest> {
    headers.get(CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

pub(super) fn content_type(headers: &HeaderMap) -> Option<MediaType> {
    Some(MediaType::from_content_type(headers.get(CONTENT_TYPE)?.to_str().ok()?))
}

/// What the headers of a HEAD say, if they say everything.
fn described(response: &Response) -> Option<Descriptor> {
    let headers = response.headers();
    let kind = content_type(headers).filter(|kind| kind.is_manifest() || kind.is_index())?;
    let size = headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    Some(Descriptor::new(kind, digest_header(headers)?, size))
}
