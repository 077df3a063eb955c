//! The graph itself.

use std::collections::HashMap;

use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;

use crate::{Op, Span};

/// Names a vertex within one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VertexId(NodeIndex);

impl VertexId {
    /// Position in order of creation: inputs always have a smaller one.
    pub fn index(self) -> usize {
        self.0.index()
    }
}

/// "Output *n* of that vertex".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// The vertex.
    pub vertex: VertexId,
    /// Which of its outputs.
    pub output: u16,
}

impl Edge {
    /// The first output, the only one of most ops.
    pub fn first(vertex: VertexId) -> Self {
        Self { vertex, output: 0 }
    }
}

/// An input of a vertex: an edge, or the empty tree.
///
/// Which paths of it matter follows from the op ([`Copy::source`](crate::Copy) and the like).
pub type Input = Option<Edge>;

/// What people see of a vertex and what steers its caching; never part of its identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Title for progress: `[stage 2/5] RUN make`.
    pub title: String,
    /// The instruction in the build file.
    pub span: Option<Span>,
    /// Do not use recorded results.
    pub no_cache: bool,
}

/// An op with its inputs.
#[derive(Clone, Debug)]
pub struct Vertex {
    /// What to do.
    pub op: Op,
    /// Upon what, by position.
    pub inputs: Vec<Input>,
    /// For people.
    pub meta: Meta,
}

/// A hash-consed directed acyclic graph of vertices.
#[derive(Debug, Default)]
pub struct Graph {
    dag: StableDiGraph<Vertex, usize>,
    known: HashMap<[u8; 32], VertexId>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a vertex, or finds the equal one. `no_cache` of equal vertices is joined; the first
    /// title and span stay.
    ///
    /// # Panics
    /// When an input names a vertex of another graph.
    pub fn add(&mut self, op: Op, inputs: Vec<Input>, meta: Meta) -> VertexId {
        let identity = identity(&op, &inputs);
        if let Some(&id) = self.known.get(&identity) {
            let vertex = &mut self.dag[id.0];
            vertex.meta.no_cache |= meta.no_cache;
            return id;
        }
        let edges: Vec<NodeIndex> = inputs.iter().flatten().map(|edge| edge.vertex.0).collect();
        let id = VertexId(self.dag.add_node(Vertex { op, inputs, meta }));
        for (position, from) in edges.into_iter().enumerate() {
            self.dag.add_edge(from, id.0, position);
        }
        self.known.insert(identity, id);
        id
    }

    /// The vertex behind an id.
    pub fn vertex(&self, id: VertexId) -> &Vertex {
        &self.dag[id.0]
    }

    /// How many vertices there are.
    pub fn len(&self) -> usize {
        self.dag.node_count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All vertices, inputs before their users.
    pub fn vertices(&self) -> impl Iterator<Item = (VertexId, &Vertex)> {
        self.dag.node_indices().map(|index| (VertexId(index), &self.dag[index]))
    }

    /// The vertices that use an output of this one.
    pub fn users(&self, id: VertexId) -> impl Iterator<Item = VertexId> + '_ {
        self.dag.edges(id.0).map(|edge| VertexId(edge.target()))
    }

    /// The given vertices and all they need, inputs before their users.
    pub fn reachable(&self, roots: impl IntoIterator<Item = VertexId>) -> Vec<VertexId> {
        let mut seen = std::collections::BTreeSet::new();
        let mut stack: Vec<VertexId> = roots.into_iter().collect();
        while let Some(id) = stack.pop() {
            if seen.insert(id) {
                stack.extend(self.vertex(id).inputs.iter().flatten().map(|edge| edge.vertex));
            }
        }
        seen.into_iter().collect()
    }
}

fn identity(op: &Op, inputs: &[Input]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&op.canonical());
    for input in inputs {
        match input {
            None => hasher.update(&[0]),
            Some(edge) => hasher
                .update(&[1])
                .update(&(edge.vertex.index() as u64).to_le_bytes())
                .update(&edge.output.to_le_bytes()),
        };
    }
    *hasher.finalize().as_bytes()
}
