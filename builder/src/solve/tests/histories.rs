//! Histories after which a careless cache puts two results of one step into one image.

use graph::Graph;
use layer_store::{Record, Snapshot};

use super::fake::{FakeWorker, Mishap};
use super::*;

/// `w` throws dice; `v` is built upon it; `x`, another user of `w`, binds its throw.
struct Plan {
    graph: Graph,
    w: VertexId,
    v: VertexId,
    x: VertexId,
}

fn plan(uncached: bool) -> Plan {
    let mut graph = Graph::new();
    let w = exec_with(&mut graph, "w", DICE, vec![None], Vec::new(), uncached);
    let v = exec(&mut graph, "v", ALL, of(w));
    let x = exec_with(&mut graph, "x", ALL, vec![None, of(w)], vec![(1, "w")], false);
    Plan { graph, w, v, x }
}

/// The throws of `w` that a snapshot shows or was made from: its layer, and what `x` read.
fn throw_in(worker: &FakeWorker, snapshot: &Snapshot) -> Option<String> {
    worker.store.contents(snapshot).iter().find_map(|layer| layer.get("w").cloned())
}

fn throw_read_by(worker: &FakeWorker, snapshot: &Snapshot, step: &str) -> String {
    let layer = worker.store.contents(snapshot).pop().expect("a layer");
    let state = worker.store.lock();
    let made = state
        .productions
        .iter()
        .find(|one| one.step == step && one.layer == layer)
        .expect("made by the step");
    made.reads.last().expect("it read something").clone()
}

fn one_throw_in_all(worker: &FakeWorker, plan: &Plan, solution: &Solution) {
    let v = solution.snapshot(Edge::first(plan.v)).expect("v is there");
    let x = solution.snapshot(Edge::first(plan.x)).expect("x is there");
    let shown = throw_in(worker, v).expect("v stands upon w");
    assert_eq!(throw_read_by(worker, x, "x"), format!("w={:?}", Some(&shown)));
    assert!(throw_read_by(worker, v, "v").contains(&format!("{shown:?}")));
}

/// Removes the records of a step, under both keys.
fn evict(worker: &FakeWorker, step: &str) -> usize {
    let mut state = worker.store.lock();
    let before = state.records.len();
    let layers = state.layers.clone();
    let is_of_step =
        |record: &Record| record.outputs[0].0.last().is_some_and(|id| layers[id].contains_key(step));
    state.records.retain(|_, record| !is_of_step(record));
    before - state.records.len()
}

#[tokio::test]
async fn a_dependant_failed_after_its_input_ran_again() {
    let mut worker = FakeWorker::new();
    let first = plan(false);
    run(&worker, &first.graph, &[first.v]).await.expect("built");
    let second = plan(true);
    worker.mishaps = [("v".to_owned(), Mishap::Fail)].into();
    run(&worker, &second.graph, &[second.v]).await.expect_err("v failed");
    worker.mishaps.clear();
    let third = plan(false);
    let solution = run(&worker, &third.graph, &[third.v, third.x]).await.expect("built");
    assert_eq!(worker.store.runs("w"), 2);
    one_throw_in_all(&worker, &third, &solution);
}

#[tokio::test]
async fn a_record_in_the_middle_is_gone() {
    let worker = FakeWorker::new();
    let first = plan(false);
    run(&worker, &first.graph, &[first.v]).await.expect("built");
    assert_eq!(evict(&worker, "w"), 2);
    // Alone, v needs nothing of w: its record still counts.
    let alone = run(&worker, &first.graph, &[first.v]).await.expect("built");
    assert_eq!(alone.counts.ran, 0);
    // With x, w has to run again, so v must follow.
    let second = plan(false);
    let solution = run(&worker, &second.graph, &[second.v, second.x]).await.expect("built");
    assert_eq!(worker.store.runs("w"), 2);
    one_throw_in_all(&worker, &second, &solution);
}

#[tokio::test]
async fn another_target_ran_the_input_again() {
    let worker = FakeWorker::new();
    let first = plan(false);
    run(&worker, &first.graph, &[first.v, first.x]).await.expect("built");
    let second = plan(true);
    run(&worker, &second.graph, &[second.x]).await.expect("built");
    let third = plan(false);
    let solution = run(&worker, &third.graph, &[third.v, third.x]).await.expect("built");
    assert_eq!(worker.store.runs("w"), 2);
    one_throw_in_all(&worker, &third, &solution);
    let w = run(&worker, &third.graph, &[third.w, third.v]).await.expect("built");
    let shown = w.snapshot(Edge::first(third.w)).and_then(|snapshot| throw_in(&worker, snapshot));
    assert_eq!(
        shown,
        solution.snapshot(Edge::first(third.v)).and_then(|snapshot| throw_in(&worker, snapshot))
    );
}

/// `v` uses `w` through `x` and `y`; `w` is evicted. For `v` alone all is well; but when `x` is
/// wanted too, it cannot use its record, since `y` needs `w` as well, and then neither can `v`.
#[tokio::test]
async fn an_input_between_two_users_is_gone() {
    let mut graph = Graph::new();
    let w = exec(&mut graph, "w", DICE, None);
    let x = exec(&mut graph, "x", ALL, of(w));
    let y = exec(&mut graph, "y", ALL, of(w));
    let v = exec_with(&mut graph, "v", ALL, vec![None, of(x), of(y)], vec![(1, "x"), (2, "y")], false);
    let worker = FakeWorker::new();
    run(&worker, &graph, &[v]).await.expect("built");
    assert_eq!(evict(&worker, "w"), 2);
    let solution = run(&worker, &graph, &[v, x]).await.expect("built");
    let shown = solution.snapshot(Edge::first(x)).map(|snapshot| worker.store.contents(snapshot));
    let x_value =
        shown.and_then(|layers| layers.last().and_then(|layer| layer.get("x").cloned())).expect("x is there");
    let v_layer = worker.store.contents(solution.snapshot(Edge::first(v)).expect("v is there")).pop();
    let state = worker.store.lock();
    let made = state.productions.iter().find(|one| Some(&one.layer) == v_layer.as_ref()).expect("v was made");
    assert!(made.reads.contains(&format!("x={:?}", Some(x_value))));
}
