//! Outlines and targets, as text and as JSON.

use dockerfile::survey::{Argument, Outline, Taken, TargetInfo};
use serde_json::{Map, Value, json};

use crate::commands::{columns, columns_apart};
use crate::place::{base64_text, json_location};
use crate::report::BuildFile;

/// What a target takes.
pub(super) fn outline_text(outline: &Outline) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut out = String::new();
    if outline.name.is_some() || outline.description.is_some() {
        let name = outline.name.clone().unwrap_or_else(|| "(default)".to_owned());
        let mut rows = vec![["TARGET:".to_owned(), name]];
        rows.extend(outline.description.clone().map(|text| ["DESCRIPTION:".to_owned(), text]));
        out += &(columns_apart(&rows, 1) + "\n");
    }
    if !outline.arguments.is_empty() {
        let mut rows = vec![["BUILD ARG", "VALUE", "DESCRIPTION"].map(str::to_owned)];
        let row = |one: &Argument| [one.name.clone(), text(&one.value), text(&one.description)];
        rows.extend(outline.arguments.iter().map(row));
        out += &(columns(&rows) + "\n");
    }
    for (title, all) in [("SECRET", &outline.secrets), ("SSH", &outline.agents)] {
        if !all.is_empty() {
            let mut rows = vec![[title, "REQUIRED"].map(str::to_owned)];
            let required = |one: &Taken| if one.required { "true" } else { "" }.to_owned();
            rows.extend(all.iter().map(|one| [one.id.clone(), required(one)]));
            out += &(columns(&rows) + "\n");
        }
    }
    if !outline.caches.is_empty() {
        let mut rows = vec![["CACHE".to_owned()]];
        rows.extend(outline.caches.iter().map(|one| [one.id.clone()]));
        out += &(columns(&rows) + "\n");
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
    let mut rows = vec![["TARGET", "DESCRIPTION"].map(str::to_owned)];
    rows.extend(targets.iter().map(|target| [name(target), target.description.clone().unwrap_or_default()]));
    columns_apart(&rows, 1)
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
    json!([base64_text(file)])
}
