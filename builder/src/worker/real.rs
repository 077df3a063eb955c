//! The worker that works: on the store, the network, and in sandboxes.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use graph::{ContextName, ExecOp, FileAction, Graph, MountKind, Network, Op, VertexId};
use layer_store::{CacheKey, Component, ContentId, Difference, LayerId, Lease, Record, Side, Snapshot};
use runtime_exec::NetworkMode;

use super::contexts::Contexts;
use super::{Claim, Job, Offer, Permit, Permits, Reading, Tree, Worker, blocking, http};
use crate::Session;
use crate::cache::{Feed, Shelf};
use crate::debug;
use crate::error::Cause;
use crate::event::{Event, StepId};
use crate::exec::{StepResources, run_exec};
use crate::file::{self, Again, FileInput};
use crate::git;
use crate::history::Recorder;
use crate::image::pull_image;
use crate::plan::Unsupported;
use crate::request::{ContextMetadata, LocalContext};
use crate::solve::{Name, SECRET};

/// The worker of one build.
pub(crate) struct RealWorker {
    session: Session,
    recorder: Recorder,
    shelf: Shelf,
    feed: Feed,
    resources: StepResources,
    contexts: Contexts,
    readers: Permits,
    contents: Mutex<HashMap<LayerId, ContentId>>,
}

impl RealWorker {
    /// For a build with these contexts and step resources.
    pub(crate) fn new(
        session: Session,
        recorder: Recorder,
        (shelf, feed): (Shelf, Feed),
        contexts: BTreeMap<ContextName, LocalContext>,
        metadata: ContextMetadata,
        resources: StepResources,
    ) -> Self {
        let readers = Permits::new(std::thread::available_parallelism().map_or(2, usize::from));
        let contexts = Contexts::new(session.store.clone(), contexts, metadata);
        Self { session, recorder, shelf, feed, resources, contexts, readers, contents: Mutex::default() }
    }

    async fn file_input(&self, tree: &Tree, step: Option<StepId>) -> Result<FileInput, Cause> {
        Ok(match tree {
            Tree::Empty => FileInput::Snapshot(Snapshot::default()),
            Tree::Snapshot(snapshot) => {
                self.shelf.bring(snapshot, step).await?;
                FileInput::Snapshot(snapshot.clone())
            }
            Tree::Local(source) => match self.contexts.layers(source) {
                Some(snapshot) => FileInput::Snapshot(snapshot.clone()),
                None => FileInput::Context(self.contexts.scan(source).await?),
            },
        })
    }

    /// A tree as layers; of a local context only the given paths.
    async fn layers(
        &self,
        tree: &Tree,
        paths: Vec<String>,
        step: Option<StepId>,
    ) -> Result<Option<Snapshot>, Cause> {
        let source = match tree {
            Tree::Empty => return Ok(None),
            Tree::Snapshot(snapshot) => {
                self.shelf.bring(snapshot, step).await?;
                return Ok(Some(snapshot.clone()));
            }
            Tree::Local(source) => source,
        };
        if let Some(snapshot) = self.contexts.layers(source) {
            return Ok(Some(snapshot.clone()));
        }
        let scan = self.contexts.scan(source).await?;
        let (store, lease) = (self.session.store.clone(), self.session.lease.clone());
        let layers = blocking(self.readers.acquire().await, move || {
            paths
                .iter()
                .map(|path| file::materialise(&store, &lease, &scan, path))
                .collect::<Result<Vec<_>, _>>()
        });
        Ok(Some(Snapshot(layers.await?)))
    }

    async fn run_file(
        &self,
        actions: Vec<FileAction>,
        inputs: Vec<Tree>,
        again: Again,
        permit: Permit,
        step: StepId,
    ) -> Result<Vec<Snapshot>, Cause> {
        let mut sources = Vec::with_capacity(inputs.len());
        for tree in &inputs {
            sources.push(self.file_input(tree, Some(step)).await?);
        }
        let root = inputs.into_iter().next().unwrap_or(Tree::Empty);
        let base = self.layers(&root, vec!["/".to_owned()], Some(step)).await?.unwrap_or_default();
        let (store, lease) = (self.session.store.clone(), self.session.lease.clone());
        let made = {
            let base = base.clone();
            blocking(permit, move || file::run_file(&store, &lease, &actions, &base, &sources, again)).await?
        };
        for remark in made.remarks {
            self.session.events.send(Event::Warning(remark)).await;
        }
        Ok(vec![base.with(made.layer)])
    }

    async fn run_diff(
        &self,
        inputs: Vec<Tree>,
        permit: Permit,
        step: StepId,
    ) -> Result<Vec<Snapshot>, Cause> {
        let mut trees = Vec::with_capacity(2);
        for tree in &inputs {
            trees.push(self.layers(tree, vec!["/".to_owned()], Some(step)).await?.unwrap_or_default());
        }
        let (upper, lower) = (trees.pop().unwrap_or_default(), trees.pop().unwrap_or_default());
        let (store, lease) = (self.session.store.clone(), self.session.lease.clone());
        let layer = blocking(permit, move || file::difference(&store, &lease, &lower, &upper)).await?;
        Ok(vec![Snapshot(vec![layer])])
    }

