//! Outlines and targets, as text and as JSON.

use dockerfile::survey::{Outline, Taken, TargetInfo};
use serde_json::{Map, Value, json};

use super::place::json_location;
use crate::report::BuildFile;

/// Columns padded to the widest cell, `gap` blanks apart.
fn table(rows: &[Vec<&str>], gap: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}{}", " ".repeat(gap)));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// What a target takes.
pub(super) fn outline_text(outline: &Outline) -> String {
    let mut out = String::new();
    if outline.name.is_some() || outline.description.is_some() {
        let mut rows = vec![vec!["TARGET:", outline.name.as_deref().unwrap_or("(default)")]];
        rows.extend(outline.description.as_deref().map(|text| vec!["DESCRIPTION:", text]));
        out += &(table(&rows, 1) + "\n");
    }
    if !outline.arguments.is_empty() {
        let mut rows = vec![vec!["BUILD ARG", "VALUE", "DESCRIPTION"]];
        rows.extend(outline.arguments.iter().map(|argument| {
            let value = argument.value.as_deref().unwrap_or_default();
            vec![argument.name.as_str(), value, argument.description.as_deref().unwrap_or_default()]
        }));
        out += &(table(&rows, 3) + "\n");
    }
    for (title, all) in [("SECRET", &outline.secrets), ("SSH", &outline.agents)] {
        if !all.is_empty() {
            let mut rows = vec![vec![title, "REQUIRED"]];
            rows.extend(all.iter().map(|one| vec![one.id.as_str(), if one.required { "true" } else { "" }]));
            out += &(table(&rows, 3) + "\n");
        }
    }
    if !outline.caches.is_empty() {
        let mut rows = vec![vec!["CACHE"]];
        rows.extend(outline.caches.iter().map(|one| vec![one.id.as_str()]));
        out += &(table(&rows, 3) + "\n");
    }
    out
}

/// As BuildKit's `frontend.outline` answers.
pub(super) fn outline_json(outline: &Outline, file: &BuildFile) -> Value {
    let mut all = Map::new();
    text(&mut all, "name", outline.name.as_deref());
    text(&mut all, "description", outline.description.as_deref());
    let arguments = outline.arguments.iter().map(|argument| {
        let mut one = Map::new();
        text(&mut one, "name", Some(&argument.name));
        text(&mut one, "description", argument.description.as_deref());
        text(&mut one, "value", argument.value.as_deref());
        one.insert("location".to_owned(), json_location(Some(argument.span), file));
        Value::Object(one)
    });
    list(&mut all, "args", arguments.collect());
    list(&mut all, "secrets", taken(&outline.secrets, "name", file));
    list(&mut all, "ssh", taken(&outline.agents, "name", file));
    list(&mut all, "cache", taken(&outline.caches, "ID", file));
    all.insert("sources".to_owned(), sources(file));
    Value::Object(all)
}

/// The stages of a file.
pub(super) fn targets_text(targets: &[TargetInfo]) -> String {
    let name = |target: &TargetInfo| match (&target.name, target.is_default) {
        (None, true) => "(default)".to_owned(),
        (Some(name), true) => format!("{name} (default)"),
        (name, false) => name.clone().unwrap_or_default(),
    };
    let names: Vec<String> = targets.iter().map(name).collect();
    let mut rows = vec![vec!["TARGET", "DESCRIPTION"]];
    rows.extend(
        targets
            .iter()
            .zip(&names)
            .map(|(target, name)| vec![name.as_str(), target.description.as_deref().unwrap_or_default()]),
    );
    table(&rows, 1)
}

/// As BuildKit's `frontend.targets` answers.
pub(super) fn targets_json(targets: &[TargetInfo], file: &BuildFile) -> Value {
    let one = |target: &TargetInfo| {
        let mut one = Map::new();
        text(&mut one, "name", target.name.as_deref());
        if target.is_default {
            one.insert("default".to_owned(), true.into());
        }
        text(&mut one, "description", target.description.as_deref());
        text(&mut one, "base", Some(&target.base));
        text(&mut one, "platform", target.platform.as_deref());
        one.insert("location".to_owned(), json_location(Some(target.span), file));
        Value::Object(one)
    };
    json!({ "targets": targets.iter().map(one).collect::<Vec<_>>(), "sources": sources(file) })
}

/// A key with a text, unless there is none.
fn text(all: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        all.insert(key.to_owned(), value.into());
    }
}

fn list(all: &mut Map<String, Value>, key: &str, values: Vec<Value>) {
    if !values.is_empty() {
        all.insert(key.to_owned(), values.into());
    }
}

fn taken(all: &[Taken], key: &str, file: &BuildFile) -> Vec<Value> {
    let one = |taken: &Taken| {
        let mut one = json!({ key: taken.id, "location": json_location(Some(taken.span), file) });
        if taken.required {
            one["required"] = true.into();
        }
        one
    };
    all.iter().map(one).collect()
}

fn sources(file: &BuildFile) -> Value {
    use base64::Engine as _;
    let text = file.text.as_deref().unwrap_or_default();
    json!([base64::engine::general_purpose::STANDARD.encode(text)])
}
