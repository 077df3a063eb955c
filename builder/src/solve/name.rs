//! The definition keys of all reachable steps.
//!
//! Local contexts are read here, only where a step reads them, all readings at once; what is missing
//! there fails the step that reads it.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use graph::{Graph, Op, VertexId};
use layer_store::{CacheKey, Component};

use crate::error::Cause;
use crate::keys::{self, Named, Reading};
use crate::worker::{Tree, Worker};

/// Digests of what each step reads of local contexts, by step and position of the input.
pub(crate) type LocalReads = BTreeMap<(VertexId, usize), Vec<(Reading, [u8; 32])>>;

/// A step's name and what it was made of.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    /// The definition key.
    pub(crate) key: CacheKey,
    /// Its parts.
    pub(crate) components: Vec<Component>,
}

/// Reads what the steps read of local contexts.
pub(crate) async fn read_locals(
    worker: &dyn Worker,
    graph: &Graph,
    order: &[VertexId],
) -> Result<LocalReads, (VertexId, Cause)> {
    let mut running: FuturesUnordered<_> = wanted(graph, order)
        .into_iter()
        .map(|(id, position, nth, tree, reading)| async move {
            let digest = worker.digest(tree, reading.clone()).await.map_err(|cause| (id, cause))?;
            Ok(((id, position), nth, (reading, digest)))
        })
        .collect();
    let mut found: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    while let Some(one) = running.next().await {
        let (place, nth, read) = one?;
        found.entry(place).or_default().insert(nth, read);
    }
    Ok(found.into_iter().map(|(place, reads)| (place, reads.into_values().collect())).collect())
}

fn wanted(graph: &Graph, order: &[VertexId]) -> Vec<(VertexId, usize, usize, Tree, Reading)> {
    let mut all = Vec::new();
    for &id in order {
        let vertex = graph.vertex(id);
        for (position, input) in vertex.inputs.iter().enumerate() {
            let Some(edge) = input else { continue };
            let Op::Local(source) = &graph.vertex(edge.vertex).op else { continue };
            let tree = Tree::Local(source.clone().into());
            let readings = keys::local_readings(&vertex.op, position);
            all.extend(
                readings
                    .into_iter()
                    .enumerate()
                    .map(|(nth, reading)| (id, position, nth, tree.clone(), reading)),
            );
        }
    }
    all
}

/// Names every vertex, inputs first.
pub(crate) fn names(graph: &Graph, order: &[VertexId], locals: &LocalReads) -> BTreeMap<VertexId, Name> {
    let mut all: BTreeMap<VertexId, Name> = BTreeMap::new();
    for &id in order {
        let vertex = graph.vertex(id);
        let inputs: Vec<Named> = vertex
            .inputs
            .iter()
            .enumerate()
            .map(|(position, input)| match input {
                None => Named::Empty,
                Some(edge) => match graph.vertex(edge.vertex).op.local() {
                    Some(_) => Named::Local(locals.get(&(id, position)).cloned().unwrap_or_default()),
                    None => Named::Step(all[&edge.vertex].key, edge.output),
                },
            })
            .collect();
        let name = Name {
            key: keys::definition(&vertex.op, &inputs),
            components: keys::components(&vertex.op, &inputs),
        };
        all.insert(id, name);
    }
    all
}
