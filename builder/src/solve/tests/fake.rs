//! A worker whose trees are maps and whose steps are functions of what they read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::FutureExt;
use futures::future::BoxFuture;
use graph::{FileAction, MountKind, Op};
use layer_store::{CacheKey, Component, ContentId, Difference, LayerId, Record, Side, Snapshot};
use thiserror::Error;
use tokio::sync::Barrier;

use super::{ALL, DICE, SAME};
use crate::error::{Categorised, Category, Cause};
use crate::worker::{Claim, Job, Offer, Reading, Tree, Worker};

/// Path to value.
pub(super) type Files = BTreeMap<String, String>;

/// One execution: the step, what it read, and the content of the layer it made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Production {
    pub(super) step: String,
    pub(super) reads: Vec<String>,
    pub(super) layer: Files,
}

/// What several workers share, as processes share a store.
#[derive(Default)]
pub(super) struct FakeStore {
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) records: BTreeMap<CacheKey, Record>,
    pub(super) layers: BTreeMap<LayerId, Files>,
    pub(super) productions: Vec<Production>,
    claims: BTreeSet<CacheKey>,
    made: usize,
}

/// What a step does besides its work.
#[derive(Clone)]
pub(super) enum Mishap {
    /// It fails.
    Fail,
    /// It never ends.
    Hang,
    /// It ends once as many steps as the barrier counts are there.
    Meet(Arc<Barrier>),
    /// It lets others go first.
    Yield,
}

/// A worker.
#[derive(Default)]
pub(super) struct FakeWorker {
    pub(super) store: Arc<FakeStore>,
    pub(super) context: Files,
    pub(super) mishaps: BTreeMap<String, Mishap>,
    pub(super) dropped: Arc<Mutex<Vec<String>>>,
    /// What other stores have.
    pub(super) offered: BTreeMap<CacheKey, Vec<Offer>>,
}

#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct FakeError(String);

impl Categorised for FakeError {
    fn category(&self) -> Category {
        Category::Step
    }
}

impl FakeStore {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the store")
    }

    /// How often a step ran.
    pub(super) fn runs(&self, step: &str) -> usize {
        self.lock().productions.iter().filter(|one| one.step == step).count()
    }

    /// How many executions there were.
    pub(super) fn executions(&self) -> usize {
        self.lock().productions.len()
    }

    /// The content of each layer of a snapshot.
    pub(super) fn contents(&self, snapshot: &Snapshot) -> Vec<Files> {
        let state = self.lock();
        snapshot.0.iter().map(|id| state.layers[id].clone()).collect()
    }
}

impl State {
    /// The merged tree.
    fn files(&self, tree: &Tree, context: &Files) -> Files {
        match tree {
            Tree::Empty => Files::new(),
            Tree::Local(_) => context.clone(),
            Tree::Snapshot(snapshot) => snapshot.0.iter().flat_map(|id| self.layers[id].clone()).collect(),
        }
    }

    fn whole(&self, record: &Record) -> bool {
        record.outputs.iter().flat_map(|snapshot| &snapshot.0).all(|id| self.layers.contains_key(id))
    }
}

/// The name of a step, and what it does.
fn describe(op: &Op) -> (String, String) {
    match op {
        Op::Exec(exec) => (exec.args[0].clone(), exec.args[1].clone()),
        Op::File(actions) => (format!("file {actions:?}"), ALL.to_owned()),
        Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::Merge | Op::Diff => {
            ("other".to_owned(), ALL.to_owned())
        }
    }
}

/// What a step reads, as one text for each reading.
pub(super) fn reads(op: &Op, trees: &[Files]) -> Vec<String> {
    let path = |tree: usize, path: &str| format!("{path}={:?}", trees[tree].get(path));
    match op {
        Op::Exec(exec) => {
            let root = trees.first().map(|tree| format!("{tree:?}"));
            let binds = exec.mounts.iter().filter_map(|mount| match &mount.kind {
                MountKind::Bind { input, source, .. } => Some(path(*input, source)),
                MountKind::Cache { .. }
                | MountKind::Tmpfs { .. }
                | MountKind::Secret { .. }
                | MountKind::Ssh { .. } => None,
            });
            root.into_iter().chain(binds).collect()
        }
        Op::File(actions) => actions
            .iter()
            .filter_map(|action| match action {
                FileAction::Copy(copy) => Some(path(copy.input, &copy.source)),
                FileAction::MkDir(_) | FileAction::MkFile(_) => None,
            })
            .collect(),
        Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::Merge | Op::Diff => Vec::new(),
    }
}

/// The layer a step makes. Every layer holds the step's own path, and `fixed`, which never varies.
fn layer(op: &Op, reads: &[String], nth: usize) -> Files {
    let (step, what) = describe(op);
    let value = match what.as_str() {
        SAME => "same".to_owned(),
        DICE => format!("throw {nth}"),
        _ => blake3::hash(reads.join("\n").as_bytes()).to_hex()[..12].to_string(),
    };
    match op {
        Op::File(actions) => actions
            .iter()
            .filter_map(|action| match action {
                FileAction::Copy(copy) => Some((copy.dest.clone(), value.clone())),
                FileAction::MkDir(_) | FileAction::MkFile(_) => None,
            })
            .collect(),
        Op::Exec(_) | Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::Merge | Op::Diff => {
            Files::from([(step, value), ("fixed".to_owned(), "fixed".to_owned())])
        }
    }
}

fn digest(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}

impl FakeWorker {
    /// A worker on a store of its own.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Another worker on the same store.
    pub(super) fn beside(&self) -> Self {
        Self { store: Arc::clone(&self.store), context: self.context.clone(), ..Self::default() }
    }

