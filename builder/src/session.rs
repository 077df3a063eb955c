//! What one run of the program holds open while it builds.

mod tail;

use std::sync::{Arc, Mutex, PoisonError};

use layer_store::{Lease, Store};
use registry_client::Client;
use runtime_exec::{HostMode, Keepers, OutsideHelper};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::event::{Event, StepId};
use crate::exec::{Snapshotter, StepIsolation};
use crate::git::GitAgent;
use crate::history::Recorder;
use crate::remote::RemoteSecrets;
use crate::room::Ceiling;
use crate::worker::{Permit, blocking};
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
    /// What opens repositories and files behind addresses.
    pub remote_secrets: RemoteSecrets,
    /// The agent that opens repositories by ssh; `None`: whatever the user's own `git` would ask.
    pub git_agent: Option<GitAgent>,
    /// Where events go.
    pub events: EventSink,
    /// The processes that stand beside steps.
    pub keepers: Keepers,
    /// How many steps run at once.
    pub steps: usize,
    /// How many layers are packed at once.
    pub jobs: usize,
    /// What the host offers.
    pub host: HostFacts,
    /// What the store may take while a build goes on; `None`: whatever it needs.
    pub ceiling: Option<Arc<Ceiling>>,
}

impl Session {
    /// Keeps the store below its ceiling, if it has one. What cannot be done is for the end of the build to say.
    pub(crate) async fn keep_room(&self) {
        let Some(ceiling) = self.ceiling.clone() else { return };
        let store = self.store.clone();
        drop(blocking(Permit::free(), move || ceiling.keep(&store)).await);
    }
}

/// What the binary found out about the host before it started.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// Root, or a user namespace.
    pub mode: HostMode,
    /// What keeps steps apart from the machine.
    pub isolation: StepIsolation,
    /// How steps get a tree to write on.
    pub snapshotter: Snapshotter,
    /// Content of the host's `/etc/resolv.conf`.
    pub resolv_conf: bytes::Bytes,
}

/// The sending end of the event channel. Clones share it.
#[derive(Clone, Debug)]
pub struct EventSink {
    sender: mpsc::Sender<Message>,
    tails: Arc<Tails>,
    recorder: Arc<Mutex<Option<Recorder>>>,
}

/// The receiving end of the event channel, for the one drawer.
#[derive(Debug)]
pub struct EventStream {
    receiver: mpsc::Receiver<Message>,
}

/// What goes through the channel.
#[derive(Debug)]
enum Message {
    Event(Event),
    /// Nothing that matters follows.
    End,
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
        let _ = self.sender.send(Message::Event(event)).await;
    }

    /// Sends from a blocking thread, waiting for room: the way of log bytes, none of which is lost.
    ///
    /// # Panics
    /// When called in async code.
    pub fn send_blocking(&self, event: Event) {
        self.note(&event);
        let _ = self.sender.blocking_send(Message::Event(event));
    }

    /// Sends if there is room: for progress, where the next event says more. `false`: dropped.
    pub fn offer(&self, event: Event) -> bool {
        self.note(&event);
        match self.sender.try_send(Message::Event(event)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => false,
        }
    }
}

impl EventSink {
    /// Says that no more is to be drawn, whoever still holds a sink: the stream ends behind what was sent
    /// so far.
    ///
    /// # Panics
    /// When called in async code.
    pub fn end_blocking(&self) {
        let _ = self.sender.blocking_send(Message::End);
    }

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
    /// The next event; `None` once every sink is gone, or one said that this is the end.
    pub async fn next(&mut self) -> Option<Event> {
        let message = self.receiver.recv().await;
        self.event(message)
    }

    /// The next event, from a thread of its own.
    ///
    /// # Panics
    /// When called in async code.
    pub fn next_blocking(&mut self) -> Option<Event> {
        let message = self.receiver.blocking_recv();
        self.event(message)
    }

    fn event(&mut self, message: Option<Message>) -> Option<Event> {
        match message? {
            Message::Event(event) => Some(event),
            Message::End => {
                self.receiver.close();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_ends_when_told_though_a_sink_lives() {
        let (sink, mut stream) = EventSink::channel(4);
        let forgotten = sink.clone();
        let started = || Event::Started { step: StepId(1) };
        assert!(sink.offer(started()));
        sink.end_blocking();
        assert!(matches!(stream.next_blocking(), Some(Event::Started { .. })));
        assert!(stream.next_blocking().is_none());
        assert!(!forgotten.offer(started()), "nobody draws it any more");
        // Neither waits for a drawer.
        forgotten.send_blocking(started());
        forgotten.end_blocking();
    }
}
