//! Permits, and the one bridge to blocking threads.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Bounds how many heavy pieces of work run at once. Of those that wait, the weightiest comes first, and
/// of equal ones the one that waits longest.
#[derive(Clone, Debug)]
pub struct Permits(Arc<Mutex<Room>>);

#[derive(Debug)]
struct Room {
    free: usize,
    arrivals: u64,
    waiting: BTreeMap<(Reverse<u64>, u64), oneshot::Sender<Place>>,
}

/// A place that is taken. Dropping it hands it on.
#[derive(Debug)]
struct Place(Arc<Mutex<Room>>);

/// The right to run one piece of work. Given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _place: Option<Place>,
}

fn lock(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Permits {
    /// At most `count` at once; at least one.
    pub fn new(count: usize) -> Self {
        let room = Room { free: count.max(1), arrivals: 0, waiting: BTreeMap::new() };
        Self(Arc::new(Mutex::new(room)))
    }

    /// Waits for a permit.
    pub async fn acquire(&self) -> Permit {
        self.acquire_by(0).await
    }

    /// Waits for a permit, before all that weigh less.
    pub async fn acquire_by(&self, weight: u64) -> Permit {
        let waiting = {
            let mut room = lock(&self.0);
            match room.free.checked_sub(1) {
                Some(left) => {
                    room.free = left;
                    return Permit { _place: Some(Place(Arc::clone(&self.0))) };
                }
                None => {
                    let (sender, receiver) = oneshot::channel();
                    room.arrivals += 1;
                    let arrival = room.arrivals;
                    room.waiting.insert((Reverse(weight), arrival), sender);
                    receiver
                }
            }
        };
        // A place is never dropped without being handed on, so that an error cannot be; without a permit
        // the work still runs.
        Permit { _place: waiting.await.ok() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = {
            let mut room = lock(&self.0);
            let next = room.waiting.pop_first();
            if next.is_none() {
                room.free += 1;
            }
            next
        };
        if let Some((_, sender)) = next {
            // Where nobody waits any more, the place comes back, and its own drop hands it on.
            drop(sender.send(Place(Arc::clone(&self.0))));
        }
    }
}

impl Permit {
    /// For work too short to be counted: a look-up in the store.
    pub fn free() -> Self {
        Self { _place: None }
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

/// Lets go of something on a blocking thread, for which nobody waits but the end of the runtime.
pub(crate) fn drop_aside<T: Send + 'static>(value: T) {
    #[expect(clippy::disallowed_methods, reason = "this is the one bridge")]
    drop(tokio::task::spawn_blocking(move || drop(value)));
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_weightiest_comes_first_and_of_equal_ones_the_first() {
        let permits = Permits::new(1);
        let held = permits.acquire().now_or_never().expect("there is room");
        let mut waiting: Vec<_> = [1, 9, 1].map(|weight| Box::pin(permits.acquire_by(weight))).into();
        let mut order = Vec::new();
        let mut current = Some(held);
        assert!(waiting.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        while order.len() < 3 {
            drop(current.take());
            let mut turn = None;
            for (nth, one) in waiting.iter_mut().enumerate().filter(|(nth, _)| !order.contains(nth)) {
                if let Some(permit) = one.as_mut().now_or_never() {
                    turn = Some((nth, permit));
                    break;
                }
            }
            let (nth, permit) = turn.expect("one of them has its turn");
            order.push(nth);
            current = Some(permit);
        }
        assert_eq!(order, [1, 0, 2]);
    }

    #[test]
    fn who_gave_up_waiting_is_passed_over() {
        let permits = Permits::new(1);
        let held = permits.acquire().now_or_never().expect("there is room");
        let mut gone = Box::pin(permits.acquire_by(9));
        assert!(gone.as_mut().now_or_never().is_none());
        let mut next = Box::pin(permits.acquire());
        assert!(next.as_mut().now_or_never().is_none());
        drop(gone);
        drop(held);
        drop(next.now_or_never().expect("its turn"));
        assert!(permits.acquire().now_or_never().is_some());
    }
}
