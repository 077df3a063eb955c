//! Random graphs, random histories: what the cache gives is what some one run could have given.

use std::collections::BTreeMap;

use graph::Graph;
use proptest::prelude::*;

use super::fake::{FakeWorker, Files, Mishap, Production, reads};
use super::*;
use crate::worker::{Offer, Reach};

/// A vertex to be: its inputs are chosen among the earlier ones.
#[derive(Clone, Debug)]
enum Kind {
    Exec { what: &'static str, root: Option<u8>, bind: Option<u8> },
    Copy { from: u8, base: Option<u8> },
    CopyLocal { base: Option<u8> },
    Merge { left: u8, right: u8 },
}

/// One build in a history.
#[derive(Clone, Debug)]
struct Build {
    targets: Vec<u8>,
    uncached: Option<u8>,
    failing: Option<u8>,
    evicted: Vec<u8>,
    context: u8,
    /// Which of two machines builds.
    machine: usize,
    /// What it is offered of what the other recorded, and which layers of that can be had.
    offered: Option<u8>,
}

fn kinds() -> impl Strategy<Value = Kind> {
    let any = || proptest::option::of(any::<u8>());
    prop_oneof![
        4 => (prop_oneof![Just(ALL), Just(SAME), Just(DICE)], any(), any())
            .prop_map(|(what, root, bind)| Kind::Exec { what, root, bind }),
        2 => (proptest::num::u8::ANY, any()).prop_map(|(from, base)| Kind::Copy { from, base }),
        1 => any().prop_map(|base| Kind::CopyLocal { base }),
        1 => (proptest::num::u8::ANY, proptest::num::u8::ANY).prop_map(|(left, right)| Kind::Merge { left, right }),
    ]
}

fn builds() -> impl Strategy<Value = Build> {
    let byte = proptest::num::u8::ANY;
    (
        proptest::collection::vec(byte, 1..3),
        proptest::option::of(byte),
        proptest::option::weighted(0.3, byte),
        proptest::collection::vec(byte, 0..3),
        0u8..3,
        0usize..2,
        proptest::option::of(byte),
    )
        .prop_map(|(targets, uncached, failing, evicted, context, machine, offered)| Build {
            targets,
            uncached,
            failing,
            evicted,
            context,
            machine,
            offered,
        })
}

fn pick(choice: u8, among: &[VertexId]) -> Option<VertexId> {
    (!among.is_empty()).then(|| among[usize::from(choice) % among.len()])
}

fn construct(kinds: &[Kind], uncached: Option<u8>) -> (Graph, Vec<VertexId>) {
    let mut graph = Graph::new();
    let context = local(&mut graph);
    let mut made: Vec<VertexId> = Vec::new();
    for (nth, kind) in kinds.iter().enumerate() {
        let no_cache = uncached.is_some_and(|choice| usize::from(choice) % kinds.len() == nth);
        let one = |choice: &Option<u8>| choice.and_then(|choice| pick(choice, &made)).and_then(of);
        let id = match kind {
            Kind::Exec { what, root, bind } => {
                let (root, bind) = (one(root), one(bind));
                let binds = if bind.is_some() { vec![(1, "fixed"), (1, "step 0")] } else { Vec::new() };
                let inputs = if bind.is_some() { vec![root, bind] } else { vec![root] };
                exec_with(&mut graph, &format!("step {nth}"), what, inputs, binds, no_cache)
            }
            Kind::Copy { from, base } => match pick(*from, &made) {
                Some(from) => copy(&mut graph, "step 0", from, one(base)),
                None => exec(&mut graph, &format!("step {nth}"), DICE, None),
            },
            Kind::CopyLocal { base } => copy(&mut graph, "file", context, one(base)),
            Kind::Merge { left, right } => match (pick(*left, &made), pick(*right, &made)) {
                (Some(left), Some(right)) => merge(&mut graph, &[left, right]),
                (None, _) | (_, None) => exec(&mut graph, &format!("step {nth}"), ALL, None),
            },
        };
        made.push(id);
    }
    (graph, made)
}

/// One possible run: the layers of each vertex, by what the steps are known to make of what they read.
struct Explain<'a> {
    graph: &'a Graph,
    order: Vec<VertexId>,
    productions: &'a [Production],
    context: &'a Files,
    wanted: BTreeMap<VertexId, Vec<Files>>,
}

