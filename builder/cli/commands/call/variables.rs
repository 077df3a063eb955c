//! The variables of each stage, as text and as JSON.

use dockerfile::survey::{StageVariables, Variable, VariableOrigin};
use serde_json::{Value, json};

use crate::commands::columns;
use crate::place::place;
use crate::report::BuildFile;

/// A table: a row for each variable of each stage.
pub(super) fn text(stages: &[StageVariables], file: &BuildFile) -> String {
    let mut rows = vec![["STAGE", "VARIABLE", "VALUE", "FROM"].map(str::to_owned)];
    for stage in stages {
        let name = stage.stage.as_deref().unwrap_or("(before FROM)");
        rows.extend(stage.variables.iter().map(|variable| row(name, variable, file)));
    }
    columns(&rows)
}

fn row(stage: &str, variable: &Variable, file: &BuildFile) -> [String; 4] {
    let line = line(variable, file).map(|line| format!(", line {line}")).unwrap_or_default();
    let value = variable.value.as_ref().map_or_else(|| "-".to_owned(), |value| format!("{value:?}"));
    [stage.to_owned(), variable.name.clone(), value, origin(variable.origin).to_owned() + &line]
}

/// The same, for programs. Lines count from 1.
pub(super) fn json(stages: &[StageVariables], file: &BuildFile) -> Value {
    let variable = |one: &Variable| {
        json!({
            "name": one.name,
            "value": one.value,
            "origin": word(one.origin),
            "line": line(one, file),
        })
    };
    let stage = |stage: &StageVariables| json!({ "stage": stage.stage, "variables": stage.variables.iter().map(variable).collect::<Vec<_>>() });
    json!({ "stages": stages.iter().map(stage).collect::<Vec<_>>() })
}

/// The line of the instruction, from 1.
fn line(variable: &Variable, file: &BuildFile) -> Option<usize> {
    Some(place(variable.span?, file)?.first.0)
}

fn origin(origin: VariableOrigin) -> &'static str {
    match origin {
        VariableOrigin::BuildArg => "--build-arg",
        VariableOrigin::Default => "default of ARG",
        VariableOrigin::Global => "ARG before FROM",
        VariableOrigin::Predefined => "predefined",
        VariableOrigin::Env => "ENV",
        VariableOrigin::BaseImage => "base image",
        VariableOrigin::Nowhere => "no value",
    }
}

fn word(origin: VariableOrigin) -> &'static str {
    match origin {
        VariableOrigin::BuildArg => "build-arg",
        VariableOrigin::Default => "default",
        VariableOrigin::Global => "global",
        VariableOrigin::Predefined => "predefined",
        VariableOrigin::Env => "env",
        VariableOrigin::BaseImage => "base-image",
        VariableOrigin::Nowhere => "none",
    }
}
