//! Hearing of results while a build runs, and which layers of them are new to a listener.

use std::collections::{BTreeSet, HashSet};

use graph::{Edge, Graph, Op, VertexId};
use layer_store::{LayerId, Snapshot};
use tokio::sync::mpsc;

/// A step and the trees that came of it.
pub(crate) type Told = (VertexId, Vec<Snapshot>);

/// The end that tells of results. Clones share it; listeners hear the end when all are gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feed(Vec<mpsc::UnboundedSender<Told>>);

impl Feed {
    /// One with a listener.
    pub(crate) fn channel() -> (Self, mpsc::UnboundedReceiver<Told>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(vec![sender]), receiver)
    }

    /// One that tells the listeners of both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// A result that the build uses.
    pub(crate) fn tell(&self, id: VertexId, outputs: &[Snapshot]) {
        for sender in &self.0 {
            // Nobody listens any more: the uploads failed, and that is told at the end.
            let _ = sender.send((id, outputs.to_vec()));
        }
    }
}

/// A layer in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) id: LayerId,
    pub(crate) below: Snapshot,
}

/// The layers of steps among these that are not known yet.
pub(crate) fn new_layers(outputs: &[Snapshot], known: &mut HashSet<LayerId>) -> Vec<Wanted> {
    let mut new = Vec::new();
    for snapshot in outputs {
        for (position, id) in snapshot.0.iter().enumerate() {
            if !id.names_content() && known.insert(id.clone()) {
                let below = Snapshot(snapshot.0[..position].to_vec());
                new.push(Wanted { id: id.clone(), below });
            }
        }
    }
    new
}

/// The steps whose layers make up the trees of these roots.
pub(crate) fn chain(graph: &Graph, roots: &[Edge]) -> BTreeSet<VertexId> {
    let mut chain = BTreeSet::new();
    let mut open: Vec<VertexId> = roots.iter().map(|edge| edge.vertex).collect();
    while let Some(id) = open.pop() {
        if !chain.insert(id) {
            continue;
        }
        let vertex = graph.vertex(id);
        let below = match &vertex.op {
            Op::Merge => vertex.inputs.len(),
            Op::Exec(_) | Op::File(_) => 1,
            Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::Diff => 0,
        };
        open.extend(vertex.inputs.iter().take(below).flatten().map(|edge| edge.vertex));
    }
    chain
}
