//! Deleting.

use oci::{Digest, Reference, Repository};
use reqwest::Method;

use crate::auth::scope::Scopes;
use crate::http::call::Call;
use crate::http::retry::retry;
use crate::{Client, RegistryError};

impl Client {
    /// Deletes a manifest by digest, or a tag where the reference has no digest and the registry allows it.
    pub async fn delete_manifest(&self, reference: &Reference) -> Result<(), RegistryError> {
        let name = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or_default().to_owned(),
        };
        self.delete(reference.repository(), format!("manifests/{name}"), format!("deleting {reference}"))
            .await
    }

    /// Deletes a blob.
    pub async fn delete_blob(&self, repository: &Repository, digest: &Digest) -> Result<(), RegistryError> {
        self.delete(repository, format!("blobs/{digest}"), format!("deleting blob {digest} of {repository}"))
            .await
    }

    async fn delete(
        &self,
        repository: &Repository,
        path: String,
        subject: String,
    ) -> Result<(), RegistryError> {
        let endpoint = self.0.options.hosts.for_push(repository)?;
        let scopes = Scopes::delete(&endpoint.path);
        let policy = &self.0.options.retry;
        let once = || async {
            let call = Call::new(&endpoint, &scopes, Method::DELETE, path.clone(), &subject);
            self.0.demand(&call).await.map(drop)
        };
        retry(policy, policy.attempts, once).await
    }
}
