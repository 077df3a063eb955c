//! Graphs, configs and remarks as text that people can compare.

use std::fmt::Write as _;

use graph::{ContextName, Diagnostic, Lowered, Need, Op, Remote, Target, Vertex};
use serde_json::{Map, Value};

/// One line for a question.
pub fn need(round: usize, need: &Need, out: &mut String) {
    let _ = match need {
        Need::File(ContextName::Main, path) => writeln!(out, "ask {round}: context {path}"),
        Need::File(ContextName::BuildFile, path) => writeln!(out, "ask {round}: build file {path}"),
        Need::File(ContextName::Named(name), path) => writeln!(out, "ask {round}: context {name} {path}"),
        Need::Image(reference, platform) => writeln!(out, "ask {round}: image {reference} {platform}"),
        Need::Time(Remote::Git(git)) => writeln!(out, "ask {round}: time of {} {}", git.url, git.commit),
        Need::Time(Remote::Http(http)) => writeln!(out, "ask {round}: time of {}", http.url),
        Need::GitRef(url, reference) => writeln!(out, "ask {round}: git {url} {reference:?}"),
    };
}

/// The whole result.
pub fn lowered(lowered: &Lowered, text: &[u8]) -> String {
    let mut out = String::new();
    for (id, vertex) in lowered.graph.vertices() {
        let _ = writeln!(out, "\nv{} {}", id.index(), vertex_head(vertex));
        for line in op_lines(&vertex.op) {
            let _ = writeln!(out, "   {line}");
        }
    }
    for target in &lowered.targets {
        target_lines(target, &mut out);
    }
    if !lowered.entitlements.is_empty() {
        let _ = writeln!(out, "\nentitlements {:?}", lowered.entitlements);
    }
    out + &diagnostics(&lowered.warnings, text)
}

/// One line for each remark and error.
pub fn diagnostics(found: &[Diagnostic], text: &[u8]) -> String {
    let mut out = String::from(if found.is_empty() { "" } else { "\n" });
    for one in found {
        let _ = writeln!(out, "{:?} {}: {}", one.severity, one.rule.unwrap_or("-"), one.message);
        let _ = writeln!(out, "   at {}", crate::line(one, text));
        if let Some(help) = &one.help {
            let _ = writeln!(out, "   help: {help}");
        }
    }
    out
}

fn vertex_head(vertex: &Vertex) -> String {
    let inputs: Vec<String> = vertex
        .inputs
        .iter()
        .map(|input| input.map_or_else(|| "empty".to_owned(), |edge| format!("v{}", edge.vertex.index())))
        .collect();
    let inputs = if inputs.is_empty() { String::new() } else { format!(" <- {}", inputs.join(", ")) };
    let no_cache = if vertex.meta.no_cache { " (no cache)" } else { "" };
    format!("{}{no_cache}{inputs}", vertex.meta.title)
}

fn op_lines(op: &Op) -> Vec<String> {
    let value = op.document();
    match (op, without_defaults(value)) {
        (Op::File(_), Value::Object(map)) => {
            let actions = map.get("File").and_then(Value::as_array).cloned().unwrap_or_default();
            actions.iter().map(Value::to_string).collect()
        }
        (_, Value::Object(map)) if map.values().any(Value::is_object) => {
            let fields = map.iter().flat_map(|(_, fields)| fields.as_object().cloned().unwrap_or_default());
            let kind = map.keys().next().cloned().unwrap_or_default();
            std::iter::once(kind).chain(fields.map(|(key, value)| format!("  {key}: {value}"))).collect()
        }
        (_, value) => vec![value.to_string()],
    }
}

/// Absent, empty and false fields only make long lines.
fn without_defaults(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept: Map<String, Value> = map
                .into_iter()
                .map(|(key, value)| (key, without_defaults(value)))
                .filter(|(_, value)| {
                    !(value.is_null()
                        || *value == Value::Bool(false)
                        || value.as_array().is_some_and(Vec::is_empty))
                })
                .collect();
            Value::Object(kept)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_defaults).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn target_lines(target: &Target, out: &mut String) {
    let root = target.root.map_or_else(|| "empty".to_owned(), |edge| format!("v{}", edge.vertex.index()));
    let _ = writeln!(out, "\ntarget {} = {root}", target.platform);
    if let Some((reference, _)) = &target.base {
        let _ = writeln!(out, "   base {reference}");
    }
    if let Some(epoch) = target.epoch {
        let _ = writeln!(out, "   epoch {epoch}");
    }
    let config = serde_json::to_value(&target.config).expect("a config is JSON");
    for (key, value) in config["config"].as_object().into_iter().flatten() {
        let _ = writeln!(out, "   {key}: {value}");
    }
    for (position, entry) in target.config.history.iter().enumerate() {
        let whose = if position < target.base_history { "base " } else { "" };
        let layer = if entry.empty_layer { "-" } else { "+" };
        let time = entry.created.as_ref().map(|time| format!("{time} ")).unwrap_or_default();
        let text = entry.created_by.as_deref().unwrap_or_default();
        let _ = writeln!(out, "   {layer} {whose}{time}{}", text.replace('\n', "\n     "));
    }
}