impl Explain<'_> {
    fn possible(&self, nth: usize, chosen: &mut BTreeMap<VertexId, Vec<Files>>) -> bool {
        let Some(&id) = self.order.get(nth) else { return true };
        self.choices(id, chosen).into_iter().any(|stack| {
            if self.wanted.get(&id).is_some_and(|wanted| *wanted != stack) {
                return false;
            }
            chosen.insert(id, stack);
            self.possible(nth + 1, chosen)
        })
    }

    fn choices(&self, id: VertexId, chosen: &BTreeMap<VertexId, Vec<Files>>) -> Vec<Vec<Files>> {
        let vertex = self.graph.vertex(id);
        let stack = |input: &Input| input.map_or_else(Vec::new, |edge| chosen[&edge.vertex].clone());
        let stacks: Vec<Vec<Files>> = vertex.inputs.iter().map(stack).collect();
        match &vertex.op {
            Op::Merge => return vec![stacks.concat()],
            Op::Local(_) => return vec![vec![self.context.clone()]],
            Op::Image(_) | Op::Git(_) | Op::Http(_) | Op::Exec(_) | Op::File(_) | Op::Diff => {}
        }
        let trees: Vec<Files> =
            stacks.iter().map(|stack| stack.iter().flat_map(Clone::clone).collect()).collect();
        let read = reads(&vertex.op, &trees);
        let name = match &vertex.op {
            Op::Exec(exec) => exec.args[0].clone(),
            Op::File(actions) => format!("file {actions:?}"),
            Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::Merge | Op::Diff => String::new(),
        };
        let mut all: Vec<Vec<Files>> = Vec::new();
        for one in self.productions.iter().filter(|one| one.step == name && one.reads == read) {
            let whole =
                [stacks.first().map_or(&[][..], Vec::as_slice), std::slice::from_ref(&one.layer)].concat();
            if !all.contains(&whole) {
                all.push(whole);
            }
        }
        all
    }
}

fn sound(kinds: &[Kind], history: &[Build]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut worker = FakeWorker::new();
    let mut machines = [BTreeMap::new(), BTreeMap::new()];
    for build in history {
        worker.store.lock().records = std::mem::take(&mut machines[build.machine]);
        worker.offered = offers(&machines[1 - build.machine], build.offered);
        let (graph, made) = construct(kinds, build.uncached);
        let targets: Vec<VertexId> = build.targets.iter().filter_map(|choice| pick(*choice, &made)).collect();
        worker.context = Files::from([("file".to_owned(), build.context.to_string())]);
        worker.mishaps = build
            .failing
            .map(|choice| (format!("step {}", usize::from(choice) % kinds.len()), Mishap::Fail))
            .into_iter()
            .collect();
        for choice in &build.evicted {
            let mut state = worker.store.lock();
            let keys: Vec<_> = state.records.keys().copied().collect();
            if !keys.is_empty() {
                state.records.remove(&keys[usize::from(*choice) % keys.len()]);
            }
        }
        if let Ok(solution) = runtime.block_on(run(&worker, &graph, &targets)) {
            explained(&worker, &graph, &targets, &solution);
            repeated(&runtime, &mut worker, &graph, kinds, build);
        }
        machines[build.machine] = std::mem::take(&mut worker.store.lock().records);
    }
}

/// What another machine recorded. Of some results, a different part each time, the layers cannot be had.
fn offers(
    records: &BTreeMap<layer_store::CacheKey, layer_store::Record>,
    choice: Option<u8>,
) -> BTreeMap<layer_store::CacheKey, Vec<Offer>> {
    let Some(choice) = choice else { return BTreeMap::new() };
    let offer = |record: &layer_store::Record| {
        let bits = record.result.0[usize::from(choice % 32)];
        let reach = if bits & choice & 3 == 3 { Reach::Beyond } else { Reach::Within };
        Offer { record: record.clone(), reach }
    };
    records.iter().map(|(key, record)| (*key, vec![offer(record)])).collect()
}

/// There is one result for each step that explains all the targets at once.
fn explained(worker: &FakeWorker, graph: &Graph, targets: &[VertexId], solution: &Solution) {
    let wanted: BTreeMap<VertexId, Vec<Files>> = targets
        .iter()
        .map(|id| {
            (*id, worker.store.contents(solution.snapshot(Edge::first(*id)).expect("a target is solved")))
        })
        .collect();
    let state = worker.store.lock();
    let explain = Explain {
        graph,
        order: graph.reachable(targets.iter().copied()),
        productions: &state.productions,
        context: &worker.context,
        wanted,
    };
    assert!(explain.possible(0, &mut BTreeMap::new()), "two results of one step in one build");
}

/// The same build again runs nothing.
fn repeated(
    runtime: &tokio::runtime::Runtime,
    worker: &mut FakeWorker,
    graph: &Graph,
    kinds: &[Kind],
    build: &Build,
) {
    if build.uncached.is_some() {
        return;
    }
    worker.mishaps.clear();
    let targets: Vec<VertexId> = {
        let (_, made) = construct(kinds, None);
        build.targets.iter().filter_map(|choice| pick(*choice, &made)).collect()
    };
    let before = worker.store.executions();
    runtime.block_on(run(worker, graph, &targets)).expect("built");
    assert_eq!(worker.store.executions(), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cached_builds_are_possible_builds(
        kinds in proptest::collection::vec(kinds(), 1..8),
        history in proptest::collection::vec(builds(), 1..6),
    ) {
        sound(&kinds, &history);
    }

    #[test]
    fn cached_equals_uncached_without_dice(
        kinds in proptest::collection::vec(kinds(), 1..8),
        history in proptest::collection::vec(builds(), 1..6),
    ) {
        let calm: Vec<Kind> = kinds.into_iter().map(|kind| match kind {
            Kind::Exec { what: DICE, root, bind } => Kind::Exec { what: ALL, root, bind },
            Kind::Exec { .. } | Kind::Copy { .. } | Kind::CopyLocal { .. } | Kind::Merge { .. } => kind,
        }).collect();
        sound(&calm, &history);
    }
}
