//! `--verify-cache`: some of the steps that were found are run again, and what they make is held against what
//! was found.
//!
//! A step that makes something else is run once more: where the two new results differ as well, the step is
//! not deterministic, and nothing can be said of its cached result. Else that result is not believed any
//! longer: what the step makes now is recorded in its place, so that nothing that was made from the old
//! result is used any more, and the build ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use graph::{Edge, Network, Op, VertexId};
use layer_store::{Difference, LayerId, Side, Snapshot};
use thiserror::Error;

use super::attempt::Attempt;
use super::run::{Run, merged, needs_layers};
use super::settle::added;
use super::solved::{Solution, Solved};
use super::step_id;
use super::web::Web;
use crate::error::{Categorised, Category, Cause, StepFailure};
use crate::event::Event;
use crate::plan::Extra;
use crate::request::CacheSample;
use crate::worker::Tree;

/// As many paths are told.
const MOST: usize = 5;

/// Which found steps are run again, and where that is shown.
pub(crate) struct Checking<'a> {
    /// How many, and which.
    pub(crate) sample: CacheSample,
    /// Shows them.
    pub(crate) extra: &'a Extra,
}

/// A cached result that is not what its step makes.
#[derive(Debug, Error)]
#[error(
    "run again, the step makes something else than its cached result holds: {paths}. What it makes now is recorded \
     in its place: build again{remark}"
)]
pub(crate) struct WrongResult {
    paths: Paths,
    remark: &'static str,
}

impl Categorised for WrongResult {
    fn category(&self) -> Category {
        Category::Step
    }
}

/// Paths that differ, for people.
#[derive(Debug)]
struct Paths(Vec<Difference>);

impl fmt::Display for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, one) in self.0.iter().take(MOST).enumerate() {
            let comma = if nth > 0 { ", " } else { "" };
            let side = match one.side {
                Side::One => " (cached only)",
                Side::Other => " (new only)",
                Side::Both => "",
            };
            write!(f, "{comma}/{}{side}", one.path.display())?;
        }
        match self.0.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// What came of running a found step again.
enum Finding {
    /// It made the same.
    Same,
    /// It makes something else each time.
    Varies(Paths),
    /// It makes something else than was found.
    Wrong(Paths),
}

/// A found step with all that it was made from.
struct Found<'a> {
    attempt: Attempt<'a>,
    outputs: Vec<Snapshot>,
}

/// Runs a sample of the found steps again. Fails for those whose results were wrong.
pub(super) async fn verify(
    run: &Run<'_>,
    web: &Web,
    solution: &Solution,
    checking: &Checking<'_>,
) -> Result<(), Box<StepFailure>> {
    let cached: Vec<VertexId> =
        web.order().iter().copied().filter(|id| is_found(run, solution, *id)).collect();
    let all: BTreeMap<VertexId, Found<'_>> =
        cached.iter().filter_map(|&id| Some((id, found(run, solution, id)?))).collect();
    let chosen = chosen(run, all.keys().copied(), checking.sample);
    let CacheSample { percent: _, seed } = checking.sample;
    let mut title = format!("verify cache: {} of {} cached steps, seed {seed}", chosen.len(), cached.len());
    if all.len() < cached.len() {
        let beyond = cached.len() - all.len();
        title.push_str(&format!(" (what {beyond} of them were made from is not here)"));
    }
    let whole = checking.extra.begin(title, None).await;
    let checks = all.iter().filter(|(id, _)| chosen.contains(id)).map(|(_, one)| check(run, one, checking));
    let wrong = join_all(checks).await.into_iter().flatten();
    let mut failures: Vec<StepFailure> = Vec::new();
    for (id, cause) in wrong {
        let meta = &run.graph.vertex(id).meta;
        failures.push(StepFailure {
            step: step_id(id),
            title: meta.title.clone(),
            span: meta.span,
            log: Vec::new(),
            cause,
            others: Vec::new(),
        });
    }
    if failures.is_empty() {
        checking.extra.end(whole, &Ok::<_, Cause>(())).await;
        return Ok(());
    }
    let first = failures.remove(0);
    checking.extra.end(whole, &Err::<(), _>(&first)).await;
    Err(Box::new(StepFailure { others: failures, ..first }))
}

