//! Runs the needed steps, each as soon as its inputs are there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use graph::{Edge, Graph, Op, VertexId};

use super::attempt::{Attempt, How};
use super::decide::Decision;
use super::name::Name;
use super::solved::{Solution, Solved};
use super::{Solver, counted, step_id};
use crate::cache::is_lost;
use crate::error::{Cause, StepFailure};
use crate::event::{Ending, Event};
use crate::file::Again;
use crate::keys;
use crate::request::OnFailure;
use crate::worker::{Job, Tree};

/// One run over the needed steps.
pub(crate) struct Run<'a> {
    pub(crate) solver: &'a Solver<'a>,
    pub(crate) graph: &'a Graph,
    pub(crate) targets: &'a [Edge],
    pub(crate) names: &'a BTreeMap<VertexId, Name>,
    pub(crate) decision: &'a Decision,
}

/// The steps that are executing now, and since when.
#[derive(Default)]
pub(super) struct Executing(Mutex<BTreeMap<VertexId, Instant>>);

impl Executing {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<VertexId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn began(&self, id: VertexId) {
        self.lock().insert(id, Instant::now());
    }

    fn ended(&self, id: VertexId) -> Duration {
        self.lock().remove(&id).map_or(Duration::ZERO, |began| began.elapsed())
    }

    fn left(&self) -> BTreeMap<VertexId, Instant> {
        std::mem::take(&mut *self.lock())
    }
}

/// What the steps wait for.
struct Queue {
    missing: BTreeMap<VertexId, usize>,
    users: BTreeMap<VertexId, Vec<VertexId>>,
    ready: Vec<VertexId>,
}

impl Queue {
    fn new(run: &Run<'_>, demanded: &[VertexId]) -> Self {
        let mut queue = Self { missing: BTreeMap::new(), users: BTreeMap::new(), ready: Vec::new() };
        for &id in demanded {
            let inputs = run.waits_for(id);
            for used in &inputs {
                queue.users.entry(*used).or_default().push(id);
            }
            match inputs.len() {
                0 => queue.ready.push(id),
                count => {
                    queue.missing.insert(id, count);
                }
            }
        }
        queue
    }

    fn done(&mut self, id: VertexId) {
        for user in self.users.remove(&id).unwrap_or_default() {
            let Some(count) = self.missing.get_mut(&user) else { continue };
            *count -= 1;
            if *count == 0 {
                self.missing.remove(&user);
                self.ready.push(user);
            }
        }
    }
}

