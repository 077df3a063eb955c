//! Signals of the caller, passed on to the command.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use runtime_exec::Killer;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The command, once it runs.
#[derive(Clone, Default)]
pub struct Signals(Arc<Mutex<Option<Killer>>>);

/// Whether a signal, sent again, ends a command that did not listen to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Insists {
    Yes,
    No,
}

impl Signals {
    /// Takes the command when it is started.
    pub fn receiver(&self) -> Box<dyn FnOnce(Killer) + Send> {
        let slot = Arc::clone(&self.0);
        Box::new(move |killer| *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(killer))
    }

    /// Passes signals on. Ends when the user insists on the end: by a signal before the command runs,
    /// or by a second one of a command that did not listen to the first.
    pub async fn pass_on(&self) {
        let mut asked = 0;
        let kinds = [
            (SignalKind::interrupt(), Insists::Yes),
            (SignalKind::terminate(), Insists::Yes),
            (SignalKind::hangup(), Insists::Yes),
            (SignalKind::quit(), Insists::Yes),
            (SignalKind::user_defined1(), Insists::No),
            (SignalKind::user_defined2(), Insists::No),
        ];
        let mut listeners: Vec<(SignalKind, Insists, Signal)> = kinds
            .into_iter()
            .filter_map(|(kind, insists)| Some((kind, insists, signal(kind).ok()?)))
            .collect();
        loop {
            let (kind, insists) = next(&mut listeners).await;
            asked += u32::from(insists == Insists::Yes);
            let killer = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match killer {
                Some(killer) if asked < 2 || insists == Insists::No => killer.signal(kind.as_raw_value()),
                Some(_) | None => return,
            }
        }
    }
}

/// The next signal of any kind.
async fn next(listeners: &mut [(SignalKind, Insists, Signal)]) -> (SignalKind, Insists) {
    std::future::poll_fn(|context| {
        let heard = listeners.iter_mut().find_map(|(kind, insists, listener)| {
            listener.poll_recv(context).is_ready().then_some((*kind, *insists))
        });
        heard.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}
