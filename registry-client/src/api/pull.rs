//! Reading from the first place that has a thing.

use std::future::Future;

use oci::Repository;

use crate::hosts::PullBy;
use crate::hosts::endpoint::Endpoint;
use crate::{Client, RegistryError};

/// Tries at a mirror, where another place follows.
const MIRROR_ATTEMPTS: u32 = 2;

impl Client {
    /// Runs something at each place of a repository until it succeeds: mirrors may fail in any way. One
    /// that could not be connected to is left alone for a while.
    pub(crate) async fn pull<T, F>(
        &self,
        repository: &Repository,
        by: PullBy,
        run: impl Fn(Endpoint) -> F,
    ) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let mut endpoints = self.0.options.hosts.for_pull(repository, by)?.into_iter().peekable();
        while let Some(endpoint) = endpoints.next() {
            let is_last = endpoints.peek().is_none();
            if !is_last && self.0.transport.is_down(&endpoint) {
                continue;
            }
            let attempts = if is_last { u32::MAX } else { MIRROR_ATTEMPTS };
            // The next place is asked sooner than a limit of this one ends.
            let once = || async {
                match run(endpoint.clone()).await {
                    Err(limited @ RegistryError::Throttled(_)) if !is_last => Ok(Err(limited)),
                    outcome => outcome.map(Ok),
                }
            };
            match self.0.patience.retry_at_most(attempts, once).await.flatten() {
                Err(RegistryError::Network { source, .. }) if !is_last && source.is_connect() => {
                    self.0.transport.note_down(&endpoint);
                }
                Err(_) if !is_last => {}
                outcome => return outcome,
            }
        }
        Err(RegistryError::protocol(&repository.registry, &repository.path, "there is no place to ask"))
    }
}
