//! Watches one build and leaves it in the journal.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use graph::{Graph, VertexId};
use layer_store::{LayerId, UnfinishedBuild};

use super::describe::describe;
use super::{Asked, Build, State, Step, why};
use crate::Session;
use crate::event::{Ending, Event, StepId};
use crate::solve::Name;
use crate::worker::{Permit, blocking};

/// The recorder of one build. Clones share it.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Inner>);

struct Inner {
    began: Instant,
    no_cache: bool,
    missed: AtomicBool,
    journal: Mutex<Option<UnfinishedBuild>>,
    state: Mutex<Recorded>,
}

struct Recorded {
    build: Build,
    /// Where each step stands in the build.
    places: HashMap<u32, usize>,
    transfers: BTreeMap<(StepId, String), u64>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder(..)")
    }
}

impl Recorder {
    /// Begins. Where the journal cannot be written, the build goes on without one.
    pub(crate) fn begin(session: &Session, asked: Asked, no_cache: bool) -> Self {
        let journal = session.lease.begin_build().ok();
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let build = Build {
            id: journal.as_ref().map(|journal| journal.id().to_string()).unwrap_or_default(),
            asked,
            text: None,
            began: millis(since),
            millis: 0,
            failure: None,
            steps: Vec::new(),
        };
        Self(Arc::new(Inner {
            began: Instant::now(),
            no_cache,
            missed: AtomicBool::new(false),
            journal: Mutex::new(journal),
            state: Mutex::new(Recorded { build, places: HashMap::new(), transfers: BTreeMap::new() }),
        }))
    }

    fn state(&self) -> MutexGuard<'_, Recorded> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn journal(&self) -> MutexGuard<'_, Option<UnfinishedBuild>> {
        self.0.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The build's name in the journal; empty where that could not be written.
    pub(crate) fn id(&self) -> String {
        self.state().build.id.clone()
    }

    /// When it began, in seconds since 1970.
    pub(crate) fn began(&self) -> i64 {
        i64::try_from(self.state().build.began / 1000).unwrap_or(0)
    }

    /// Takes the build file's text.
    pub(crate) fn build_file(&self, text: Option<String>) {
        self.state().build.text = text;
    }

    /// The title of a step.
    pub(crate) fn title(&self, step: StepId) -> String {
        self.state().build.step(step.0).map(|one| one.title.clone()).unwrap_or_default()
    }

    /// Titles of the steps that began and did not end.
    pub(crate) fn running(&self) -> Vec<String> {
        let state = self.state();
        let open = |step: &&Step| step.state == State::Waiting && step.began > 0;
        state.build.steps.iter().filter(open).map(|step| step.title.clone()).collect()
    }

    /// Keeps the state of a failed step. Without a journal there is nothing to keep it in.
    pub(crate) fn keep_state(&self, step: StepId, layers: &[LayerId], document: serde_json::Value) {
        if let Some(journal) = self.journal().as_ref() {
            drop(journal.keep_state(step.0, layers, document));
        }
    }

    /// Takes the steps of the graph with what their keys were made of.
    pub(crate) fn planned(&self, graph: &Graph, order: &[VertexId], names: &BTreeMap<VertexId, Name>) {
        let mut state = self.state();
        let steps = describe(graph, order, names, state.build.text.as_deref(), self.0.no_cache);
        // What stood there before is known by its events: titles, and that contexts were read.
        let ids: std::collections::BTreeSet<u32> = steps.iter().map(|step| step.id).collect();
        state.build.steps.retain(|step| !ids.contains(&step.id));
        state.build.steps.extend(steps);
        state.places = state.build.steps.iter().enumerate().map(|(at, step)| (step.id, at)).collect();
    }

    /// Looks at an event that is being sent.
    pub(crate) fn note(&self, event: &Event) {
        let now = millis(self.0.began.elapsed());
        match event {
            Event::Planned { step, title, span: _, inputs: _ } => {
                self.with(*step, |one| one.title.clone_from(title));
            }
            Event::Started { step } => self.with(*step, |one| one.began = now),
            Event::Log { step, stream: _, bytes } => {
                self.with(*step, |one| one.log_bytes += bytes.len() as u64);
                if let Some(journal) = self.journal().as_ref() {
                    // A log that cannot be kept must not end the build.
                    drop(journal.append(step.0, bytes));
                }
            }
            Event::Transfer { step, name, done, total: _ } => {
                self.state().transfers.insert((*step, name.clone()), *done);
            }
            Event::Finished { step, ending, took } => {
                self.with(*step, |one| {
                    one.millis = millis(*took);
                    one.state = match ending {
                        Ending::Done => State::Ran,
                        Ending::Cached => State::Cached,
                        Ending::Failed(_) => State::Failed,
                        Ending::Cancelled => State::Cancelled,
                    };
                    if one.state == State::Cached {
                        one.began = now;
                    }
                });
                if let Some(journal) = self.journal().as_ref() {
                    drop(journal.close(step.0));
                }
            }
            Event::Missed { step, why } => self.with(*step, |one| one.why = Some(why.clone())),
            Event::BuildFile { .. } | Event::Diagnostic(_) | Event::Warning(_) | Event::Beat => {}
        }
    }

    fn with(&self, step: StepId, change: impl FnOnce(&mut Step)) {
        let mut state = self.state();
        let Recorded { build, places, .. } = &mut *state;
        let at = *places.entry(step.0).or_insert_with(|| {
            build.steps.push(Step { id: step.0, ..Step::default() });
            build.steps.len() - 1
        });
        change(&mut build.steps[at]);
    }

    /// Tells why the first step that runs was not found; says nothing of later ones.
    pub(crate) async fn missed(&self, session: &Session, step: StepId) {
        if self.0.missed.swap(true, Ordering::Relaxed) {
            return;
        }
        let (store, now) = (session.store.clone(), self.state().build.clone());
        let why = blocking(Permit::free(), move || why(&store, &now, step.0));
        if let Some(why) = why.await {
            session.events.send(Event::Missed { step, why }).await;
        }
    }

    /// Ends: the build is in the journal from now on.
    pub(crate) async fn finish(&self, failure: Option<String>) -> Build {
        let build = {
            let mut state = self.state();
            state.build.millis = millis(self.0.began.elapsed());
            state.build.failure = failure;
            for ((step, _), bytes) in std::mem::take(&mut state.transfers) {
                if let Some(one) = state.build.steps.iter_mut().find(|one| one.id == step.0) {
                    one.transferred += bytes;
                }
            }
            state.build.clone()
        };
        let journal = self.journal().take();
        if let (Some(journal), Ok(document)) = (journal, serde_json::to_vec(&build)) {
            // A journal that cannot be written costs an explanation later, never the build.
            drop(blocking(Permit::free(), move || journal.finish(&document)).await);
        }
        build
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
