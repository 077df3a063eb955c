//! Listing tags, and the repositories of a registry.

use oci::Repository;
use serde::Deserialize;

use super::pages::{Listing, PAGE};
use crate::auth::scope::Scopes;
use crate::hosts::PullBy;
use crate::hosts::endpoint::Endpoint;
use crate::http::call::Target;
use crate::{Client, RegistryError};

#[derive(Deserialize)]
struct Names {
    tags: Option<Vec<String>>,
    repositories: Option<Vec<String>>,
}

impl Client {
    /// All tags of a repository, in the registry's order.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<String>, RegistryError> {
        let at = |endpoint: Endpoint| async move {
            let (scopes, subject) = (Scopes::pull(&endpoint.path), format!("tags of {}", endpoint.path));
            let first = Target::Path(format!("tags/list?n={PAGE}"));
            let listing =
                Listing { endpoint: &endpoint, scopes: &scopes, first, accept: None, subject: &subject };
            self.names(&listing).await
        };
        self.pull(repository, PullBy::Tag, at).await
    }

    /// The repositories of a registry (`host` or `host:port`), as far as it tells them. Not all
    /// registries have such a list.
    pub async fn catalog(&self, registry: &str) -> Result<Vec<String>, RegistryError> {
        let endpoint = self.0.options.hosts.for_registry(registry)?;
        let (scopes, subject) = (Scopes::catalog(), format!("repositories of {registry}"));
        let first = Target::Registry(format!("_catalog?n={PAGE}"));
        let listing =
            Listing { endpoint: &endpoint, scopes: &scopes, first, accept: None, subject: &subject };
        self.0.patience.retry(|| self.names(&listing)).await
    }

    async fn names(&self, listing: &Listing<'_>) -> Result<Vec<String>, RegistryError> {
        let mut all: Vec<String> = Vec::new();
        let taken = |page: super::pages::Page| {
            let names: Names =
                serde_json::from_slice(&page.body).map_err(|_| "the list is not understood".to_owned())?;
            let names = names.tags.or(names.repositories).unwrap_or_default();
            // a registry that ignores `last` sends the same names again
            let again = names.first().is_some_and(|first| all.first() == Some(first));
            let full = names.len() >= PAGE && !again;
            if !again {
                all.extend(names);
            }
            Ok(all.last().filter(|_| full).cloned())
        };
        self.list(listing, taken).await?;
        Ok(all)
    }
}
