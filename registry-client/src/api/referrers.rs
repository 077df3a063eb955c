//! What refers to a manifest (distribution-spec 1.1, "Listing Referrers"): by the API where a registry
//! has it, else by the index under a tag that is made of the digest.

use oci::{Descriptor, Digest, Document, ImageDocument, Index, MediaType, Reference, Repository};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};

use super::manifest::content_type;
use super::pages::{Listing, Page};
use crate::auth::scope::Scopes;
use crate::hosts::PullBy;
use crate::hosts::endpoint::Endpoint;
use crate::http::answer::drain;
use crate::http::call::{Call, Target};
use crate::{Client, RegistryError};

const INDEX: HeaderValue = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
pub(super) const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// How often an index is written anew where others write it at the same time.
const MOST_ROUNDS: u32 = 5;

/// A change of the index under a referrers tag.
#[derive(Clone, Copy)]
enum Change<'a> {
    Add(&'a Descriptor),
    Remove(&'a Digest),
}

impl Client {
    /// The manifests whose subject is a digest; those of one artifact type where one is named. Where
    /// nothing refers to it, or it is not there at all, that is an empty list.
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let at = |endpoint: Endpoint| async move {
            let mut found = match self.referrers_by_api(&endpoint, subject, artifact_type).await? {
                Some(found) => found,
                None => {
                    let listed = self.referrers_by_tag(&endpoint, repository, subject).await?;
                    listed.map(|index| index.manifests).unwrap_or_default()
                }
            };
            if let Some(wanted) = artifact_type {
                found.retain(|entry| entry.artifact_type() == Some(wanted));
            }
            Ok(found)
        };
        self.pull(repository, PullBy::Digest, at).await
    }

    /// The answer of the API; `None` where the registry has none.
    async fn referrers_by_api(
        &self,
        endpoint: &Endpoint,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let filter = artifact_type.map(|wanted| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("artifactType", wanted)
                .finish();
            format!("?{query}")
        });
        let listing = Listing {
            endpoint,
            scopes: &Scopes::pull(&endpoint.path),
            first: Target::Path(format!("referrers/{subject}{}", filter.unwrap_or_default())),
            accept: Some(INDEX),
            subject: &format!("referrers of {subject} in {}", endpoint.path),
        };
        let (mut found, mut understood) = (Vec::new(), true);
        let taken = |page: Page| {
            understood &= content_type(&page.headers).is_some_and(|kind| kind == MediaType::OciIndex);
            if understood {
                let index: Index = serde_json::from_slice(&page.body)
                    .map_err(|_| "the list of referrers is not understood".to_owned())?;
                found.extend(index.manifests);
            }
            Ok(None)
        };
        match self.list(&listing, taken).await {
            Ok(()) if understood => Ok(Some(found)),
            Ok(()) => Ok(None),
            Err(error) if lacks_api(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The index under the referrers tag, empty where nothing is there; `None` where something else stands
    /// there.
    async fn referrers_by_tag(
        &self,
        endpoint: &Endpoint,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Option<Index>, RegistryError> {
        match self.document_at(endpoint, &referrers_tag(repository, subject)?).await {
            Ok(ImageDocument::Index(index)) => Ok(Some(index.into_parsed())),
            Err(RegistryError::NotFound(_)) => Ok(Some(Index::of(Vec::new()))),
            Ok(ImageDocument::Manifest(_)) | Err(RegistryError::Document { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Enters a manifest that was pushed into the index under its subject's tag.
    pub(super) async fn enter_referrer(
        &self,
        endpoint: &Endpoint,
        repository: &Repository,
        subject: &Digest,
        entry: &Descriptor,
    ) -> Result<(), RegistryError> {
        self.change_index(endpoint, repository, subject, Change::Add(entry)).await
    }

    /// Takes a manifest that was deleted out of the index under its subject's tag, where the registry
    /// does not do so itself.
    pub(super) async fn strike_referrer(
        &self,
        endpoint: &Endpoint,
        repository: &Repository,
        subject: &Digest,
        entry: &Digest,
    ) -> Result<(), RegistryError> {
        if self.has_referrers_api(endpoint, subject).await? {
            return Ok(());
        }
        self.change_index(endpoint, repository, subject, Change::Remove(entry)).await
    }

    async fn has_referrers_api(&self, endpoint: &Endpoint, subject: &Digest) -> Result<bool, RegistryError> {
        let (scopes, about) = (Scopes::delete(&endpoint.path), format!("referrers of {subject}"));
        let path = format!("referrers/{subject}");
        let call = Call::new(endpoint, &scopes, Method::GET, path, &about);
        let response = self.0.send(&call).await?;
        let has = response.status() == StatusCode::OK
            && content_type(response.headers()).is_some_and(|kind| kind == MediaType::OciIndex);
        drain(response).await;
        Ok(has)
    }

    /// Reads, changes, writes, and reads again: who wrote in between may have lost our change. Changes by
    /// this client take turns. Another process that read before our write and writes after our last look can
    /// still take it away.
    async fn change_index(
        &self,
        endpoint: &Endpoint,
        repository: &Repository,
        subject: &Digest,
        change: Change<'_>,
    ) -> Result<(), RegistryError> {
        let tag = referrers_tag(repository, subject)?;
        let taken = || {
            let reason = "something else stands where the list of referrers belongs; it is left as it is";
            RegistryError::protocol(&endpoint.host, &tag.to_string(), reason)
        };
        let _turn = self.0.changing_index.lock().await;
        for _ in 0..MOST_ROUNDS {
            let mut index = self.referrers_by_tag(endpoint, repository, subject).await?.ok_or_else(taken)?;
            let there = |digest: &Digest| index.manifests.iter().any(|entry| entry.digest == *digest);
            match change {
                Change::Add(entry) if there(&entry.digest) => return Ok(()),
                Change::Remove(digest) if !there(digest) => return Ok(()),
                Change::Add(entry) => index.manifests.push(entry.clone()),
                Change::Remove(digest) => index.manifests.retain(|entry| entry.digest != *digest),
            }
            let document = Document::create(MediaType::OciIndex, index);
            self.put_manifest(endpoint, &tag, &tag_name(subject), &MediaType::OciIndex, document.raw())
                .await?;
        }
        // the last round's write is looked at, too
        let index = self.referrers_by_tag(endpoint, repository, subject).await?.ok_or_else(taken)?;
        let there = |digest: &Digest| index.manifests.iter().any(|entry| entry.digest == *digest);
        let done = match change {
            Change::Add(entry) => there(&entry.digest),
            Change::Remove(digest) => !there(digest),
        };
        match done {
            true => Ok(()),
            false => Err(RegistryError::protocol(
                &endpoint.host,
                &tag.to_string(),
                "others change this index all the time",
            )),
        }
    }
}

/// Registries before 1.1 do not know the path.
fn lacks_api(error: &RegistryError) -> bool {
    error.refusal().is_some_and(|refusal| matches!(refusal.status, 400 | 404 | 405 | 501))
}

/// The tag of the distribution-spec's "Referrers Tag Schema".
fn tag_name(subject: &Digest) -> String {
    let (algorithm, hex) = (subject.algorithm().name(), subject.hex());
    format!("{algorithm}-{}", hex.get(..64).unwrap_or(hex))
}

fn referrers_tag(repository: &Repository, subject: &Digest) -> Result<Reference, RegistryError> {
    repository.with_tag(&tag_name(subject)).map_err(|error| {
        RegistryError::protocol(&repository.registry, &subject.to_string(), error.to_string())
    })
}
