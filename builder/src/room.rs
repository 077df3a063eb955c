//! How much the store may take while a build goes on.
//!
//! Measuring a store means to look at every file of it. So it is measured anew only where too much may have come
//! since it was measured last: by the layers and blobs that came, or by what the file system has lost, which tells of
//! what is unfinished and of cache mounts, unless something else became free meanwhile. Results that no image and no
//! living process uses go then; those of this build stay.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use layer_store::{Quota, Store, StoreError, Usage};

/// Of a store that is too large although nothing more can go, so small a part of what it may take is passed over
/// before it is measured again.
const PART: u64 = 16;

/// What the store may take.
#[derive(Debug)]
pub struct Ceiling {
    most: u64,
    known: Mutex<Option<Known>>,
}

/// What was found when the store was measured last.
#[derive(Clone, Debug)]
struct Known {
    usage: Usage,
    /// Bytes that the file system had left.
    free: u64,
}

impl Ceiling {
    /// So many bytes.
    pub fn new(most: u64) -> Self {
        Self { most, known: Mutex::default() }
    }

    /// Removes what nobody uses if the store takes more. To be called before a build and after each of its steps;
    /// blocking.
    pub fn keep(&self, store: &Store) -> Result<(), StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Known { usage, free }) = &*known {
            let came = store.usage_since(usage).total.saturating_sub(usage.total);
            let grown = came.max(free.saturating_sub(store.free_bytes()?));
            let enough = self.most.checked_sub(usage.total).unwrap_or(self.most / PART);
            if grown <= enough {
                return Ok(());
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let quota = Quota { most: Some(self.most), ..Quota::default() };
        let plan = store.plan_eviction(quota, i64::try_from(now).unwrap_or(i64::MAX))?;
        let usage = if plan.before.total > self.most { store.evict(&plan)?.after } else { plan.before };
        *known = Some(Known { usage, free: store.free_bytes()? });
        Ok(())
    }
}
