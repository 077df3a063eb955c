//! Waiting before another try, within a budget.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{RegistryError, RetryPolicy};

/// Tries at connecting: who cannot be reached at all seldom comes back within seconds.
const CONNECTIONS: u32 = 4;

/// The waiting of all requests of a client together.
pub(crate) struct Patience {
    policy: RetryPolicy,
    spent: Mutex<Duration>,
}

impl Patience {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self { policy, spent: Mutex::default() }
    }

    /// Runs something until it succeeds, fails for good, or was tried as often as the policy says.
    pub(crate) async fn retry<T, F>(&self, run: impl FnMut() -> F) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        self.retry_at_most(self.policy.attempts, run).await
    }

    /// The same with fewer tries.
    pub(crate) async fn retry_at_most<T, F>(
        &self,
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
            if tries >= attempts.min(self.policy.attempts) {
                return Err(error);
            }
            self.pause(tries, error).await?;
        }
    }

    /// Waits after the n-th failure in a row, or gives the failure back: where waiting does not help,
    /// where a registry asks for more patience than there is, or where the budget is spent.
    pub(crate) async fn pause(&self, failures: u32, error: RegistryError) -> Result<(), RegistryError> {
        match self.wait(failures, &error) {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            None => Err(error),
        }
    }

    fn wait(&self, failures: u32, error: &RegistryError) -> Option<Duration> {
        let policy = &self.policy;
        let attempts = if error.is_connecting() { policy.attempts.min(CONNECTIONS) } else { policy.attempts };
        if !error.is_transient() || failures >= attempts {
            return None;
        }
        let pause = match error.refusal().and_then(|refusal| refusal.retry_after) {
            // a little more, lest all who were told the same come at once
            Some(asked) if asked <= policy.longest_wait => asked.mul_f64(rand::random_range(1.0..=1.1)),
            Some(_) => return None,
            None => {
                let doubled = policy.first_wait.saturating_mul(1 << failures.saturating_sub(1).min(16));
                doubled.min(policy.longest_wait).mul_f64(rand::random_range(0.5..=1.0))
            }
        };
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let total = spent.checked_add(pause).filter(|total| *total <= policy.budget)?;
        *spent = total;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;

    fn refused(status: u16, retry_after: Option<u64>) -> RegistryError {
        RegistryError::refused(Refusal {
            host: "h".to_owned(),
            subject: "s".to_owned(),
            status,
            code: None,
            message: None,
            retry_after: retry_after.map(Duration::from_secs),
            limit: None,
        })
    }

    #[test]
    fn waits_grow_within_limits_and_a_budget() {
        let second = Duration::from_secs(1);
        let policy =
            RetryPolicy { attempts: 6, first_wait: second, longest_wait: second * 5, budget: second * 20 };
        let patience = || Patience::new(policy.clone());
        let within = |pause: Option<Duration>, least: f64, most: f64| {
            pause.is_some_and(|pause| (least..=most).contains(&pause.as_secs_f64()))
        };
        assert!(within(patience().wait(1, &refused(503, None)), 0.5, 1.0));
        assert!(within(patience().wait(3, &refused(503, None)), 2.0, 4.0));
        assert!(within(patience().wait(5, &refused(503, None)), 2.5, 5.0));
        assert!(within(patience().wait(1, &refused(429, Some(5))), 5.0, 5.5));
        assert_eq!(patience().wait(6, &refused(503, None)), None);
        assert_eq!(patience().wait(1, &refused(429, Some(6))), None);
        assert_eq!(patience().wait(1, &refused(403, None)), None);
        let one = patience();
        let waits = (0..100).filter(|_| one.wait(1, &refused(429, Some(5))).is_some()).count();
        assert_eq!(waits, 3, "three times five seconds and a bit, and not a fourth");
    }
}
