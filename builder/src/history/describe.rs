//! The steps of a graph as the journal keeps them.

use std::collections::BTreeMap;

use graph::{ContextName, Edge, Graph, Op, Span, VertexId};
use layer_store::Component;

use super::{Input, Kind, Parts, Step};
use crate::solve::{Name, must_run, step_id};

/// Describes all steps that the build may come to, inputs first.
pub(super) fn describe(
    graph: &Graph,
    order: &[VertexId],
    names: &BTreeMap<VertexId, Name>,
    text: Option<&str>,
    no_cache: bool,
) -> Vec<Step> {
    let of_local = |id: &VertexId| matches!(graph.vertex(*id).op, Op::Local(_));
    let described = order.iter().filter(|id| !of_local(id)).filter_map(|id| {
        let (vertex, name) = (graph.vertex(*id), names.get(id)?);
        let (inputs, op): (Vec<Component>, Vec<Component>) =
            name.components.iter().cloned().partition(|part| part.name.starts_with("input."));
        let input = |(position, input): (usize, &graph::Input)| one(graph, position, input.as_ref(), &inputs);
        let parts = Parts {
            key: name.key.to_string(),
            kind: kind(&vertex.op),
            op,
            inputs: vertex.inputs.iter().enumerate().map(input).collect(),
            uncached: must_run(&vertex.op, no_cache || vertex.meta.no_cache),
        };
        Some(Step {
            id: step_id(*id).0,
            title: vertex.meta.title.clone(),
            instruction: text.zip(vertex.meta.span).and_then(|(text, span)| instruction(text, span)),
            parts: Some(parts),
            ..Step::default()
        })
    });
    described.collect()
}

fn kind(op: &Op) -> Kind {
    match op {
        Op::Image(_) => Kind::Image,
        Op::Git(_) | Op::Http(_) => Kind::Fetched,
        Op::Exec(_) => Kind::Process,
        Op::File(_) | Op::Local(_) | Op::Merge | Op::Diff => Kind::Other,
    }
}

fn one(graph: &Graph, position: usize, edge: Option<&Edge>, parts: &[Component]) -> Input {
    let Some(edge) = edge else { return Input::Empty };
    let Op::Local(source) = &graph.vertex(edge.vertex).op else { return Input::Step(step_id(edge.vertex).0) };
    let prefix = format!("input.{position}.");
    let reads = parts
        .iter()
        .filter_map(|part| Some((part.name.strip_prefix(&prefix)?.to_owned(), part.value.clone())));
    let context = match &source.context {
        ContextName::Main => String::new(),
        ContextName::BuildFile => "dockerfile".to_owned(),
        ContextName::Named(name) => name.clone(),
    };
    Input::Local { context, ignore: source.ignore.clone(), reads: reads.collect() }
}

/// The text of a span and the number of its line.
fn instruction(text: &str, span: Span) -> Option<(String, usize)> {
    let of_span = text.get(span.start..span.end)?.trim();
    let line = text.get(..span.start)?.matches('\n').count() + 1;
    Some((of_span.to_owned(), line))
}
