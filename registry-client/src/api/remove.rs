//! Deleting manifests, tags and blobs.

use bytes::Bytes;
use oci::{Descriptor, Digest, Document, Manifest, MediaType, Reference, Repository};
use reqwest::Method;

use crate::auth::scope::Scopes;
use crate::hosts::endpoint::Endpoint;
use crate::http::call::Call;
use crate::{BlobSource, Client, RegistryError};

impl Client {
    /// Deletes a manifest by its digest, or where the reference has none, a tag. A manifest with a
    /// subject is taken out of its subject's list of referrers, too.
    pub async fn delete_manifest(&self, reference: &Reference) -> Result<(), RegistryError> {
        let Some(digest) = reference.digest() else { return self.delete_tag(reference).await };
        let repository = reference.repository();
        let endpoint = self.0.options.hosts.for_push(repository)?;
        let subject = match self.document_at(&endpoint, &repository.with_digest(digest.clone())).await {
            Ok(document) => document.subject().map(|subject| subject.digest),
            // what cannot be read can still be deleted
            Err(_) => None,
        };
        self.delete(&endpoint, format!("manifests/{digest}"), &format!("deleting {reference}")).await?;
        match subject {
            Some(subject) => self.strike_referrer(&endpoint, repository, &subject, digest).await,
            None => Ok(()),
        }
    }

    /// Deletes a tag and leaves its manifest. Registries that cannot are helped: the tag is moved to an
    /// empty manifest, which is then deleted by digest.
    pub async fn delete_tag(&self, reference: &Reference) -> Result<(), RegistryError> {
        let Some(tag) = reference.tag() else {
            let registry = &reference.repository().registry;
            return Err(RegistryError::protocol(registry, &reference.to_string(), "it has no tag"));
        };
        let endpoint = self.0.options.hosts.for_push(reference.repository())?;
        let subject = format!("deleting {reference}");
        match self.delete(&endpoint, format!("manifests/{tag}"), &subject).await {
            Err(error) if is_unsupported(&error) => {}
            outcome => return outcome,
        }
        let tagged = reference.repository().with_tag(tag).map_err(|error| {
            RegistryError::protocol(&endpoint.host, &reference.to_string(), error.to_string())
        })?;
        // a tag that is not there must not be made
        self.resolve(&tagged).await?;
        let stand_in = self.push_stand_in(&tagged).await?;
        self.delete(&endpoint, format!("manifests/{stand_in}"), &subject).await
    }

    /// Deletes a blob.
    pub async fn delete_blob(&self, repository: &Repository, digest: &Digest) -> Result<(), RegistryError> {
        let endpoint = self.0.options.hosts.for_push(repository)?;
        self.delete(&endpoint, format!("blobs/{digest}"), &format!("deleting blob {digest} of {repository}"))
            .await
    }

    /// Moves a tag to a manifest that nothing else is.
    async fn push_stand_in(&self, tagged: &Reference) -> Result<Digest, RegistryError> {
        let empty = Bytes::from_static(b"{}");
        let config = Descriptor::new(MediaType::OciEmpty, Digest::sha256(&empty), empty.len() as u64);
        self.push_blob(tagged.repository(), &config, &BlobSource::bytes(empty), &[]).await?;
        let unique = format!("{:032x}", rand::random::<u128>());
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MediaType::OciManifest),
            layers: vec![config.clone()],
            config,
            annotations: [("dev.rbuild.deleted".to_owned(), unique)].into(),
            other: Default::default(),
        };
        let document = Document::create(MediaType::OciManifest, manifest);
        self.push_manifest(tagged, &MediaType::OciManifest, document.raw().clone()).await
    }

    async fn delete(&self, endpoint: &Endpoint, path: String, subject: &str) -> Result<(), RegistryError> {
        let scopes = Scopes::delete(&endpoint.path);
        let once = || async {
            let call = Call::new(endpoint, &scopes, Method::DELETE, path.clone(), subject);
            self.0.demand(&call).await.map(drop)
        };
        self.0.patience.retry(once).await
    }
}

/// Whether the registry says that it deletes no tags: a status for that, or that a tag is no digest.
fn is_unsupported(error: &RegistryError) -> bool {
    error.refusal().is_some_and(|refusal| {
        matches!(refusal.status, 400 | 405 | 501)
            || matches!(refusal.code.as_deref(), Some("UNSUPPORTED" | "DIGEST_INVALID"))
    })
}