    async fn run_exec(&self, op: &ExecOp, job: &Job) -> Result<Vec<Snapshot>, Cause> {
        let mut inputs = Vec::with_capacity(job.inputs.len());
        for (position, tree) in job.inputs.iter().enumerate() {
            inputs.push(self.layers(tree, mounted_paths(op, position), Some(job.step)).await?);
        }
        match run_exec(&self.session, op, &inputs, job.step, &self.resources).await {
            Ok(outputs) => Ok(outputs),
            Err(failed) => {
                let resources = &self.resources;
                Err(debug::keep(&self.recorder, job.step, op, &inputs, resources, failed).await.into())
            }
        }
    }

    async fn execute(&self, mut job: Job) -> Result<Vec<Snapshot>, Cause> {
        let permit = std::mem::replace(&mut job.permit, Permit::free());
        let op = Arc::clone(&job.op);
        match &*op {
            Op::Image(source) => Ok(vec![pull_image(&self.session, source, job.step).await?]),
            Op::Http(source) => Ok(vec![http::fetch(&self.session, source, job.step).await?]),
            Op::File(actions) => {
                self.run_file(actions.clone(), job.inputs, job.again, permit, job.step).await
            }
            Op::Exec(exec) => {
                let result = self.run_exec(exec, &job).await;
                drop(permit);
                result
            }
            Op::Git(source) => Ok(vec![git::fetch(&self.session, source).await?]),
            Op::Diff => self.run_diff(job.inputs, permit, job.step).await,
            Op::Local(source) => {
                let tree = Tree::Local(Arc::new(source.clone()));
                Ok(vec![self.layers(&tree, vec!["/".to_owned()], Some(job.step)).await?.unwrap_or_default()])
            }
            Op::Merge => Err(unsupported("a merge that is a step")),
        }
    }

    /// The content of a layer. A layer of an image is known by its name, so that the files of a base
    /// need not be read to know what stands upon it.
    async fn content_of(&self, layer: LayerId) -> Result<ContentId, Cause> {
        if layer.names_content() {
            return Ok(ContentId(*blake3::hash(layer.as_str().as_bytes()).as_bytes()));
        }
        if let Some(known) = self.lock_contents().get(&layer) {
            return Ok(*known);
        }
        if let Some(told) = self.shelf.content(&layer).await {
            return Ok(told);
        }
        self.shelf.bring(&Snapshot(vec![layer.clone()]), None).await?;
        let (store, id) = (self.session.store.clone(), layer.clone());
        let content = blocking(self.readers.acquire().await, move || store.content_id(&id)).await?;
        self.lock_contents().insert(layer, content);
        Ok(content)
    }

    fn lock_contents(&self) -> MutexGuard<'_, HashMap<LayerId, ContentId>> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secrets that a process gets.
fn secret_ids(op: &ExecOp) -> BTreeSet<String> {
    let mounted = op.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Secret { id, .. } => Some(id),
        MountKind::Bind { .. }
        | MountKind::Cache { .. }
        | MountKind::Tmpfs { .. }
        | MountKind::Ssh { .. } => None,
    });
    mounted.chain(op.secret_env.iter().map(|one| &one.id)).cloned().collect()
}

fn unsupported(what: &str) -> Cause {
    Unsupported { what: what.to_owned() }.into()
}

/// The paths of an input that a process has mounted; all of it for the root.
fn mounted_paths(op: &ExecOp, position: usize) -> Vec<String> {
    let path = |kind: &MountKind| match kind {
        MountKind::Bind { input, source, .. } if *input == position => Some(source.clone()),
        MountKind::Cache { seed: Some(input), .. } if *input == position => Some("/".to_owned()),
        MountKind::Bind { .. }
        | MountKind::Cache { .. }
        | MountKind::Tmpfs { .. }
        | MountKind::Secret { .. }
        | MountKind::Ssh { .. } => None,
    };
    let mut paths: Vec<String> = op.mounts.iter().filter_map(|mount| path(&mount.kind)).collect();
    if position == 0 {
        paths.push("/".to_owned());
    }
    paths.sort();
    paths.dedup();
    paths
}

/// Keeps what was read, file by file, for explanations. Without it a build is as good.
fn keep_listing(lease: &Lease, input: &FileInput, reading: &Reading, digest: &[u8; 32]) {
    if lease.store().has_listing(digest) {
        return;
    }
    let store = lease.store();
    let written = lease.write_listing(digest, &mut |to| {
        let failed = |source| file::FileError::Read { path: "the listing".to_owned(), source };
        let hear: &mut file::Hear<'_> = &mut |listed| listed.write(to).map_err(failed);
        let read = match reading {
            Reading::Copy(copy) => file::selection_listing(store, input, copy, hear),
            Reading::Path(path) => file::bind_listing(store, input, path, hear),
            Reading::Whole => file::bind_listing(store, input, "/", hear),
        };
        read.map_err(std::io::Error::other)
    });
    drop(written);
}

