//! Which recorded results may be used as they are: decided once, before anything runs.
//!
//! One image must never mix two results of one step. A record names the results of all the steps it
//! was made from, so it may be used only if the current record of each of them names that same
//! result and may itself be used; or if that record is absent and the step matters to nothing else
//! in this build, so that it will not be run again here.
//!
//! Deciding everything from one reading of the records makes the answer independent of the order in
//! which steps run, and of what other processes file meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Graph, Op, VertexId};
use layer_store::{CacheKey, Record, ResultId};

use super::choose::{Candidate, Origin};
use super::name::Name;
use super::web::{Web, is_step};
use crate::worker::Reach;

/// What was decided before anything runs.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    /// The one recorded result of each step that is looked at.
    pub(crate) records: BTreeMap<VertexId, Record>,
    /// Those of them that another store offers.
    pub(crate) offered: BTreeSet<VertexId>,
    /// The steps whose results may be used as they are recorded.
    pub(crate) usable: BTreeSet<VertexId>,
    /// The steps whose results are needed.
    pub(crate) demanded: Vec<VertexId>,
}

/// Decides. A result whose layers cannot be had may stand for what was made from it, as long as nothing
/// in this build needs the layers themselves; else it counts for nothing, and all is decided anew.
pub(crate) fn decide(
    graph: &Graph,
    web: &Web,
    targets: &[graph::Edge],
    names: &BTreeMap<VertexId, Name>,
    mut chosen: BTreeMap<VertexId, Candidate>,
    salted: &BTreeSet<VertexId>,
) -> Decision {
    loop {
        let records: BTreeMap<VertexId, Record> =
            chosen.iter().map(|(&id, candidate)| (id, candidate.record.clone())).collect();
        let usable = usable(web, names, &records, salted);
        let demanded = demanded(graph, web, targets, &usable);
        let beyond = |id: &&VertexId| {
            usable.contains(id)
                && chosen.get(id).is_some_and(|one| one.origin == Origin::Offered(Reach::Beyond))
        };
        let missing: Vec<VertexId> = demanded.iter().filter(beyond).copied().collect();
        if missing.is_empty() {
            let offered = |(&id, candidate): (&VertexId, &Candidate)| match candidate.origin {
                Origin::Here => None,
                Origin::Offered(_) => Some(id),
            };
            let offered = chosen.iter().filter_map(offered).collect();
            return Decision { records, offered, usable, demanded };
        }
        chosen.retain(|id, _| !missing.contains(id));
    }
}

/// The vertices whose records may be used.
pub(crate) fn usable(
    web: &Web,
    names: &BTreeMap<VertexId, Name>,
    records: &BTreeMap<VertexId, Record>,
    salted: &BTreeSet<VertexId>,
) -> BTreeSet<VertexId> {
    let mut usable = BTreeSet::new();
    for &id in web.order() {
        let Some(record) = records.get(&id) else { continue };
        if salted.contains(&id) {
            continue;
        }
        let named: BTreeMap<CacheKey, ResultId> =
            record.inputs.iter().map(|input| (input.key, input.result)).collect();
        let agrees = |used: &VertexId| match (named.get(&names[used].key), records.get(used)) {
            (None, _) => false,
            (Some(result), Some(current)) => current.result == *result && usable.contains(used),
            (Some(_), None) => web.serves_only(*used, id),
        };
        if web.cone(id).iter().all(agrees) {
            usable.insert(id);
        }
    }
    usable
}

/// The vertices whose records are not to be looked for under their own names: those that must run
/// again, and all that depend on them.
pub(crate) fn salted(
    graph: &Graph,
    web: &Web,
    no_cache: bool,
    stale: &BTreeSet<VertexId>,
) -> BTreeSet<VertexId> {
    let mut salted = BTreeSet::new();
    for &id in web.order() {
        let vertex = graph.vertex(id);
        let below = vertex.inputs.iter().flatten().any(|edge| salted.contains(&edge.vertex));
        if below || stale.contains(&id) || must_run(&vertex.op, no_cache || vertex.meta.no_cache) {
            salted.insert(id);
        }
    }
    salted
}

/// Whether a step has to run even if its result is known. What is pinned by a digest need not.
pub(crate) fn must_run(op: &Op, no_cache: bool) -> bool {
    match op {
        Op::Exec(_) | Op::File(_) | Op::Diff => no_cache,
        Op::Http(source) => source.checksum.is_none(),
        Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Merge => false,
    }
}

/// The vertices whose results are needed: the targets', and the inputs of those that are not usable.
pub(crate) fn demanded(
    graph: &Graph,
    web: &Web,
    targets: &[graph::Edge],
    usable: &BTreeSet<VertexId>,
) -> Vec<VertexId> {
    let mut wanted: BTreeSet<VertexId> = targets.iter().map(|edge| edge.vertex).collect();
    for &id in web.order().iter().rev() {
        if wanted.contains(&id) && !usable.contains(&id) {
            wanted.extend(graph.vertex(id).inputs.iter().flatten().map(|edge| edge.vertex));
        }
    }
    web.order().iter().copied().filter(|id| wanted.contains(id)).collect()
}

/// The vertices that records are kept for.
pub(crate) fn recorded(graph: &Graph, web: &Web) -> Vec<VertexId> {
    web.order().iter().copied().filter(|id| is_step(&graph.vertex(*id).op)).collect()
}
