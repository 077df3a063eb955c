//! Noticing that nobody takes what is being sent. A slow source is no silent peer, so both are told
//! apart.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::Stream;

/// What a body was last seen to do.
#[derive(Clone, Copy)]
enum State {
    /// It waits for its source, since the connection wants more.
    Reading,
    /// Its bytes are with the connection, or all of them are.
    Handed(Instant),
}

/// Watches one body.
#[derive(Clone)]
pub(crate) struct Watch(Arc<Mutex<State>>);

impl Watch {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State::Handed(Instant::now()))))
    }

    /// From now on somebody is waited for.
    pub(crate) fn begin(&self) {
        self.set(State::Handed(Instant::now()));
    }

    /// The same stream, watched.
    pub(crate) fn over<S: Stream>(&self, stream: S) -> Watched<S> {
        Watched { stream: Box::pin(stream), watch: self.clone() }
    }

    /// Runs a request; `None` where the peer did not take a byte, or did not answer, for too long.
    pub(crate) async fn guard<T>(&self, limit: Duration, request: impl Future<Output = T>) -> Option<T> {
        let mut request = std::pin::pin!(request);
        loop {
            let left = limit.saturating_sub(self.silent()).max(Duration::from_millis(10));
            match tokio::time::timeout(left, &mut request).await {
                Ok(done) => return Some(done),
                Err(_) if self.silent() >= limit => return None,
                Err(_) => {}
            }
        }
    }

    fn silent(&self) -> Duration {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Reading => Duration::ZERO,
            State::Handed(since) => since.elapsed(),
        }
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// A stream whose consumer is watched.
pub(crate) struct Watched<S> {
    stream: Pin<Box<S>>,
    watch: Watch,
}

impl<S: Stream> Stream for Watched<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let polled = self.stream.as_mut().poll_next(context);
        self.watch.set(match &polled {
            Poll::Pending => State::Reading,
            Poll::Ready(_) => State::Handed(Instant::now()),
        });
        polled
    }
}