impl Worker for RealWorker {
    fn digest(&self, tree: Tree, reading: Reading) -> BoxFuture<'_, Result<[u8; 32], Cause>> {
        async move {
            let input = self.file_input(&tree, None).await?;
            let of_context = matches!(tree, Tree::Local(_));
            let lease = self.session.lease.clone();
            let permit = self.readers.acquire().await;
            let digest = blocking(permit, move || {
                let digest = match &reading {
                    Reading::Copy(copy) => file::selection_digest(lease.store(), &input, copy),
                    Reading::Path(path) => file::bind_digest(lease.store(), &input, path),
                    Reading::Whole => file::bind_digest(lease.store(), &input, "/"),
                }?;
                let digest = match &input {
                    FileInput::Context(scan) => scan.dated(digest),
                    FileInput::Snapshot(_) => digest,
                };
                if of_context {
                    keep_listing(&lease, &input, &reading, &digest);
                }
                Ok::<_, file::FileError>(digest)
            });
            Ok(digest.await?)
        }
        .boxed()
    }

    fn content(&self, layer: LayerId) -> BoxFuture<'_, Result<ContentId, Cause>> {
        self.content_of(layer).boxed()
    }

    fn differences(
        &self,
        one: Vec<LayerId>,
        other: Vec<LayerId>,
    ) -> BoxFuture<'_, Result<Vec<Difference>, Cause>> {
        async move {
            let layers = Snapshot(one.iter().chain(&other).cloned().collect());
            self.shelf.bring(&layers, None).await?;
            let store = self.session.store.clone();
            let all = blocking(self.readers.acquire().await, move || {
                let mut all = Vec::new();
                for (one, other) in one.iter().zip(&other).filter(|(one, other)| one != other) {
                    all.extend(store.differences(one, other)?);
                }
                let root = |side| Difference { path: PathBuf::new(), side };
                match one.len().cmp(&other.len()) {
                    Ordering::Less => all.push(root(Side::Other)),
                    Ordering::Equal => {}
                    Ordering::Greater => all.push(root(Side::One)),
                }
                Ok::<_, layer_store::StoreError>(all)
            });
            Ok(all.await?)
        }
        .boxed()
    }

    fn execute(&self, job: Job) -> BoxFuture<'_, Result<Vec<Snapshot>, Cause>> {
        async move {
            let made = RealWorker::execute(self, job).await?;
            self.session.keep_room().await;
            Ok(made)
        }
        .boxed()
    }

    fn secrets(&self, op: &Op) -> BoxFuture<'_, Vec<Component>> {
        let Op::Exec(exec) = op else { return std::future::ready(Vec::new()).boxed() };
        let (store, resources) = (self.session.store.clone(), self.resources.clone());
        let ids = secret_ids(exec);
        if ids.is_empty() {
            return std::future::ready(Vec::new()).boxed();
        }
        // A secret that cannot be read fails the step, not this.
        let mark = move |id: String| {
            let value = resources.secret(&id, false).ok()??;
            Some(Component { name: format!("{SECRET}{id}"), value: store.fingerprint(&value).ok()? })
        };
        blocking(Permit::free(), move || ids.into_iter().filter_map(mark).collect()).boxed()
    }

    fn record(&self, key: CacheKey) -> BoxFuture<'_, Option<Record>> {
        let lease = self.session.lease.clone();
        blocking(Permit::free(), move || lease.record(&key).ok()?).boxed()
    }

    fn offers(&self, key: CacheKey) -> BoxFuture<'_, Vec<Offer>> {
        self.shelf.offers(key).boxed()
    }

    fn expect(&self, op: &Op) {
        let network = &self.resources.network;
        match (op, network.default) {
            (Op::Exec(exec), NetworkMode::Private) if exec.network == Network::Default => {
                self.session.keepers.expect_network(network.gateway);
            }
            (_, NetworkMode::Private | NetworkMode::None | NetworkMode::Host) => {}
        }
    }

    fn settled(&self, id: VertexId, outputs: &[Snapshot]) {
        self.feed.tell(id, outputs);
    }

    fn file(&self, records: Vec<(CacheKey, Record)>) -> BoxFuture<'_, Result<(), Cause>> {
        let lease = self.session.lease.clone();
        async move { Ok(blocking(Permit::free(), move || lease.put_records(&records)).await?) }.boxed()
    }

    fn planned(&self, graph: &Graph, order: &[VertexId], names: &BTreeMap<VertexId, Name>) {
        self.recorder.planned(graph, order, names);
    }

    fn missed(&self, step: StepId) -> BoxFuture<'_, ()> {
        self.recorder.missed(&self.session, step).boxed()
    }

    fn claim(&self, key: CacheKey) -> BoxFuture<'_, Option<Claim>> {
        let claimed = super::claim(&self.session.store, key);
        claimed.map(|claim| claim.map(|claim| Box::new(claim) as Claim)).boxed()
    }
}
