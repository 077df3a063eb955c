//! Running again what was found, and what becomes of results that are wrong.

use graph::Graph;

use super::fake::{FakeWorker, Mishap};
use super::*;
use crate::error::Cause;
use crate::plan::Extra;
use crate::request::{CacheSample, Percent};
use crate::solve::Checking;

struct Chain {
    graph: Graph,
    top: VertexId,
}

/// `one`, `two` upon it, and `three` upon that; `top` binds what `two` made.
fn chain(two: &str) -> Chain {
    let mut graph = Graph::new();
    let one = exec(&mut graph, "one", ALL, None);
    let two = exec(&mut graph, "two", two, of(one));
    let three = exec(&mut graph, "three", ALL, of(two));
    let top = exec_with(&mut graph, "top", ALL, vec![of(three), of(two)], vec![(1, "two")], false);
    Chain { graph, top }
}

async fn verified(
    worker: &FakeWorker,
    chain: &Chain,
    percent: u8,
    seed: u64,
) -> Result<Solution, Box<StepFailure>> {
    let (events, _) = EventSink::channel(1);
    let (permits, extra) = (Permits::new(2), Extra::new(events.clone()));
    let sample = CacheSample { percent: Percent::new(percent).expect("a part"), seed };
    let checking = Some(Checking { sample, extra: &extra });
    let policy = Policy::default();
    let solver = Solver { worker, events: &events, permits: &permits, policy, checking };
    solve(&solver, &chain.graph, &[Edge::first(chain.top)]).await
}

/// Makes what `step` is recorded to have made something else.
fn spoil(worker: &FakeWorker, step: &str) {
    let mut state = worker.store.lock();
    for files in state.layers.values_mut().filter(|files| files.contains_key(step)) {
        files.insert(step.to_owned(), "spoilt".to_owned());
    }
}

#[tokio::test]
async fn so_many_of_the_found_steps_run_again_and_a_seed_chooses_the_same() {
    let (worker, chain) = (FakeWorker::new(), chain(ALL));
    run(&worker, &chain.graph, &[chain.top]).await.expect("built");
    let before = worker.store.executions();
    let solution = verified(&worker, &chain, 100, 1).await.expect("all as recorded");
    assert_eq!((worker.store.executions() - before, solution.counts.ran, solution.counts.cached), (4, 0, 4));
    let last = |worker: &FakeWorker| worker.store.lock().productions.last().expect("one ran").step.clone();
    let mut chosen = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let before = worker.store.executions();
        verified(&worker, &chain, 25, seed).await.expect("as recorded");
        let first = last(&worker);
        verified(&worker, &chain, 25, seed).await.expect("as recorded");
        assert_eq!((worker.store.executions() - before, last(&worker)), (2, first.clone()));
        chosen.insert(first);
    }
    assert!(chosen.len() > 1, "{chosen:?}");
}

#[tokio::test]
async fn what_ran_in_this_build_is_not_run_again() {
    let (worker, chain) = (FakeWorker::new(), chain(ALL));
    verified(&worker, &chain, 100, 1).await.expect("built");
    assert_eq!(worker.store.executions(), 4);
}

#[tokio::test]
async fn a_wrong_result_fails_and_nothing_made_from_it_is_used_again() {
    let (worker, chain) = (FakeWorker::new(), chain(ALL));
    let good = run(&worker, &chain.graph, &[chain.top]).await.expect("built");
    let good = worker.store.contents(good.snapshot(Edge::first(chain.top)).expect("there"));
    worker.store.lock().records.clear();
    run(&worker, &chain.graph, &[chain.top]).await.expect("built");
    spoil(&worker, "two");
    let failure = verified(&worker, &chain, 100, 1).await.expect_err("two is wrong");
    let text = Cause::to_string(&failure.cause);
    assert!(failure.title == "two" && text.contains("/two"), "{}: {text}", failure.title);
    let again = run(&worker, &chain.graph, &[chain.top]).await.expect("built");
    let again = worker.store.contents(again.snapshot(Edge::first(chain.top)).expect("there"));
    assert_eq!(again, good);
    verified(&worker, &chain, 100, 2).await.expect("all is well again");
}

#[tokio::test]
async fn a_step_that_makes_something_else_each_time_is_not_called_wrong() {
    let (worker, chain) = (FakeWorker::new(), chain(DICE));
    let first = run(&worker, &chain.graph, &[chain.top]).await.expect("built");
    let second = verified(&worker, &chain, 100, 1).await.expect("nothing is known of two");
    let snapshot = |solution: &Solution| solution.snapshot(Edge::first(chain.top)).cloned();
    assert_eq!(snapshot(&first), snapshot(&second));
    assert_eq!(worker.store.runs("two"), 3);
}

#[tokio::test]
async fn a_step_that_fails_when_it_runs_again_leaves_its_result() {
    let (mut worker, chain) = (FakeWorker::new(), chain(ALL));
    run(&worker, &chain.graph, &[chain.top]).await.expect("built");
    worker.mishaps = [("two".to_owned(), Mishap::Fail)].into();
    assert_eq!(verified(&worker, &chain, 100, 1).await.expect("built").counts.ran, 0);
}