impl Run<'_> {
    /// Runs them all. The first failure ends the others, unless those are to go on; what depends on a
    /// failed step never runs.
    pub(crate) async fn all(&self, demanded: &[VertexId]) -> Result<Solution, Box<StepFailure>> {
        let executing = Executing::default();
        let result = self.loop_over(demanded, &executing).await;
        if result.is_err() {
            for (id, began) in executing.left() {
                self.solver.ended(id, Ending::Cancelled, began.elapsed()).await;
            }
        }
        result
    }

    async fn loop_over(
        &self,
        demanded: &[VertexId],
        executing: &Executing,
    ) -> Result<Solution, Box<StepFailure>> {
        let mut queue = Queue::new(self, demanded);
        let weights = super::weight::weights(self.graph, self.decision, demanded);
        let mut failures: Vec<StepFailure> = Vec::new();
        let mut solution = Solution::default();
        for id in demanded.iter().filter(|id| !self.decision.usable.contains(id)) {
            self.solver.worker.expect(&self.graph.vertex(*id).op);
        }
        let mut running = FuturesUnordered::new();
        loop {
            queue.ready.sort_by_key(|id| std::cmp::Reverse(weights.get(id).copied()));
            for id in queue.ready.drain(..) {
                let weight = weights.get(&id).copied().unwrap_or_default();
                let inputs = self.inputs(id, &solution);
                let lineage = self.lineage(id, &solution);
                running.push(async move { (id, self.one((id, weight), inputs, lineage, executing).await) });
            }
            let Some((id, result)) = running.next().await else { break };
            let took = executing.ended(id);
            match result {
                Ok((solved, how)) => {
                    self.solver.worker.settled(id, &solved.outputs);
                    self.note(id, how, took, &mut solution).await;
                    solution.results.insert(id, solved);
                    queue.done(id);
                }
                Err(cause) => {
                    let goes_on = self.solver.policy.on_failure == OnFailure::KeepGoing && !is_lost(&cause);
                    let failure = self.solver.failed(self.graph, id, cause, took).await;
                    if !goes_on {
                        return Err(failure);
                    }
                    failures.push(*failure);
                }
            }
        }
        if failures.is_empty() {
            return Ok(solution);
        }
        let first = failures.remove(0);
        Err(Box::new(StepFailure { others: failures, ..first }))
    }

    async fn note(&self, id: VertexId, how: How, took: Duration, solution: &mut Solution) {
        let op = &self.graph.vertex(id).op;
        let count = usize::from(counted(op));
        let ending = match how {
            How::Ran => {
                solution.counts.ran += count;
                Ending::Done
            }
            How::Found => {
                solution.counts.cached += count;
                solution.found.insert(id);
                Ending::Cached
            }
        };
        if !matches!(op, Op::Local(_)) {
            self.solver.ended(id, ending, took).await;
        }
    }

    /// What has to be there before a step can be looked at.
    fn waits_for(&self, id: VertexId) -> BTreeSet<VertexId> {
        if self.decision.usable.contains(&id) {
            return BTreeSet::new();
        }
        self.graph.vertex(id).inputs.iter().flatten().map(|edge| edge.vertex).collect()
    }

    fn inputs(&self, id: VertexId, solution: &Solution) -> Vec<Tree> {
        let selects = !needs_layers(&self.graph.vertex(id).op);
        let tree = |input: &graph::Input| match input {
            None => Tree::Empty,
            Some(edge) => match self.graph.vertex(edge.vertex).op.local() {
                Some(source) if selects => Tree::Local(Arc::new(source.clone())),
                Some(_) | None => solution.snapshot(*edge).cloned().map_or(Tree::Empty, Tree::Snapshot),
            },
        };
        self.graph.vertex(id).inputs.iter().map(tree).collect()
    }

    /// The results that go into a step, with all that went into them.
    fn lineage(
        &self,
        id: VertexId,
        solution: &Solution,
    ) -> BTreeMap<layer_store::CacheKey, layer_store::ResultId> {
        let mut lineage = BTreeMap::new();
        for used in self.waits_for(id) {
            let Some(solved) = solution.results.get(&used) else { continue };
            lineage.extend(solved.lineage.iter().map(|(&key, &result)| (key, result)));
            if super::web::is_step(&self.graph.vertex(used).op) {
                lineage.insert(self.names[&used].key, keys::identity(&solved.outputs));
            }
        }
        lineage
    }

    /// A local context is made into layers only where nothing selects from it: as a target, or in a
    /// merge.
    async fn local(&self, id: VertexId) -> Result<Vec<layer_store::Snapshot>, Cause> {
        let target = self.targets.iter().any(|edge| edge.vertex == id);
        if !target && !self.graph.users(id).any(|user| needs_layers(&self.graph.vertex(user).op)) {
            return Ok(Vec::new());
        }
        let job = Job {
            step: step_id(id),
            op: Arc::new(self.graph.vertex(id).op.clone()),
            inputs: Vec::new(),
            again: Again::Nothing,
            permit: self.solver.permits.acquire().await,
        };
        self.solver.worker.execute(job).await
    }

    async fn one(
        &self,
        (id, weight): (VertexId, u64),
        inputs: Vec<Tree>,
        lineage: BTreeMap<layer_store::CacheKey, layer_store::ResultId>,
        executing: &Executing,
    ) -> Result<(Solved, How), Cause> {
        if let (true, Some(record)) = (self.decision.usable.contains(&id), self.decision.records.get(&id)) {
            return Ok((Solved::from_record(record), How::Found));
        }
        let vertex = self.graph.vertex(id);
        match &vertex.op {
            Op::Local(_) => Ok((Solved { outputs: self.local(id).await?, lineage }, How::Found)),
            Op::Merge => Ok((Solved { outputs: vec![merged(&inputs)], lineage }, How::Found)),
            Op::Image(_) | Op::Git(_) | Op::Http(_) | Op::Exec(_) | Op::File(_) | Op::Diff => {
                let attempt = Attempt {
                    solver: self.solver,
                    id,
                    vertex,
                    name: &self.names[&id],
                    inputs,
                    lineage,
                    weight,
                };
                attempt.run(executing).await
            }
        }
    }
}

impl Solver<'_> {
    pub(super) async fn started(&self, id: VertexId) {
        self.events.send(Event::Started { step: step_id(id) }).await;
    }
}

/// The layers of all inputs on top of one another.
pub(super) fn merged(inputs: &[Tree]) -> layer_store::Snapshot {
    let layers = |tree: &Tree| match tree {
        Tree::Snapshot(snapshot) => snapshot.0.clone(),
        Tree::Empty | Tree::Local(_) => Vec::new(),
    };
    layer_store::Snapshot(inputs.iter().flat_map(layers).collect())
}

/// Whether an op takes its inputs as layers, whatever they are.
pub(super) fn needs_layers(op: &Op) -> bool {
    match op {
        Op::Merge | Op::Diff => true,
        Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::Exec(_) | Op::File(_) => false,
    }
}
