//! What runs, how often, how much at once, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use graph::Graph;
use tokio::sync::Barrier;

use super::fake::{FakeWorker, Mishap};
use super::*;

#[tokio::test]
async fn a_second_build_runs_nothing_and_gives_the_same() {
    let mut graph = Graph::new();
    let a = exec(&mut graph, "a", ALL, None);
    let b = exec(&mut graph, "b", ALL, of(a));
    let worker = FakeWorker::new();
    let first = run(&worker, &graph, &[b]).await.expect("built");
    let second = run(&worker, &graph, &[b]).await.expect("built");
    assert_eq!(first.snapshot(Edge::first(b)), second.snapshot(Edge::first(b)));
    assert_eq!((worker.store.runs("a"), worker.store.runs("b")), (1, 1));
    assert_eq!((first.counts.ran, first.counts.cached), (2, 0));
    assert_eq!((second.counts.ran, second.counts.cached), (0, 2));
}

#[tokio::test]
async fn inputs_of_a_hit_are_not_looked_at() {
    let mut graph = Graph::new();
    let a = exec(&mut graph, "a", ALL, None);
    let b = exec(&mut graph, "b", ALL, of(a));
    let worker = FakeWorker::new();
    run(&worker, &graph, &[b]).await.expect("built");
    let solution = run(&worker, &graph, &[b]).await.expect("built");
    assert!(!solution.results.contains_key(&a));
}

#[tokio::test]
async fn a_shared_step_runs_once() {
    let mut graph = Graph::new();
    let base = exec(&mut graph, "base", ALL, None);
    let left = exec(&mut graph, "left", ALL, of(base));
    let right = exec(&mut graph, "right", ALL, of(base));
    let worker = FakeWorker::new();
    run(&worker, &graph, &[left, right]).await.expect("built");
    assert_eq!(worker.store.runs("base"), 1);
    assert_eq!(worker.store.executions(), 3);
}

#[tokio::test]
async fn independent_steps_overlap() {
    let mut graph = Graph::new();
    let left = exec(&mut graph, "left", ALL, None);
    let right = exec(&mut graph, "right", ALL, None);
    let both = merge(&mut graph, &[left, right]);
    let meet = Mishap::Meet(Arc::new(Barrier::new(2)));
    let worker = FakeWorker {
        mishaps: [("left".to_owned(), meet.clone()), ("right".to_owned(), meet)].into(),
        ..FakeWorker::new()
    };
    let solution = tokio::time::timeout(Duration::from_secs(20), run(&worker, &graph, &[both])).await;
    let solution = solution.expect("they waited for one another").expect("built");
    assert_eq!(solution.snapshot(Edge::first(both)).map(|snapshot| snapshot.0.len()), Some(2));
}

#[tokio::test]
async fn jobs_bound_what_runs_at_once() {
    let mut graph = Graph::new();
    let left = exec(&mut graph, "left", ALL, None);
    let right = exec(&mut graph, "right", ALL, None);
    let meet = Mishap::Meet(Arc::new(Barrier::new(2)));
    let worker = FakeWorker {
        mishaps: [("left".to_owned(), meet.clone()), ("right".to_owned(), meet)].into(),
        ..FakeWorker::new()
    };
    let targets = [left, right];
    let build = run_with(&worker, &graph, &targets, 1, false);
    assert!(tokio::time::timeout(Duration::from_millis(50), build).await.is_err());
    assert_eq!(worker.store.executions(), 0);
}

#[tokio::test]
async fn a_failure_stops_the_others_and_is_not_recorded() {
    let mut graph = Graph::new();
    let early = exec(&mut graph, "early", ALL, None);
    let bad = exec(&mut graph, "bad", ALL, of(early));
    let slow = exec(&mut graph, "slow", ALL, None);
    let mut worker = FakeWorker::new();
    worker.mishaps = [("bad".to_owned(), Mishap::Fail), ("slow".to_owned(), Mishap::Hang)].into();
    let targets = [slow, bad];
    let build = tokio::time::timeout(Duration::from_secs(1), run(&worker, &graph, &targets));
    let failure = build.await.expect("stopped at once").expect_err("failed");
    assert_eq!(failure.title, "bad");
    assert!(worker.dropped.lock().expect("not poisoned").contains(&"slow".to_owned()));
    worker.mishaps.clear();
    let solution = run(&worker, &graph, &targets).await.expect("built");
    assert_eq!((solution.counts.ran, solution.counts.cached), (2, 1));
}

#[tokio::test]
async fn dropping_the_build_drops_its_steps() {
    let mut graph = Graph::new();
    let slow = exec(&mut graph, "slow", ALL, None);
    let mut worker = FakeWorker::new();
    worker.mishaps = [("slow".to_owned(), Mishap::Hang)].into();
    let targets = [slow];
    let build = run(&worker, &graph, &targets);
    assert!(tokio::time::timeout(Duration::from_millis(20), build).await.is_err());
    assert_eq!(*worker.dropped.lock().expect("not poisoned"), ["slow"]);
    worker.mishaps.clear();
    let again = tokio::time::timeout(Duration::from_secs(5), run(&worker, &graph, &targets));
    again.await.expect("the claim was released").expect("built");
}

#[tokio::test]
async fn two_builds_on_one_store_run_shared_steps_once() {
    let mut graph = Graph::new();
    let base = exec(&mut graph, "base", ALL, None);
    let left = exec(&mut graph, "left", ALL, of(base));
    let right = exec(&mut graph, "right", ALL, of(base));
    let one = FakeWorker {
        mishaps: ["base", "left", "right"].map(|step| (step.to_owned(), Mishap::Yield)).into(),
        ..FakeWorker::new()
    };
    let mut two = one.beside();
    two.mishaps.clone_from(&one.mishaps);
    let targets = [left, right];
    let (first, second) = tokio::join!(run(&one, &graph, &targets), run(&two, &graph, &targets));
    let (first, second) = (first.expect("built"), second.expect("built"));
    assert_eq!(one.store.executions(), 3);
    assert_eq!(first.snapshot(Edge::first(left)), second.snapshot(Edge::first(left)));
    assert_eq!(first.snapshot(Edge::first(right)), second.snapshot(Edge::first(right)));
}

#[tokio::test]
async fn a_missing_context_file_fails_the_step_that_reads_it() {
    let mut graph = Graph::new();
    let context = local(&mut graph);
    let copied = copy(&mut graph, "absent", context, None);
    let worker = FakeWorker::new();
    let failure = run(&worker, &graph, &[copied]).await.expect_err("failed");
    assert_eq!(failure.title, "copy absent");
    assert_eq!(worker.store.executions(), 0);
}

#[tokio::test]
async fn hundreds_of_steps_in_a_row() {
    let mut graph = Graph::new();
    let mut last = exec(&mut graph, "step", ALL, None);
    for nth in 0..300 {
        last = exec(&mut graph, &format!("step {nth}"), SAME, of(last));
    }
    let worker = FakeWorker::new();
    run(&worker, &graph, &[last]).await.expect("built");
    run(&worker, &graph, &[last]).await.expect("built");
    assert_eq!(worker.store.executions(), 301);
}
