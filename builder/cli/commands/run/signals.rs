//! Signals of the caller, passed on to the command.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use builder::toolchain::OnStarting;
use runtime_exec::Killer;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The command to which signals go.
#[derive(Clone, Default)]
pub struct Signals(Arc<Mutex<Command>>);

#[derive(Default)]
enum Command {
    /// Its image is not there yet.
    #[default]
    Absent,
    /// It may run already; what it is to be told waits.
    Starting { waiting: Vec<SignalKind> },
    /// It runs.
    Runs(Killer),
}

/// What becomes of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The command has it, or gets it when it runs.
    PassedOn,
    /// It ends the command.
    Ends,
}

/// Whether a signal, sent again, ends a command that did not listen to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Insists {
    Yes,
    No,
}

impl Signals {
    /// Hears that the command is about to be started.
    pub fn starting(&self) -> OnStarting {
        let this = self.clone();
        Box::new(move || *this.command() = Command::Starting { waiting: Vec::new() })
    }

    /// Takes the command when it is started.
    pub fn receiver(&self) -> Box<dyn FnOnce(Killer) + Send> {
        let this = self.clone();
        Box::new(move |killer| {
            let mut command = this.command();
            if let Command::Starting { waiting } = &*command {
                waiting.iter().for_each(|kind| killer.signal(kind.as_raw_value()));
            }
            *command = Command::Runs(killer);
        })
    }

    fn command(&self) -> MutexGuard<'_, Command> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a signal to the command; `asked` counts those that insist, with this one.
    fn pass(&self, kind: SignalKind, insists: Insists, asked: u32) -> Fate {
        if insists == Insists::Yes && asked >= 2 {
            return Fate::Ends;
        }
        match &mut *self.command() {
            Command::Absent => return Fate::Ends,
            Command::Starting { waiting } => waiting.push(kind),
            Command::Runs(killer) => killer.signal(kind.as_raw_value()),
        }
        Fate::PassedOn
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
            match self.pass(kind, insists, asked) {
                Fate::PassedOn => {}
                Fate::Ends => return,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_waits_for_a_command_that_is_being_started() {
        let signals = Signals::default();
        let term = SignalKind::terminate();
        assert_eq!(signals.pass(term, Insists::Yes, 1), Fate::Ends, "nothing runs yet");
        signals.starting()();
        assert_eq!(signals.pass(term, Insists::Yes, 1), Fate::PassedOn);
        assert_eq!(signals.pass(SignalKind::user_defined1(), Insists::No, 1), Fate::PassedOn);
        assert!(matches!(&*signals.command(), Command::Starting { waiting } if waiting.len() == 2));
        assert_eq!(signals.pass(term, Insists::Yes, 2), Fate::Ends, "asked for twice");
    }
}