/// Whether a step was found that can be run again. What was fetched is known by its digest.
fn is_found(run: &Run<'_>, solution: &Solution, id: VertexId) -> bool {
    let runs = match &run.graph.vertex(id).op {
        Op::Exec(_) | Op::File(_) | Op::Diff => true,
        Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::Merge => false,
    };
    runs && (run.decision.usable.contains(&id) || solution.found.contains(&id))
}

/// `None`: what it was made from is not known here.
fn found<'a>(run: &'a Run<'_>, solution: &Solution, id: VertexId) -> Option<Found<'a>> {
    let vertex = run.graph.vertex(id);
    let selects = !needs_layers(&vertex.op);
    let mut inputs = Vec::with_capacity(vertex.inputs.len());
    for input in &vertex.inputs {
        inputs.push(match input {
            None => Tree::Empty,
            Some(edge) => match run.graph.vertex(edge.vertex).op.local() {
                Some(source) if selects => Tree::Local(Arc::new(source.clone())),
                Some(_) | None => Tree::Snapshot(snapshot(run, solution, *edge)?),
            },
        });
    }
    let Solved { outputs, lineage } = solved(run, solution, id)?;
    let (solver, name) = (run.solver, &run.names[&id]);
    Some(Found { attempt: Attempt { solver, id, vertex, name, inputs, lineage, weight: 0 }, outputs })
}

fn solved(run: &Run<'_>, solution: &Solution, id: VertexId) -> Option<Solved> {
    let recorded = || run.decision.records.get(&id).filter(|_| run.decision.usable.contains(&id));
    solution.results.get(&id).cloned().or_else(|| recorded().map(Solved::from_record))
}

fn snapshot(run: &Run<'_>, solution: &Solution, edge: Edge) -> Option<Snapshot> {
    let vertex = run.graph.vertex(edge.vertex);
    match &vertex.op {
        Op::Merge => {
            let edges = vertex.inputs.iter().flatten();
            let inputs: Option<Vec<Tree>> =
                edges.map(|edge| snapshot(run, solution, *edge).map(Tree::Snapshot)).collect();
            Some(merged(&inputs?))
        }
        Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::Exec(_) | Op::File(_) | Op::Diff => {
            solved(run, solution, edge.vertex)?.outputs.get(usize::from(edge.output)).cloned()
        }
    }
}

/// So many of them in percent, rounded up: those whose keys come first in an order that the seed makes.
fn chosen(run: &Run<'_>, all: impl Iterator<Item = VertexId>, sample: CacheSample) -> BTreeSet<VertexId> {
    let place = |id: &VertexId| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&sample.seed.to_le_bytes());
        hasher.update(run.names[id].key.to_string().as_bytes());
        *hasher.finalize().as_bytes()
    };
    let mut all: Vec<VertexId> = all.collect();
    all.sort_by_cached_key(place);
    let count = sample.percent.of(all.len());
    all.into_iter().take(count).collect()
}

/// Runs one again, and tells what it was if it was wrong.
async fn check(run: &Run<'_>, found: &Found<'_>, checking: &Checking<'_>) -> Option<(VertexId, Cause)> {
    let Attempt { vertex, id, .. } = &found.attempt;
    let title = &vertex.meta.title;
    let step = checking.extra.begin(format!("verify {title}"), vertex.meta.span).await;
    let result = compared(found, step.id).await;
    let warn = |text: String| run.solver.events.send(Event::Warning(text));
    match result {
        Ok(Finding::Same) => {
            checking.extra.end(step, &Ok::<_, Cause>(())).await;
            None
        }
        Ok(Finding::Varies(paths)) => {
            checking.extra.end(step, &Ok::<_, Cause>(())).await;
            warn(format!(
                "{title}: not deterministic, so nothing is known of its cached result: each run makes another {paths}"
            ))
            .await;
            None
        }
        Ok(Finding::Wrong(paths)) => {
            let cause = Cause::from(WrongResult { paths, remark: remark(&vertex.op) });
            checking.extra.end(step, &Err::<(), _>(&cause)).await;
            Some((*id, cause))
        }
        Err(cause) => {
            checking.extra.end(step, &Err::<(), _>(&cause)).await;
            warn(format!("{title}: its cached result could not be verified: {cause}")).await;
            None
        }
    }
}

