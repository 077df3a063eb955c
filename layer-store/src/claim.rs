//! Claims: one process at a time makes the result of a key.

use crate::error::Result;
use crate::lock::{Hold, Lock};
use crate::{CacheKey, Store};

/// The right to make the result of a key. Dropping it gives it up; so does the end of the process.
#[derive(Debug)]
pub struct Claim(Option<Lock>);

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(lock) = self.0.take() {
            let _ = lock.remove();
        }
    }
}

impl Store {
    /// Waits until nobody else, in any process or thread, makes that result.
    pub fn claim(&self, key: &CacheKey) -> Result<Claim> {
        Lock::take(&self.claim_path(key), Hold::Exclusive).map(|lock| Claim(Some(lock)))
    }

    /// Claims a key if nobody else has it.
    pub fn try_claim(&self, key: &CacheKey) -> Result<Option<Claim>> {
        let lock = Lock::attempt(&self.claim_path(key), Hold::Exclusive)?;
        Ok(lock.map(|lock| Claim(Some(lock))))
    }

    fn claim_path(&self, key: &CacheKey) -> std::path::PathBuf {
        self.at("locks").join(format!("claim-{key}"))
    }
}
