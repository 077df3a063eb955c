//! Which steps come first where not all can run at once: those on the longest way to the end.

use std::collections::BTreeMap;

use graph::{Graph, Op, VertexId};

use super::decide::Decision;

/// What a process takes, in milliseconds, where nothing is known.
const PROCESS: u64 = 1000;
/// What file actions take.
const FILES: u64 = 50;

/// For each needed step, how long it and the longest chain of steps that wait for it will take, about: by
/// what it took before, where that is recorded, else by its kind.
pub(super) fn weights(graph: &Graph, decision: &Decision, demanded: &[VertexId]) -> BTreeMap<VertexId, u64> {
    let mut weights: BTreeMap<VertexId, u64> = BTreeMap::new();
    for &id in demanded.iter().rev() {
        let after = weights.get(&id).copied().unwrap_or_default();
        let own = match decision.records.get(&id) {
            _ if decision.usable.contains(&id) => 0,
            Some(before) => before.millis,
            None => usual(&graph.vertex(id).op),
        };
        let whole = after.saturating_add(own).saturating_add(1);
        weights.insert(id, whole);
        if decision.usable.contains(&id) {
            continue;
        }
        for edge in graph.vertex(id).inputs.iter().flatten() {
            let known = weights.entry(edge.vertex).or_default();
            *known = (*known).max(whole);
        }
    }
    weights
}

fn usual(op: &Op) -> u64 {
    match op {
        Op::Exec(_) => PROCESS,
        Op::File(_) | Op::Diff => FILES,
        Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::Merge => 0,
    }
}
