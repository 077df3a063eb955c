//! Permits, and the one bridge to blocking threads.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds how many heavy pieces of work run at once.
#[derive(Clone, Debug)]
pub struct Permits {
    semaphore: Arc<Semaphore>,
}

/// The right to run one piece of work. Given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _held: Option<OwnedSemaphorePermit>,
}

impl Permits {
    /// At most `count` at once; at least one.
    pub fn new(count: usize) -> Self {
        Self { semaphore: Arc::new(Semaphore::new(count.max(1))) }
    }

    /// Waits for a permit.
    pub async fn acquire(&self) -> Permit {
        // The semaphore is never closed, so an error cannot be; without a permit the work still runs.
        Permit { _held: Arc::clone(&self.semaphore).acquire_owned().await.ok() }
    }
}

impl Permit {
    /// For work too short to be counted: a look-up in the store.
    pub fn free() -> Self {
        Self { _held: None }
    }
}

/// Runs `f` on a blocking thread and waits for it; the permit is given back when `f` is done, even
/// where nobody waits any more. A panic of `f` goes on in the caller.
pub async fn blocking<T, F>(permit: Permit, f: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "this is the one bridge")]
    let work = tokio::task::spawn_blocking(move || {
        let _held = permit;
        f()
    });
    match work.await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down; nobody will ever look at this future again.
            Err(_) => std::future::pending().await,
        },
    }
}
