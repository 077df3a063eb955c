//! What one run of the program holds open while it builds.

mod tail;

use std::sync::{Arc, Mutex, PoisonError};

use layer_store::{Lease, Store};
use registry_client::Client;
use runtime_exec::{HostMode, OutsideHelper, OverlaySupport};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::event::{Event, StepId};
use crate::history::Recorder;
use tail::Tails;

/// The open store, the client, the host, and where events go. Cheap to clone.
#[derive(Clone)]
pub struct Session {
    /// The store.
    pub store: Store,
    /// Liveness of everything this process makes in the store.
    pub lease: Lease,
    /// The one door to the network.
    pub client: Client,
    /// Runs programs as the real user; `None` where nothing needs it.
    pub helper: Option<OutsideHelper>,
    /// Where events go.
    pub events: EventSink,
    /// How many steps run at once.
    pub jobs: usize,
    /// What the host offers.
    pub host: HostFacts,
}

/// What the binary found out about the host before it started.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// Root, or a user namespace.
    pub mode: HostMode,
    /// Whether steps can run on overlay mounts.
    pub overlay: OverlaySupport,
    /// Content of the host's `/etc/resolv.conf`.
    pub resolv_conf: bytes::Bytes,
}

/// The sending end of the event channel. Clones share it.
#[derive(Clone, Debug)]
pub struct EventSink {
    sender: mpsc::Sender<Event>,
    tails: Arc<Tails>,
    recorder: Arc<Mutex<Option<Recorder>>>,
}

/// The receiving end of the event channel, for the one drawer.
#[derive(Debug)]
pub struct EventStream {
    receiver: mpsc::Receiver<Event>,
}

impl EventSink {
    /// A channel that holds at most `capacity` events.
    pub fn channel(capacity: usize) -> (EventSink, EventStream) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (EventSink { sender, tails: Arc::default(), recorder: Arc::default() }, EventStream { receiver })
    }

    /// Sends from async code, waiting for room. Without a drawer the event is dropped.
    pub async fn send(&self, event: Event) {
        self.note(&event);
        let _ = self.sender.send(event).await;
    }

    /// Sends from a blocking thread, waiting for room: the way of log bytes, none of which is lost.
    ///
    /// # Panics
    /// When called in async code.
    pub fn send_blocking(&self, event: Event) {
        self.note(&event);
        let _ = self.sender.blocking_send(event);
    }

    /// Sends if there is room: for progress, where the next event says more. `false`: dropped.
    pub fn offer(&self, event: Event) -> bool {
        self.note(&event);
        match self.sender.try_send(event) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => false,
        }
    }
}

impl EventSink {
    /// Lets a recorder hear all that is sent from now on; `None`: nobody.
    pub(crate) fn record(&self, recorder: Option<Recorder>) {
        *self.recorder.lock().unwrap_or_else(PoisonError::into_inner) = recorder;
    }

    fn note(&self, event: &Event) {
        self.tails.note(event);
        let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(recorder) = recorder {
            recorder.note(event);
        }
    }

    /// The last lines that a step wrote.
    pub fn tail(&self, step: StepId) -> Vec<String> {
        self.tails.lines(step)
    }
}

impl EventStream {
    /// The next event; `None` once every sink is gone.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// The next event, from a thread of its own.
    ///
    /// # Panics
    /// When called in async code.
    pub fn next_blocking(&mut self) -> Option<Event> {
        self.receiver.blocking_recv()
    }
}
