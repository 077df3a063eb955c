//! Solving and exporting, as often as layers of caches turn out not to be there, and sending layers to
//! caches meanwhile.

use std::pin::pin;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{Either, select};
use graph::{Edge, Lowered, Scan, Target};
use layer_store::{LayerId, Snapshot};

use super::auto_squash::AutoSquash;
use super::squash::base_of;
use crate::cache::request::{CacheDestination, CacheTarget};
use crate::cache::{self, Feed, Shelf, Uploads};
use crate::error::{BuildError, Category, Cause};
use crate::event::StepId;
use crate::exec::StepResources;
use crate::export::{
    Attest, EarlyLayers, ExportRequest, Exported, FinishedTarget, RemoteLayer, RemoteLayers, SentBlobs,
    export, takes_remote,
};
use crate::history::Recorder;
use crate::plan::Extra;
use crate::request::{BuildRequest, Squash, StepCounts};
use crate::session::Session;
use crate::solve::{Checking, Policy, Solution, Solver, solve};
use crate::worker::{Permits, RealWorker};

/// A build whose graph is known.
pub(super) struct Building<'a> {
    pub(super) session: &'a Session,
    pub(super) request: &'a BuildRequest,
    pub(super) lowered: &'a Lowered,
    pub(super) edges: &'a [Edge],
    pub(super) extra: &'a Extra,
    pub(super) attest: Option<Arc<Attest>>,
    /// What lists the software of each target, if it is a generator.
    pub(super) generators: &'a [Edge],
}

