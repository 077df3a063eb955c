//! The reachable part of a graph as the solver sees it.
//!
//! A merge is no step: it names the layers of its inputs and nothing else, so here its users use its
//! inputs. A local context is no step either: it enters keys with what is read of it. What remains
//! are the *steps*, each with the steps it uses, directly and in all.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Edge, Graph, Op, VertexId};

/// Dependencies between the reachable steps.
#[derive(Debug)]
pub(crate) struct Web {
    order: Vec<VertexId>,
    uses: BTreeMap<VertexId, BTreeSet<VertexId>>,
    cones: BTreeMap<VertexId, BTreeSet<VertexId>>,
    users: BTreeMap<VertexId, BTreeSet<VertexId>>,
    targets: BTreeSet<VertexId>,
}

impl Web {
    /// The part that the targets reach.
    pub(crate) fn new(graph: &Graph, targets: &[Edge]) -> Self {
        let roots: Vec<VertexId> = targets.iter().map(|edge| edge.vertex).collect();
        let order = graph.reachable(roots.iter().copied());
        let mut web = Self {
            uses: BTreeMap::new(),
            cones: BTreeMap::new(),
            users: order.iter().map(|&id| (id, BTreeSet::new())).collect(),
            targets: BTreeSet::new(),
            order,
        };
        for &id in &web.order {
            let uses = uses(graph, id, &web.uses);
            let cone = uses.iter().flat_map(|used| web.cones[used].iter().copied().chain([*used])).collect();
            if is_step(&graph.vertex(id).op) {
                uses.iter().for_each(|used| {
                    web.users.entry(*used).or_default().insert(id);
                });
            }
            web.uses.insert(id, uses);
            web.cones.insert(id, cone);
        }
        for id in roots {
            web.targets.extend(if is_step(&graph.vertex(id).op) {
                BTreeSet::from([id])
            } else {
                web.uses[&id].clone()
            });
        }
        web
    }

    /// All reachable vertices, inputs before their users.
    pub(crate) fn order(&self) -> &[VertexId] {
        &self.order
    }

    /// The steps that this one uses, directly and in all.
    pub(crate) fn cone(&self, id: VertexId) -> &BTreeSet<VertexId> {
        &self.cones[&id]
    }

    /// Whether `used` matters only to `user`: it is no target, and all its users are `user` or are
    /// themselves used by it.
    pub(crate) fn serves_only(&self, used: VertexId, user: VertexId) -> bool {
        let cone = &self.cones[&user];
        !self.targets.contains(&used) && self.users[&used].iter().all(|id| *id == user || cone.contains(id))
    }
}

/// Whether an op makes something of its own, which records can name.
pub(crate) fn is_step(op: &Op) -> bool {
    match op {
        Op::Local(_) | Op::Merge => false,
        Op::Image(_) | Op::Git(_) | Op::Http(_) | Op::Exec(_) | Op::File(_) | Op::Diff => true,
    }
}

fn uses(graph: &Graph, id: VertexId, known: &BTreeMap<VertexId, BTreeSet<VertexId>>) -> BTreeSet<VertexId> {
    let mut all = BTreeSet::new();
    for edge in graph.vertex(id).inputs.iter().flatten() {
        match &graph.vertex(edge.vertex).op {
            Op::Local(_) => {}
            Op::Merge => all.extend(known[&edge.vertex].iter().copied()),
            Op::Image(_) | Op::Git(_) | Op::Http(_) | Op::Exec(_) | Op::File(_) | Op::Diff => {
                all.insert(edge.vertex);
            }
        }
    }
    all
}
