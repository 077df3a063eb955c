//! Results that other stores offer.

use std::collections::BTreeMap;

use graph::Graph;
use layer_store::{CacheKey, Record};

use super::fake::FakeWorker;
use super::*;
use crate::worker::{Offer, Reach};

/// `w` throws dice; `a` and `b` bind what it made; `top` binds both.
struct Plan {
    graph: Graph,
    w: VertexId,
    a: VertexId,
    top: VertexId,
}

fn plan(top: &str) -> Plan {
    let mut graph = Graph::new();
    let w = exec(&mut graph, "w", DICE, None);
    let a = exec_with(&mut graph, "a", ALL, vec![None, of(w)], vec![(1, "w")], false);
    let b = exec_with(&mut graph, "b", ALL, vec![None, of(w)], vec![(1, "w")], false);
    let top = exec_with(&mut graph, top, ALL, vec![None, of(a), of(b)], vec![(1, "a"), (2, "b")], false);
    Plan { graph, w, a, top }
}

/// Everything that a build of `top` records on a machine whose layers `here` can reach.
async fn recorded(here: &FakeWorker, plan: &Plan) -> BTreeMap<CacheKey, Record> {
    let there = here.beside();
    run(&there, &plan.graph, &[plan.top]).await.expect("built");
    std::mem::take(&mut there.store.lock().records)
}

/// Offers records; of those of the step `beyond`, the layers cannot be had.
fn offer(here: &mut FakeWorker, records: &BTreeMap<CacheKey, Record>, beyond: &str) {
    let layers = here.store.lock().layers.clone();
    let is_beyond = |record: &Record| {
        record.outputs.iter().flat_map(|snapshot| &snapshot.0).any(|id| layers[id].contains_key(beyond))
    };
    for (key, record) in records {
        let reach = if is_beyond(record) { Reach::Beyond } else { Reach::Within };
        here.offered.entry(*key).or_default().push(Offer { record: record.clone(), reach });
    }
}

#[tokio::test]
async fn what_is_offered_does_not_run() {
    let (mut here, plan) = (FakeWorker::new(), plan("top"));
    let records = recorded(&here, &plan).await;
    offer(&mut here, &records, "nothing");
    let solution = run(&here, &plan.graph, &[plan.top]).await.expect("built");
    assert_eq!((solution.counts.ran, here.store.runs("w")), (0, 1));
    here.offered.clear();
    let again = run(&here, &plan.graph, &[plan.top]).await.expect("built");
    assert_eq!(again.counts.ran, 0, "what was used is recorded here now");
}

#[tokio::test]
async fn a_result_without_layers_stands_for_what_was_made_from_it() {
    let (mut here, plan) = (FakeWorker::new(), plan("top"));
    let records = recorded(&here, &plan).await;
    offer(&mut here, &records, "w");
    assert_eq!(run(&here, &plan.graph, &[plan.top]).await.expect("built").counts.ran, 0);
    // Somebody needs the layers: it runs, and nothing made from the other result is used beside it.
    here.store.lock().records.clear();
    let solution = run(&here, &plan.graph, &[plan.top, plan.w]).await.expect("built");
    assert_eq!((here.store.runs("w"), here.store.runs("a"), here.store.runs("b")), (2, 2, 2));
    assert_eq!(solution.counts.ran, 4);
}

#[tokio::test]
async fn a_changed_step_takes_what_it_needs_from_one_other_store() {
    let mut here = FakeWorker::new();
    let (first, second) = (recorded(&here, &plan("top")).await, recorded(&here, &plan("top")).await);
    assert_eq!(here.store.runs("w"), 2);
    let third = plan("other top");
    offer(&mut here, &second, "nothing");
    offer(&mut here, &first, "nothing");
    let solution = run(&here, &third.graph, &[third.top]).await.expect("built");
    assert_eq!((solution.counts.ran, here.store.runs("other top")), (1, 1));
}

#[tokio::test]
async fn what_two_stores_offer_is_never_mixed() {
    let mut here = FakeWorker::new();
    let plan = plan("top");
    let (first, second) = (recorded(&here, &plan).await, recorded(&here, &plan).await);
    // The first has all but the top, the second the top alone.
    let layers = here.store.lock().layers.clone();
    let of_top =
        |record: &Record| record.outputs[0].0.last().is_some_and(|id| layers[id].contains_key("top"));
    offer(&mut here, &first.into_iter().filter(|(_, record)| !of_top(record)).collect(), "nothing");
    offer(&mut here, &second.into_iter().filter(|(_, record)| of_top(record)).collect(), "nothing");
    let solution = run(&here, &plan.graph, &[plan.top, plan.a]).await.expect("built");
    assert_eq!((solution.counts.ran, here.store.runs("top")), (1, 3));
}

#[tokio::test]
async fn an_equal_result_is_found_elsewhere_by_its_content() {
    let mut graph = Graph::new();
    let changed = |graph: &mut Graph, name: &str| {
        let low = exec(graph, name, SAME, None);
        exec_with(graph, "high", ALL, vec![None, of(low)], vec![(1, "fixed")], false)
    };
    let old = changed(&mut graph, "low 1");
    let mut here = FakeWorker::new();
    let there = here.beside();
    run(&there, &graph, &[old]).await.expect("built");
    let records = std::mem::take(&mut there.store.lock().records);
    offer(&mut here, &records, "nothing");
    let new = changed(&mut graph, "low 2");
    let solution = run(&here, &graph, &[new]).await.expect("built");
    assert_eq!((solution.counts.ran, here.store.runs("high")), (1, 1));
}
