//! From vertices to results.
//!
//! 1. [`name`]: read the local contexts where steps read them, name every step;
//! 2. [`choose`], [`decide`]: read the records under these names once, here and in other stores, decide
//!    which may be used as they are, and from the targets, which results are needed at all;
//! 3. [`run`]: run the needed steps, each as soon as its inputs are there. An [`attempt`] looks for
//!    a record under the result key, claims that key, looks once more, and only then executes;
//! 4. [`settle`]: a step that ran again and came to the same content takes its older layer, so that
//!    the cascade stops;
//! 5. [`verify`]: where it is asked for, some of the steps that were found are run again and compared.
//!
//! The whole is one future that owns everything it started: dropping it stops the build. The first
//! failure drops the rest.

mod attempt;
mod choose;
mod decide;
mod name;
mod run;
mod secrets;
mod settle;
mod solved;
mod verify;
mod web;
mod weight;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use graph::{Edge, Graph, Op, VertexId};
use layer_store::Record;

use crate::cache::is_lost;
use crate::error::StepFailure;
use crate::event::{Ending, Event, StepId};
use crate::request::OnFailure;
use crate::session::EventSink;
use crate::worker::{Permits, Worker};

pub(crate) use attempt::now;
pub(crate) use decide::must_run;
pub(crate) use name::Name;
pub(crate) use secrets::SECRET;
pub(crate) use solved::Solution;
pub(crate) use verify::Checking;

use choose::{Candidate, Candidates, Origin, choose};
use decide::{decide, recorded, salted};
use name::{names, read_locals};
use run::Run;
use web::Web;

/// What the solver works with.
pub(crate) struct Solver<'a> {
    /// Does the work.
    pub(crate) worker: &'a dyn Worker,
    /// Where events go.
    pub(crate) events: &'a EventSink,
    /// Bounds the steps that run at once.
    pub(crate) permits: &'a Permits,
    /// What is asked of all builds alike.
    pub(crate) policy: Policy,
    /// Which found steps are run again.
    pub(crate) checking: Option<Checking<'a>>,
}

/// What is asked of all builds alike.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Policy {
    /// Use no recorded results.
    pub(crate) no_cache: bool,
    /// Results made before this time (in seconds since 1970) do not count.
    pub(crate) fresh_since: Option<i64>,
    /// What a failed step does to the others.
    pub(crate) on_failure: OnFailure,
}

impl Policy {
    /// Whether a recorded result of an op is too old. What is pinned by a digest never is.
    pub(crate) fn is_stale(&self, op: &Op, record: &Record) -> bool {
        must_run(op, true) && self.fresh_since.is_some_and(|oldest| record.created < oldest)
    }
}

/// The number of a vertex in events.
pub(crate) fn step_id(id: VertexId) -> StepId {
    StepId(u32::try_from(id.index()).unwrap_or(u32::MAX))
}

/// Brings about the results that the targets name.
pub(crate) async fn solve(
    solver: &Solver<'_>,
    graph: &Graph,
    targets: &[Edge],
) -> Result<Solution, Box<StepFailure>> {
    let web = Web::new(graph, targets);
    solver.announce(graph, web.order()).await;
    let names = solver.name(graph, &web).await?;
    solver.worker.planned(graph, web.order(), &names);
    let (candidates, stale) = solver.candidates(graph, &web, &names).await;
    let salted = salted(graph, &web, solver.policy.no_cache, &stale);
    let chosen = choose(&web, &names, &candidates, &salted);
    let decision = decide(graph, &web, targets, &names, chosen, &salted);
    for id in &decision.usable {
        solver.worker.settled(*id, &decision.records[id].outputs);
        secrets::mention(solver, graph.vertex(*id), &decision.records[id]).await;
    }
    let mut spared = 0;
    for id in web.order().iter().copied().filter(|id| !decision.demanded.contains(id)) {
        spared += usize::from(counted(&graph.vertex(id).op));
        if !matches!(graph.vertex(id).op, Op::Local(_)) {
            solver.ended(id, Ending::Cached, std::time::Duration::ZERO).await;
        }
    }
    let run = Run { solver, graph, targets, names: &names, decision: &decision };
    let solution = run.all(&decision.demanded).await?;
    if let Some(checking) = &solver.checking {
        verify::verify(&run, &web, &solution, checking).await?;
    }
    let mut counts = solution.counts;
    counts.cached += spared;
    solver.take_over(&names, &candidates, &decision).await;
    let keys = recorded(graph, &web).into_iter().map(|id| (id, names[&id].key)).collect();
    let used = decision.records.into_iter().filter(|(id, _)| decision.usable.contains(id)).collect();
    Ok(Solution { counts, keys, used, ..solution })
}

