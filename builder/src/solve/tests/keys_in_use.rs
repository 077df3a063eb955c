//! Which changes make steps run again, and which do not.

use graph::Graph;

use super::fake::{FakeWorker, Files};
use super::*;

fn context(pairs: &[(&str, &str)]) -> Files {
    pairs.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn only_selected_files_of_the_context_count() {
    let mut graph = Graph::new();
    let files = local(&mut graph);
    let copied = copy(&mut graph, "used", files, None);
    let after = exec(&mut graph, "after", ALL, of(copied));
    let mut worker = FakeWorker { context: context(&[("used", "1"), ("other", "1")]), ..FakeWorker::new() };
    run(&worker, &graph, &[after]).await.expect("built");
    worker.context = context(&[("used", "1"), ("other", "2")]);
    run(&worker, &graph, &[after]).await.expect("built");
    assert_eq!(worker.store.executions(), 2);
    worker.context = context(&[("used", "2"), ("other", "2")]);
    run(&worker, &graph, &[after]).await.expect("built");
    assert_eq!(worker.store.executions(), 4);
}

#[tokio::test]
async fn an_identical_result_stops_the_cascade() {
    let mut graph = Graph::new();
    let files = local(&mut graph);
    let copied = copy(&mut graph, "used", files, None);
    let same = exec(&mut graph, "same", SAME, of(copied));
    let taken = copy(&mut graph, "same", same, None);
    let after = exec(&mut graph, "after", ALL, of(taken));
    let mut worker = FakeWorker { context: context(&[("used", "1")]), ..FakeWorker::new() };
    let first = run(&worker, &graph, &[after]).await.expect("built");
    worker.context = context(&[("used", "2")]);
    let second = run(&worker, &graph, &[after]).await.expect("built");
    assert_eq!(worker.store.runs("same"), 2);
    assert_eq!(worker.store.runs("after"), 1);
    assert_eq!(first.snapshot(Edge::first(after)), second.snapshot(Edge::first(after)));
}

#[tokio::test]
async fn a_step_under_another_definition_finds_equal_inputs() {
    let build = |name: &str| {
        let mut graph = Graph::new();
        let made = exec(&mut graph, name, SAME, None);
        let taken = copy(&mut graph, "fixed", made, None);
        let after = exec(&mut graph, "after", ALL, of(taken));
        (graph, after)
    };
    let worker = FakeWorker::new();
    for name in ["one", "two"] {
        let (graph, after) = build(name);
        run(&worker, &graph, &[after]).await.expect("built");
    }
    assert_eq!(worker.store.runs("after"), 1);
}

#[tokio::test]
async fn uncached_steps_run_again_and_their_dependants_only_on_change() {
    for (what, runs) in [(SAME, 1), (DICE, 2)] {
        let build = |no_cache| {
            let mut graph = Graph::new();
            let first = exec_with(&mut graph, "first", what, vec![None], Vec::new(), no_cache);
            let after = exec(&mut graph, "after", ALL, of(first));
            (graph, after)
        };
        let worker = FakeWorker::new();
        let (graph, after) = build(false);
        run(&worker, &graph, &[after]).await.expect("built");
        let (graph, after) = build(true);
        let uncached = run(&worker, &graph, &[after]).await.expect("built");
        assert_eq!((worker.store.runs("first"), worker.store.runs("after")), (2, runs), "{what}");
        // What ran uncached is filed: the next build finds it.
        let (graph, after) = build(false);
        let third = run(&worker, &graph, &[after]).await.expect("built");
        assert_eq!((worker.store.runs("first"), worker.store.runs("after")), (2, runs), "{what}");
        assert_eq!(third.snapshot(Edge::first(after)), uncached.snapshot(Edge::first(after)));
    }
}

#[tokio::test]
async fn a_build_without_cache_runs_all_and_keeps_equal_layers() {
    let mut graph = Graph::new();
    let a = exec(&mut graph, "a", SAME, None);
    let b = exec(&mut graph, "b", ALL, of(a));
    let worker = FakeWorker::new();
    let first = run(&worker, &graph, &[b]).await.expect("built");
    let second = run_with(&worker, &graph, &[b], 4, true).await.expect("built");
    assert_eq!(worker.store.executions(), 4);
    assert_eq!(first.snapshot(Edge::first(b)), second.snapshot(Edge::first(b)));
}

#[tokio::test]
async fn a_bind_counts_with_the_bound_path_alone() {
    let build = |what: &str| {
        let mut graph = Graph::new();
        let tool = exec(&mut graph, "tool", what, None);
        let step = exec_with(&mut graph, "step", ALL, vec![None, of(tool)], vec![(1, "fixed")], false);
        (graph, step)
    };
    let worker = FakeWorker::new();
    for what in [ALL, SAME] {
        let (graph, step) = build(what);
        run(&worker, &graph, &[step]).await.expect("built");
    }
    assert_eq!((worker.store.runs("tool"), worker.store.runs("step")), (2, 1));
}

#[tokio::test]
async fn records_of_absent_layers_are_misses() {
    let mut graph = Graph::new();
    let a = exec(&mut graph, "a", ALL, None);
    let worker = FakeWorker::new();
    run(&worker, &graph, &[a]).await.expect("built");
    worker.store.lock().layers.clear();
    run(&worker, &graph, &[a]).await.expect("built");
    assert_eq!(worker.store.runs("a"), 2);
}

#[tokio::test]
async fn a_context_that_nothing_selects_from_becomes_layers() {
    let mut graph = Graph::new();
    let files = local(&mut graph);
    let step = exec(&mut graph, "step", ALL, None);
    let both = merge(&mut graph, &[files, step]);
    let worker = FakeWorker { context: context(&[("a", "1")]), ..FakeWorker::new() };
    let solution = run(&worker, &graph, &[both, files]).await.expect("built");
    let contents =
        |id| worker.store.contents(solution.snapshot(Edge::first(id)).expect("a target is solved"));
    assert_eq!(contents(files), std::slice::from_ref(&worker.context));
    assert_eq!((contents(both).len(), contents(both)[0].clone()), (2, worker.context.clone()));
}
