//! Waiting before another try.

use std::future::Future;
use std::time::Duration;

use crate::{RegistryError, RetryPolicy};

/// Runs something until it succeeds, fails for good, or was tried often enough.
pub(crate) async fn retry<T, F>(
    policy: &RetryPolicy,
    attempts: u32,
    mut run: impl FnMut() -> F,
) -> Result<T, RegistryError>
where
    F: Future<Output = Result<T, RegistryError>>,
{
    let mut tries = 0;
    loop {
        let error = match run().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        tries += 1;
        match pause(policy, tries, &error) {
            Some(pause) if tries < attempts => tokio::time::sleep(pause).await,
            Some(_) | None => return Err(error),
        }
    }
}

/// How long to wait after the n-th failure; `None` where waiting does not help, or a registry asks for
/// more patience than there is.
pub(crate) fn pause(policy: &RetryPolicy, tries: u32, error: &RegistryError) -> Option<Duration> {
    if !error.is_transient() {
        return None;
    }
    if let Some(asked) = error.refusal().and_then(|refusal| refusal.retry_after) {
        return (asked <= policy.longest_wait).then_some(asked);
    }
    let doubled = policy.first_wait.saturating_mul(1 << tries.saturating_sub(1).min(16));
    Some(doubled.min(policy.longest_wait).mul_f64(rand::random_range(0.5..=1.0)))
}