/// Whether a vertex counts as a step for people.
fn counted(op: &Op) -> bool {
    match op {
        Op::Exec(_) | Op::File(_) | Op::Http(_) | Op::Git(_) | Op::Diff => true,
        Op::Image(_) | Op::Local(_) | Op::Merge => false,
    }
}

impl Solver<'_> {
    async fn announce(&self, graph: &Graph, order: &[VertexId]) {
        for &id in order {
            let vertex = graph.vertex(id);
            let (title, span) = (vertex.meta.title.clone(), vertex.meta.span);
            let inputs = vertex.inputs.iter().flatten().map(|edge| step_id(edge.vertex)).collect();
            self.events.send(Event::Planned { step: step_id(id), title, span, inputs }).await;
        }
    }

    async fn name(&self, graph: &Graph, web: &Web) -> Result<BTreeMap<VertexId, Name>, Box<StepFailure>> {
        let contexts = web.order().iter().filter(|id| matches!(graph.vertex(**id).op, Op::Local(_)));
        let contexts: Vec<VertexId> = contexts.copied().collect();
        for &id in &contexts {
            self.events.send(Event::Started { step: step_id(id) }).await;
        }
        let began = std::time::Instant::now();
        let locals = match read_locals(self.worker, graph, web.order()).await {
            Ok(locals) => locals,
            Err((id, cause)) => {
                for context in contexts {
                    self.ended(context, Ending::Cancelled, began.elapsed()).await;
                }
                return Err(self.failed(graph, id, cause, began.elapsed()).await);
            }
        };
        for &id in &contexts {
            self.ended(id, Ending::Done, began.elapsed()).await;
        }
        Ok(names(graph, web.order(), &locals))
    }

    /// All recorded results, those of this store first; and the steps that have only results that are too
    /// old, which therefore run again.
    async fn candidates(
        &self,
        graph: &Graph,
        web: &Web,
        names: &BTreeMap<VertexId, Name>,
    ) -> (Candidates, BTreeSet<VertexId>) {
        let all = recorded(graph, web).into_iter().map(|id| async move {
            let key = names[&id].key;
            let here = self.worker.record(key).await;
            let here = here.map(|record| Candidate { record, origin: Origin::Here });
            let offered = self.worker.offers(key).await.into_iter();
            let offered =
                offered.map(|offer| Candidate { record: offer.record, origin: Origin::Offered(offer.reach) });
            let all: Vec<Candidate> = here.into_iter().chain(offered).collect();
            (id, all)
        });
        let mut candidates: Candidates = join_all(all).await.into_iter().collect();
        let mut stale = BTreeSet::new();
        for (&id, all) in &mut candidates {
            let op = &graph.vertex(id).op;
            let recorded = all.len();
            all.retain(|one| !self.policy.is_stale(op, &one.record));
            if all.is_empty() && recorded > 0 {
                stale.insert(id);
            }
        }
        (candidates, stale)
    }

    /// Files what other stores offered and this build used, where nothing is recorded here.
    async fn take_over(
        &self,
        names: &BTreeMap<VertexId, Name>,
        candidates: &Candidates,
        decision: &decide::Decision,
    ) {
        let here = |id: &VertexId| candidates[id].iter().any(|one| one.origin == Origin::Here);
        for id in decision.offered.iter().filter(|id| decision.usable.contains(id) && !here(id)) {
            let (name, record) = (&names[id], decision.records[id].clone());
            let record = layer_store::Record { components: name.components.clone(), ..record };
            // What cannot be filed is offered again the next time.
            drop(self.worker.file(vec![(name.key, record)]).await);
        }
    }

    async fn ended(&self, id: VertexId, ending: Ending, took: std::time::Duration) {
        self.events.send(Event::Finished { step: step_id(id), ending, took }).await;
    }

    async fn failed(
        &self,
        graph: &Graph,
        id: VertexId,
        cause: crate::error::Cause,
        took: std::time::Duration,
    ) -> Box<StepFailure> {
        let meta = &graph.vertex(id).meta;
        // A layer of a cache that is missing is told as such, and the build goes on without it.
        let ending = match is_lost(&cause) {
            true => Ending::Cancelled,
            false => Ending::Failed(cause.to_string()),
        };
        self.ended(id, ending, took).await;
        Box::new(StepFailure {
            step: step_id(id),
            title: meta.title.clone(),
            span: meta.span,
            log: self.events.tail(step_id(id)),
            cause,
            others: Vec::new(),
        })
    }
}
