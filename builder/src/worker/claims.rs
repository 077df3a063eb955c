//! Waiting for a claim that another process holds.

use std::time::Duration;

use layer_store::{CacheKey, Claim, Store};

use super::{Permit, blocking};

/// How long to wait before asking again.
const PAUSES: [u64; 5] = [2, 5, 10, 25, 50];

/// Claims a key, however long that takes; `None` where the store cannot be asked.
pub(crate) async fn claim(store: &Store, key: CacheKey) -> Option<Claim> {
    for nth in 0.. {
        let store = store.clone();
        match blocking(Permit::free(), move || store.try_claim(&key)).await {
            Ok(Some(claim)) => return Some(claim),
            Ok(None) => {}
            Err(_) => return None,
        }
        let pause = PAUSES[nth.min(PAUSES.len() - 1)];
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    None
}