/// What a process may have from elsewhere.
fn remark(op: &Op) -> &'static str {
    match op {
        Op::Exec(exec) if exec.network != Network::None => {
            " (the step has a network, so perhaps what it fetches has changed)"
        }
        Op::Exec(_)
        | Op::File(_)
        | Op::Diff
        | Op::Image(_)
        | Op::Local(_)
        | Op::Git(_)
        | Op::Http(_)
        | Op::Merge => "",
    }
}

async fn compared(found: &Found<'_>, step: crate::event::StepId) -> Result<Finding, Cause> {
    let Found { attempt, outputs } = found;
    let began = Instant::now();
    let first = attempt.again(step).await?;
    let took = began.elapsed();
    let before = between(attempt, outputs, &first).await?;
    if before.is_empty() {
        return Ok(Finding::Same);
    }
    let second = attempt.again(step).await?;
    let varying = between(attempt, &first, &second).await?;
    let lasting = lasting(&before, &varying);
    if lasting.is_empty() {
        return Ok(Finding::Varies(Paths(varying)));
    }
    attempt.replace(first, took).await?;
    Ok(Finding::Wrong(Paths(lasting)))
}

/// The differences from the cached result that do not come from what each run makes anew. Where runs make
/// files of ever other names, a name that only the cached result has means nothing.
fn lasting(before: &[Difference], varying: &[Difference]) -> Vec<Difference> {
    let same_names = varying.iter().all(|one| one.side == Side::Both);
    let varies: BTreeSet<_> = varying.iter().map(|one| &one.path).collect();
    let counts = |one: &&Difference| !varies.contains(&one.path) && (same_names || one.side != Side::One);
    before.iter().filter(counts).cloned().collect()
}

/// What differs in what the step added.
async fn between(
    attempt: &Attempt<'_>,
    one: &[Snapshot],
    other: &[Snapshot],
) -> Result<Vec<Difference>, Cause> {
    let layers = |outputs: &[Snapshot]| -> Vec<LayerId> {
        let added = added(&attempt.vertex.op, &attempt.inputs, outputs);
        let added = added.unwrap_or_else(|| outputs.to_vec());
        added.into_iter().flat_map(|snapshot| snapshot.0).collect()
    };
    attempt.solver.worker.differences(layers(one), layers(other)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(text: &str) -> Vec<Difference> {
        let one = |word: &str| Difference {
            path: word[1..].into(),
            side: match &word[..1] {
                "<" => Side::One,
                ">" => Side::Other,
                _ => Side::Both,
            },
        };
        text.split_whitespace().map(one).collect()
    }

    #[test]
    fn what_varies_from_run_to_run_does_not_count() {
        for (before, varying, expected) in [
            ("=a", "", "=a"),
            ("=log =a", "=log", "=a"),
            ("=log", "=log", ""),
            ("<old", "=log", "<old"),
            ("<tmp1 >tmp2", "<tmp2 >tmp3", ""),
            ("<tmp1 >tmp2 =a", "<tmp2 >tmp3", "=a"),
            (">new", "", ">new"),
        ] {
            let found = lasting(&differences(before), &differences(varying));
            assert_eq!(found, differences(expected), "{before} | {varying}");
        }
    }

    #[test]
    fn paths_are_told_by_side_and_the_rest_by_number() {
        assert_eq!(Paths(differences("=a/b <c >d")).to_string(), "/a/b, /c (cached only), /d (new only)");
        assert_eq!(Paths(differences("=a =b =c =d =e =f =g")).to_string(), "/a, /b, /c, /d, /e and 2 more");
    }
}