    fn produce(&self, job: &Job) -> Vec<Snapshot> {
        let mut state = self.store.lock();
        let trees: Vec<Files> = job.inputs.iter().map(|tree| state.files(tree, &self.context)).collect();
        let reads = reads(&job.op, &trees);
        state.made += 1;
        let made = state.made;
        let files =
            if matches!(*job.op, Op::Local(_)) { self.context.clone() } else { layer(&job.op, &reads, made) };
        let id: LayerId = format!("layer-{made}").parse().expect("a plain text");
        state.layers.insert(id.clone(), files.clone());
        state.productions.push(Production { step: describe(&job.op).0, reads, layer: files });
        let base = match job.inputs.first() {
            Some(Tree::Snapshot(base)) => base.clone(),
            Some(Tree::Empty | Tree::Local(_)) | None => Snapshot::default(),
        };
        vec![Snapshot([base.0, vec![id]].concat())]
    }
}

/// Says when it is dropped unfinished.
struct Watch {
    step: String,
    dropped: Arc<Mutex<Vec<String>>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.dropped.lock().expect("not poisoned").push(self.step.clone());
    }
}

struct FakeClaim {
    store: Arc<FakeStore>,
    key: CacheKey,
}

impl Drop for FakeClaim {
    fn drop(&mut self) {
        self.store.lock().claims.remove(&self.key);
    }
}

impl Worker for FakeWorker {
    fn planned(
        &self,
        _: &graph::Graph,
        _: &[graph::VertexId],
        _: &BTreeMap<graph::VertexId, crate::solve::Name>,
    ) {
    }

    fn missed(&self, _: crate::event::StepId) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }

    fn digest(&self, tree: Tree, reading: Reading) -> BoxFuture<'_, Result<[u8; 32], Cause>> {
        let files = self.store.lock().files(&tree, &self.context);
        let path = reading.name();
        let answer = match files.get(path) {
            _ if path == "/" => Ok(digest(&format!("{files:?}"))),
            Some(value) => Ok(digest(&format!("{path}={value}"))),
            None if matches!(tree, Tree::Local(_)) => Err(FakeError(format!("{path}: not found")).into()),
            None => Ok(digest(path)),
        };
        async move { answer }.boxed()
    }

    fn content(&self, layer: LayerId) -> BoxFuture<'_, Result<ContentId, Cause>> {
        let files = format!("{:?}", self.store.lock().layers[&layer]);
        async move { Ok(ContentId(digest(&files))) }.boxed()
    }

    fn differences(
        &self,
        one: Vec<LayerId>,
        other: Vec<LayerId>,
    ) -> BoxFuture<'_, Result<Vec<Difference>, Cause>> {
        let state = self.store.lock();
        let files =
            |layers: &[LayerId]| -> Files { layers.iter().flat_map(|id| state.layers[id].clone()).collect() };
        let (one, other) = (files(&one), files(&other));
        let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        let side = |path: &String| match (one.get(path), other.get(path)) {
            (Some(a), Some(b)) if a == b => None,
            (Some(_), Some(_)) => Some(Side::Both),
            (Some(_), None) => Some(Side::One),
            (None, _) => Some(Side::Other),
        };
        let all: Vec<Difference> = paths
            .iter()
            .filter_map(|path| Some(Difference { path: path.into(), side: side(path)? }))
            .collect();
        async move { Ok(all) }.boxed()
    }

    fn execute(&self, job: Job) -> BoxFuture<'_, Result<Vec<Snapshot>, Cause>> {
        async move {
            let step = describe(&job.op).0;
            let watch = Watch { step: step.clone(), dropped: Arc::clone(&self.dropped) };
            match self.mishaps.get(&step) {
                None => {}
                Some(Mishap::Fail) => return Err(FakeError(format!("{step} failed")).into()),
                Some(Mishap::Hang) => std::future::pending().await,
                Some(Mishap::Meet(barrier)) => {
                    barrier.wait().await;
                }
                Some(Mishap::Yield) => {
                    for _ in 0..10 {
                        tokio::task::yield_now().await;
                    }
                }
            }
            std::mem::forget(watch);
            Ok(self.produce(&job))
        }
        .boxed()
    }

    fn secrets(&self, _: &Op) -> BoxFuture<'_, Vec<Component>> {
        std::future::ready(Vec::new()).boxed()
    }

    fn record(&self, key: CacheKey) -> BoxFuture<'_, Option<Record>> {
        let state = self.store.lock();
        let record = state.records.get(&key).filter(|record| state.whole(record)).cloned();
        async move { record }.boxed()
    }

    fn offers(&self, key: CacheKey) -> BoxFuture<'_, Vec<Offer>> {
        let offers = self.offered.get(&key).cloned().unwrap_or_default();
        std::future::ready(offers).boxed()
    }

    fn expect(&self, _: &Op) {}

    fn settled(&self, _: graph::VertexId, _: &[Snapshot]) {}

    fn file(&self, records: Vec<(CacheKey, Record)>) -> BoxFuture<'_, Result<(), Cause>> {
        self.store.lock().records.extend(records);
        async { Ok(()) }.boxed()
    }

    fn claim(&self, key: CacheKey) -> BoxFuture<'_, Option<Claim>> {
        async move {
            while !self.store.lock().claims.insert(key) {
                tokio::task::yield_now().await;
            }
            Some(Box::new(FakeClaim { store: Arc::clone(&self.store), key }) as Claim)
        }
        .boxed()
    }
}