impl Building<'_> {
    /// Solves and exports, and sends layers to caches meanwhile.
    pub(super) async fn run(
        &self,
        shelf: &Shelf,
        recorder: &Recorder,
    ) -> Result<(Exported, StepCounts), BuildError> {
        let (graph, edges, targets) = (&self.lowered.graph, self.edges, &self.request.cache_to);
        if targets.iter().all(|target| target.destination == CacheDestination::Inline) {
            let (exported, solution) = self.tries(shelf, &Feed::default(), recorder).await?;
            return Ok((exported, solution.counts));
        }
        let step = self.extra.begin("exporting cache".to_owned(), None).await;
        let (feed, uploads) = Uploads::begin(self.session, shelf, targets, (graph, edges), step.id);
        let building = async {
            let feed = feed;
            self.tries(shelf, &feed, recorder).await
        };
        let (built, sent) = match select(pin!(building), pin!(uploads.run())).await {
            Either::Left((Ok(built), sending)) => (built, sending.await),
            Either::Left((Err(error), _)) => {
                self.extra.cancel(step).await;
                return Err(error);
            }
            Either::Right((sent, building)) => (building.await?, sent),
        };
        let (exported, solution) = built;
        let published = sent.publish(&solution).await.map_err(Cause::from);
        self.extra.end(step, &published).await;
        published.map_err(BuildError::Cache)?;
        Ok((exported, solution.counts))
    }

    /// Solves and exports; again without the layers of caches that could not be had, until none is lost.
    async fn tries(
        &self,
        shelf: &Shelf,
        feed: &Feed,
        recorder: &Recorder,
    ) -> Result<(Exported, Solution), BuildError> {
        loop {
            let lost = shelf.lost();
            match self.once(shelf, feed, recorder).boxed().await {
                Err(_) if shelf.lost() > lost => {}
                result => return result,
            }
        }
    }

    async fn once(
        &self,
        shelf: &Shelf,
        feed: &Feed,
        recorder: &Recorder,
    ) -> Result<(Exported, Solution), BuildError> {
        let (solution, sent) = self.solve_and_send(shelf, feed, recorder).await?;
        let step = self.extra.begin("export".to_owned(), None).await;
        match self.deliver(shelf, &solution, step.id, sent).await {
            Ok(exported) => {
                self.extra.end(step, &Ok::<_, Cause>(())).await;
                Ok((exported, solution))
            }
            Err(cause) if cache::is_lost(&cause) => {
                self.extra.cancel(step).await;
                Err(BuildError::Export(cause))
            }
            Err(cause) => {
                let result: Result<(), Cause> = Err(cause.clone());
                self.extra.end(step, &result).await;
                Err(BuildError::Export(cause))
            }
        }
    }

    /// Solves, and packs and sends layers of images meanwhile.
    async fn solve_and_send(
        &self,
        shelf: &Shelf,
        feed: &Feed,
        recorder: &Recorder,
    ) -> Result<(Solution, SentBlobs), BuildError> {
        let mut early = EarlyLayers::of(self.session, self.request, self.lowered, self.extra);
        if early.is_idle() {
            return Ok((self.solve(shelf, feed, recorder).await?, SentBlobs::default()));
        }
        let (told, receiver) = Feed::channel();
        let solving = async {
            let feed = feed.and(&told);
            drop(told);
            self.solve(shelf, &feed, recorder).await
        };
        let (solution, sent) = match select(pin!(solving), pin!(early.run(receiver))).await {
            Either::Left((Ok(solution), sending)) => (Ok(solution), sending.await),
            Either::Left((Err(error), _)) => (Err(error), SentBlobs::default()),
            Either::Right((sent, solving)) => (solving.await, sent),
        };
        match solution {
            Ok(solution) => {
                early.end().await;
                Ok((solution, sent))
            }
            Err(error) => {
                early.cancel().await;
                Err(error)
            }
        }
    }

    async fn solve(&self, shelf: &Shelf, feed: &Feed, recorder: &Recorder) -> Result<Solution, BuildError> {
        let (session, request) = (self.session, self.request);
        let worker = RealWorker::new(
            session.clone(),
            recorder.clone(),
            (shelf.clone(), feed.clone()),
            request.contexts.clone(),
            request.context_metadata,
            StepResources::of(request),
        );
        let permits = Permits::new(request.jobs.unwrap_or(session.steps));
        let events = &session.events;
        let ttl = request.cache_ttl.map(|ttl| i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX));
        let policy = Policy {
            no_cache: request.no_cache,
            fresh_since: ttl.map(|ttl| crate::solve::now().saturating_sub(ttl)),
            on_failure: request.on_failure,
        };
        let checking = request.verify_cache.map(|sample| Checking { sample, extra: self.extra });
        let solver = Solver { worker: &worker, events, permits: &permits, policy, checking };
        solve(&solver, &self.lowered.graph, self.edges).await.map_err(BuildError::Step)
    }

    async fn deliver(
        &self,
        shelf: &Shelf,
        solution: &Solution,
        step: StepId,
        sent: SentBlobs,
    ) -> Result<Exported, Cause> {
        let snapshot =
            |root: Option<Edge>| root.and_then(|root| solution.snapshot(root)).cloned().unwrap_or_default();
        let mut targets: Vec<FinishedTarget> = self
            .lowered
            .targets
            .iter()
            .enumerate()
            .map(|(number, target)| FinishedTarget {
                snapshot: snapshot(target.root),
                generated: self.generators.get(number).map(|generator| snapshot(Some(*generator))),
                scans: self.scans(target).map(|scan| (scan.name.clone(), snapshot(scan.root))).collect(),
                target: target.clone(),
            })
            .collect();
        if self.request.squash == Squash::Auto {
            for finished in &mut targets {
                self.merge_dead(shelf, solution, finished, step).await?;
            }
        }
        if self.request.cache_to.iter().any(|target| target.destination == CacheDestination::Inline) {
            self.write_inline(shelf, solution, &mut targets).await?;
        }
        let mut asked = ExportRequest::of(self.request, targets, step);
        asked.attest.clone_from(&self.attest);
        asked.sent = sent;
        asked.beside = self.request.cache_to.iter().filter_map(CacheTarget::repository).collect();
        asked.remote = self.remote(shelf, &asked).await;
        if !asked.remote.is_empty() {
            self.bring(shelf, &asked).await?;
            match export(self.session, asked.clone()).await {
                Ok(exported) => return Ok(exported),
                // A layer that a registry was to hand on may be gone: what can be had is brought, and
                // what cannot is a miss.
                Err(_) => asked.remote.clear(),
            }
        }
        self.bring(shelf, &asked).await?;
        export(self.session, asked).await.map_err(Cause::from)
    }

    /// The trees beside a target that are looked through for a list of software.
    fn scans<'t>(&self, target: &'t Target) -> impl Iterator<Item = &'t Scan> {
        let wanted = self.request.attest.sbom.is_some();
        target.scans.iter().filter(move |_| wanted)
    }

    /// Merges layers of a target where that leaves bytes out.
    async fn merge_dead(
        &self,
        shelf: &Shelf,
        solution: &Solution,
        finished: &mut FinishedTarget,
        step: StepId,
    ) -> Result<(), Cause> {
        let base = finished.target.root.and_then(|root| base_of(&self.lowered.graph, root, &finished.target));
        let base = base.and_then(|base| solution.snapshot(base)).map_or(0, |snapshot| snapshot.0.len());
        let Some(squash) = AutoSquash::of(self.session, finished, base) else { return Ok(()) };
        let squashed = match squash.earlier().await {
            Some(squashed) => squashed,
            None => {
                shelf.bring(&finished.snapshot, Some(step)).await?;
                squash.make().await?
            }
        };
        squashed.put(finished);
        Ok(())
    }

    /// Layers that no output needs here, since a registry has them.
    async fn remote(&self, shelf: &Shelf, asked: &ExportRequest) -> RemoteLayers {
        // What is looked into must be here.
        if self.attest.is_some() {
            return RemoteLayers::new();
        }
        let remote = shelf.remote(asked.targets.iter().map(|target| &target.snapshot)).await;
        let takes =
            |layer: &RemoteLayer| asked.outputs.iter().all(|output| takes_remote(output, &layer.packed));
        remote.into_iter().filter(|(_, layer)| takes(layer)).collect()
    }

    /// Brings the layers that outputs need here. Of a base, a push needs no more than its documents.
    async fn bring(&self, shelf: &Shelf, asked: &ExportRequest) -> Result<(), Cause> {
        for target in &asked.targets {
            let handed_on = target.target.base.is_some() && !asked.remote.is_empty();
            let needed = |id: &&LayerId| !(asked.remote.contains_key(*id) || handed_on && id.names_content());
            let needed = target.snapshot.0.iter().filter(needed).cloned().collect();
            shelf.bring(&Snapshot(needed), Some(asked.step)).await?;
            for looked in target.scans.iter().map(|(_, scanned)| scanned).chain(&target.generated) {
                shelf.bring(looked, Some(asked.step)).await?;
            }
        }
        Ok(())
    }

    async fn write_inline(
        &self,
        shelf: &Shelf,
        solution: &Solution,
        targets: &mut [FinishedTarget],
    ) -> Result<(), Cause> {
        let records = cache::records(self.session, shelf, solution).await;
        let made = |id: &LayerId| shelf.made(id).or_else(|| self.session.store.made(id));
        for finished in targets {
            let config = &mut finished.target.config;
            cache::write_inline(config, &made, &finished.snapshot, records.clone())
                .map_err(|error| Cause::new(Category::Local, error))?;
        }
        Ok(())
    }
}
