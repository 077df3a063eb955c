//! One step that has no usable record under its own name: look under its result key, else run it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::try_join_all;
use graph::{Op, Vertex, VertexId};
use layer_store::{CacheKey, Component, Record, ResultId, Snapshot};

use super::decide::must_run;
use super::name::Name;
use super::run::Executing;
use super::settle::{added, cut_off, stacked};
use super::solved::Solved;
use super::{Solver, step_id};
use crate::error::Cause;
use crate::event::{Event, StepId};
use crate::file::Again;
use crate::keys::{self, Held, Reading};
use crate::worker::{Job, Permit, Reach, Tree};

/// Whether a result was made or found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Ran,
    Found,
}

/// A step with its inputs.
pub(super) struct Attempt<'a> {
    pub(super) solver: &'a Solver<'a>,
    pub(super) id: VertexId,
    pub(super) vertex: &'a Vertex,
    pub(super) name: &'a Name,
    pub(super) inputs: Vec<Tree>,
    pub(super) lineage: BTreeMap<CacheKey, ResultId>,
    /// How long, about, this step and what waits for it will take.
    pub(super) weight: u64,
}

impl Attempt<'_> {
    /// Whether nothing of earlier builds may serve.
    fn ignores_cache(&self) -> bool {
        self.solver.policy.no_cache || self.vertex.meta.no_cache
    }

    pub(super) async fn run(&self, executing: &Executing) -> Result<(Solved, How), Cause> {
        let held = self.held().await?;
        let key = keys::result(&self.vertex.op, &held);
        let _claim = if must_run(&self.vertex.op, self.ignores_cache()) {
            None
        } else {
            if let Some(found) = self.look(key).await {
                return Ok((found, How::Found));
            }
            let claim = self.solver.worker.claim(key).await;
            if let Some(found) = self.look(key).await {
                return Ok((found, How::Found));
            }
            claim
        };
        let solved = self.execute(key, &held, executing).await?;
        Ok((solved, How::Ran))
    }

    /// The content of the inputs, as far as the op reads them.
    async fn held(&self) -> Result<Vec<Held>, Cause> {
        let parts: Vec<_> =
            self.inputs.iter().enumerate().map(|(position, tree)| self.held_one(position, tree)).collect();
        try_join_all(parts).await
    }

    async fn held_one(&self, position: usize, tree: &Tree) -> Result<Held, Cause> {
        let op = &self.vertex.op;
        let readings = match tree {
            Tree::Empty => return Ok(Held::Empty),
            Tree::Local(_) => keys::local_readings(op, position),
            Tree::Snapshot(_) => keys::readings(op, position),
        };
        match tree {
            Tree::Snapshot(snapshot) if readings.contains(&Reading::Whole) => {
                let layers: Vec<_> =
                    snapshot.0.iter().map(|id| self.solver.worker.content(id.clone())).collect();
                Ok(Held::Whole(try_join_all(layers).await?))
            }
            Tree::Snapshot(_) | Tree::Local(_) | Tree::Empty => {
                let digests: Vec<_> = readings
                    .iter()
                    .map(|reading| self.solver.worker.digest(tree.clone(), reading.clone()))
                    .collect();
                let digests = try_join_all(digests).await?;
                Ok(Held::Read(readings.into_iter().zip(digests).collect()))
            }
        }
    }

    /// A record under the result key, brought upon the inputs of this build and filed under the
    /// definition key.
    async fn look(&self, key: CacheKey) -> Option<Solved> {
        let record = self.recorded(key).await?;
        let outputs = stacked(&self.vertex.op, &self.inputs, &record.outputs);
        let solved = Solved { outputs, lineage: self.lineage.clone() };
        super::secrets::mention(self.solver, self.vertex, &record).await;
        let marks = super::secrets::of_record(&record).cloned();
        let components = self.name.components.iter().cloned().chain(marks).collect();
        let named = Record {
            outputs: solved.outputs.clone(),
            result: solved.result(),
            inputs: solved.record_inputs(),
            components,
            content: Some(key),
            ..record
        };
        self.file(vec![(self.name.key, named)]).await;
        Some(solved)
    }

    /// A record under the result key, here or else in another store.
    async fn recorded(&self, key: CacheKey) -> Option<Record> {
        let fresh = |record: &Record| !self.solver.policy.is_stale(&self.vertex.op, record);
        if let Some(record) = self.solver.worker.record(key).await.filter(fresh) {
            return Some(record);
        }
        let offers = self.solver.worker.offers(key).await;
        let mut usable = offers.into_iter().filter(|offer| offer.reach == Reach::Within);
        let offer = usable.find(|offer| fresh(&offer.record))?;
        // What cannot be filed is offered again the next time.
        drop(self.solver.worker.file(vec![(key, offer.record.clone())]).await);
        Some(offer.record)
    }

    async fn execute(&self, key: CacheKey, held: &[Held], executing: &Executing) -> Result<Solved, Cause> {
        let permit = self.permit().await;
        self.solver.started(self.id).await;
        executing.began(self.id);
        let began = Instant::now();
        let job = Job {
            step: step_id(self.id),
            op: Arc::new(self.vertex.op.clone()),
            inputs: self.inputs.clone(),
            again: if self.ignores_cache() { Again::Nothing } else { Again::Files },
            permit,
        };
        let missed = async {
            match &self.vertex.op {
                // A pull is no miss: nothing recorded could have been used in its place.
                Op::Image(_) => {}
                Op::Local(_)
                | Op::Git(_)
                | Op::Http(_)
                | Op::Exec(_)
                | Op::File(_)
                | Op::Merge
                | Op::Diff => self.solver.worker.missed(step_id(self.id)).await,
            }
        };
        // What the step led to before is looked up while it runs.
        let (outputs, older, ()) =
            futures::join!(self.solver.worker.execute(job), self.solver.worker.record(self.name.key), missed);
        let outputs = outputs?;
        let outputs = match older {
            Some(older) => {
                cut_off(self.solver.worker, &self.vertex.op, &self.inputs, outputs, &older.outputs).await
            }
            None => outputs,
        };
        let solved = Solved { outputs, lineage: self.lineage.clone() };
        self.file_both(key, held, &solved, millis(began.elapsed())).await;
        Ok(solved)
    }

    /// Runs it whatever is recorded, and records nothing.
    pub(super) async fn again(&self, step: StepId) -> Result<Vec<Snapshot>, Cause> {
        let job = Job {
            step,
            op: Arc::new(self.vertex.op.clone()),
            inputs: self.inputs.clone(),
            again: Again::Nothing,
            permit: self.permit().await,
        };
        self.solver.worker.execute(job).await
    }

    /// Records a result in the place of the one that is recorded.
    pub(super) async fn replace(&self, outputs: Vec<Snapshot>, took: Duration) -> Result<(), Cause> {
        let held = self.held().await?;
        let key = keys::result(&self.vertex.op, &held);
        let solved = Solved { outputs, lineage: self.lineage.clone() };
        self.file_both(key, &held, &solved, millis(took)).await;
        Ok(())
    }

    async fn file_both(&self, key: CacheKey, held: &[Held], solved: &Solved, millis: u64) {
        let record = |outputs: Vec<Snapshot>, inputs, components, content| Record {
            result: keys::identity(&outputs),
            outputs,
            inputs,
            components,
            content,
            created: now(),
            millis,
        };
        let secrets = self.solver.worker.secrets(&self.vertex.op).await;
        let mut records = Vec::new();
        if let Some(added) = added(&self.vertex.op, &self.inputs, &solved.outputs) {
            let components = [parts(held), secrets.clone()].concat();
            records.push((key, record(added, Vec::new(), components, None)));
        }
        let components = [self.name.components.clone(), secrets].concat();
        let named = record(solved.outputs.clone(), solved.record_inputs(), components, Some(key));
        records.push((self.name.key, named));
        self.file(records).await;
    }

    /// A result that cannot be filed is still a result; the next build will miss it.
    async fn file(&self, records: Vec<(CacheKey, Record)>) {
        if let Err(cause) = self.solver.worker.file(records).await {
            let title = &self.vertex.meta.title;
            self.solver
                .events
                .send(Event::Warning(format!("{title}: the result was not recorded: {cause}")))
                .await;
        }
    }

    /// Processes and file work count against the number of jobs; transfers do not.
    async fn permit(&self) -> Permit {
        match &self.vertex.op {
            Op::Exec(_) | Op::File(_) | Op::Diff => self.solver.permits.acquire_by(self.weight).await,
            Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::Merge => Permit::free(),
        }
    }
}

/// The components of a result key.
fn parts(held: &[Held]) -> Vec<Component> {
    let mut all = Vec::new();
    for (position, input) in held.iter().enumerate() {
        match input {
            Held::Empty => {}
            Held::Whole(layers) => all.extend(layers.iter().enumerate().map(|(nth, layer)| Component {
                name: format!("content.{position}.{nth}"),
                value: layer.to_string(),
            })),
            Held::Read(read) => all.extend(read.iter().map(|(reading, digest)| Component {
                name: format!("content.{position}.{}", reading.name()),
                value: blake3::Hash::from(*digest).to_hex().to_string(),
            })),
        }
    }
    all
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
