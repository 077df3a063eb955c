//! Fewer layers: all of a target's own layers, or all of its layers, become one. Pure.

use graph::{Edge, Graph, Lowered, Meta, Op, Target};

use crate::request::Squash;

/// Puts a difference of trees in the place of layers. Targets that add no layer stay as they are.
pub(super) fn squash(lowered: &mut Lowered, how: Squash) {
    let own = match how {
        // What is dead is known when the layers are there.
        Squash::None | Squash::Auto => return,
        Squash::New => true,
        Squash::All => false,
    };
    for target in &mut lowered.targets {
        let Some(root) = target.root else { continue };
        let base = if own { base_of(&lowered.graph, root, target) } else { None };
        if base == Some(root) {
            continue;
        }
        if !own {
            target.base = None;
            target.base_history = 0;
        }
        let meta = |title: &str| Meta { title: title.to_owned(), ..Meta::default() };
        let diff = Edge::first(lowered.graph.add(Op::Diff, vec![base, Some(root)], meta("squash")));
        target.root = Some(match base {
            None => diff,
            Some(base) => {
                Edge::first(lowered.graph.add(Op::Merge, vec![Some(base), Some(diff)], meta("squashed")))
            }
        });
        one_layer(target);
    }
}

/// The base image below a target. One that is not there was empty.
pub(super) fn base_of(graph: &Graph, root: Edge, target: &Target) -> Option<Edge> {
    target.base.as_ref()?;
    let mut edge = root;
    loop {
        let vertex = graph.vertex(edge.vertex);
        match &vertex.op {
            Op::Image(_) => return Some(edge),
            Op::Exec(_) | Op::File(_) if edge.output == 0 => edge = (*vertex.inputs.first()?)?,
            Op::Merge => edge = (*vertex.inputs.first()?)?,
            Op::Exec(_) | Op::File(_) => return None,
            Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::Diff => return None,
        }
    }
}

/// Only the last entry of the target's own history stands for a layer.
fn one_layer(target: &mut Target) {
    let from = target.base_history.min(target.config.history.len());
    let own = &mut target.config.history[from..];
    let last = own.iter().rposition(|entry| !entry.empty_layer);
    for (position, entry) in own.iter_mut().enumerate() {
        entry.empty_layer |= Some(position) != last;
    }
}
