//! Builds that go on after a failure, that use nothing old, and what comes first where not all fits.

use graph::Graph;

use super::fake::{FakeWorker, Mishap};
use super::*;
use crate::request::OnFailure;

const KEEP_GOING: Policy = Policy { no_cache: false, fresh_since: None, on_failure: OnFailure::KeepGoing };

fn fresh_since(time: i64) -> Policy {
    Policy { fresh_since: Some(time), ..Policy::default() }
}

#[tokio::test]
async fn what_does_not_depend_on_a_failed_step_goes_on() {
    let mut graph = Graph::new();
    let bad = exec(&mut graph, "bad", ALL, None);
    let above = exec(&mut graph, "above bad", ALL, of(bad));
    let worse = exec(&mut graph, "worse", ALL, None);
    let good = exec(&mut graph, "good", ALL, None);
    let better = exec(&mut graph, "better", ALL, of(good));
    let mut worker = FakeWorker::new();
    worker.mishaps = [("bad", Mishap::Fail), ("worse", Mishap::Fail), ("good", Mishap::Yield)]
        .map(|(step, how)| (step.to_owned(), how))
        .into();
    let targets = [above, worse, better];
    let failure = run_by(&worker, &graph, &targets, 1, KEEP_GOING).await.expect_err("two failed");
    let mut titles: Vec<&str> = failure.others.iter().map(|one| one.title.as_str()).collect();
    titles.push(&failure.title);
    titles.sort_unstable();
    assert_eq!(titles, ["bad", "worse"]);
    assert_eq!((worker.store.runs("better"), worker.store.runs("above bad")), (1, 0));
    worker.mishaps.clear();
    let solution = run(&worker, &graph, &targets).await.expect("built");
    assert_eq!((solution.counts.ran, solution.counts.cached), (3, 2));
}

#[tokio::test]
async fn results_that_are_too_old_are_made_again_and_equal_ones_end_it_there() {
    let mut graph = Graph::new();
    let low = exec(&mut graph, "low", SAME, None);
    let high = exec_with(&mut graph, "high", ALL, vec![None, of(low)], vec![(1, "fixed")], false);
    let worker = FakeWorker::new();
    run(&worker, &graph, &[high]).await.expect("built");
    let now = crate::solve::now();
    let young = run_by(&worker, &graph, &[high], 4, fresh_since(now - 60)).await.expect("built");
    assert_eq!(young.counts.ran, 0);
    // The lower one alone is too old: it runs, and what it made is the same.
    let layers = worker.store.lock().layers.clone();
    for record in worker.store.lock().records.values_mut() {
        if record.outputs[0].0.last().is_some_and(|id| layers[id].contains_key("low")) {
            record.created = 5;
        }
    }
    let old = run_by(&worker, &graph, &[high], 4, fresh_since(now - 60)).await.expect("built");
    assert_eq!((old.counts.ran, worker.store.runs("low"), worker.store.runs("high")), (1, 2, 1));
    let again = run_by(&worker, &graph, &[high], 4, fresh_since(now - 60)).await.expect("built");
    assert_eq!(again.counts.ran, 0);
}

#[tokio::test]
async fn the_longest_way_to_the_end_comes_first() {
    let mut graph = Graph::new();
    let short: Vec<VertexId> =
        (0..3).map(|nth| exec(&mut graph, &format!("short {nth}"), ALL, None)).collect();
    let mut long = exec(&mut graph, "long 0", ALL, None);
    for nth in 1..4 {
        long = exec(&mut graph, &format!("long {nth}"), ALL, of(long));
    }
    let slowly = |id: VertexId| (graph.vertex(id).meta.title.clone(), Mishap::Yield);
    let all: Vec<VertexId> = graph.vertices().map(|(id, _)| id).collect();
    let worker = FakeWorker { mishaps: all.into_iter().map(slowly).collect(), ..FakeWorker::new() };
    let targets: Vec<VertexId> = short.into_iter().chain([long]).collect();
    run_by(&worker, &graph, &targets, 1, Policy::default()).await.expect("built");
    let state = worker.store.lock();
    let order: Vec<&str> = state.productions.iter().map(|one| one.step.as_str()).collect();
    // A place that gets free goes to whoever waits, and the next step of the long way waits only then.
    let expected = ["long 0", "short 0", "long 1", "short 1", "long 2"];
    assert_eq!(order[..5], expected, "{order:?}");
}
