//! A check as SARIF 2.1.0 (OASIS), which code hosts show beside a change.

use dockerfile::{RULES, Status};
use graph::{Diagnostic, Span};
use serde_json::{Value, json};

use super::check::Found;
use crate::place::place;
use crate::report::BuildFile;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// The rule of what makes a file impossible to build.
const INVALID: &str = "InvalidDockerfile";

/// One run with all rules and what was found.
pub(super) fn report(found: &Found, file: &BuildFile) -> Value {
    let warnings =
        found.violations.iter().map(|one| result(one, one.rule.unwrap_or_default(), "warning", file));
    let errors = found.errors.iter().map(|one| result(one, INVALID, "error", file));
    let results: Vec<Value> = warnings.chain(errors).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "rbuild",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules(),
            }},
            // SARIF counts columns in UTF-16 units unless told otherwise.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rules() -> Vec<Value> {
    let known = RULES.iter().map(|rule| {
        let enabled = rule.status == Status::On;
        let mut value = json!({
            "id": rule.name,
            "name": rule.name,
            "shortDescription": { "text": rule.description },
            "defaultConfiguration": { "enabled": enabled, "level": "warning" },
        });
        if let Some(url) = rule.url() {
            value["helpUri"] = url.into();
        }
        value
    });
    let invalid = json!({
        "id": INVALID,
        "name": INVALID,
        "shortDescription": { "text": "the file can be built" },
        "defaultConfiguration": { "enabled": true, "level": "error" },
    });
    known.chain([invalid]).collect()
}

fn result(one: &Diagnostic, rule: &str, level: &str, file: &BuildFile) -> Value {
    let text = match &one.help {
        Some(help) => format!("{} ({help})", one.message),
        None => one.message.clone(),
    };
    let mut value = json!({ "ruleId": rule, "level": level, "message": { "text": text } });
    if let Some(position) = RULES.iter().position(|known| known.name == rule) {
        value["ruleIndex"] = position.into();
    }
    value["locations"] = json!([{ "physicalLocation": location(one.span, file) }]);
    value
}

fn location(span: Option<Span>, file: &BuildFile) -> Value {
    let mut value = json!({ "artifactLocation": { "uri": uri(&file.name) } });
    if let Some(place) = span.and_then(|span| place(span, file)) {
        value["region"] = json!({
            "startLine": place.first.0,
            "startColumn": place.first.1 + 1,
            "endLine": place.last.0,
            "endColumn": place.last.1 + 1,
        });
    }
    value
}

/// A path as a relative or absolute URI reference.
fn uri(path: &str) -> String {
    let keep = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(byte);
    path.bytes()
        .map(|byte| if keep(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_what_the_standard_requires() {
        let file =
            BuildFile { name: "my app/Dockerfile".to_owned(), text: Some("FROM a\nCMD b\n".to_owned()) };
        let violations =
            vec![Diagnostic::warning("JSONArgsRecommended", "use JSON", Span { start: 7, end: 12 })];
        let errors = vec![Diagnostic::error("broken", None)];
        let report = report(&Found { violations, errors }, &file);
        assert_eq!(report["version"], "2.1.0");
        let run = &report["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        for result in run["results"].as_array().unwrap() {
            assert!(rules.iter().any(|rule| rule["id"] == result["ruleId"]), "{result}");
            assert!(result["message"]["text"].is_string(), "{result}");
        }
        let first = &run["results"][0];
        assert_eq!(rules[first["ruleIndex"].as_u64().unwrap() as usize]["id"], "JSONArgsRecommended");
        let physical = &first["locations"][0]["physicalLocation"];
        assert_eq!(physical["artifactLocation"]["uri"], "my%20app/Dockerfile");
        assert_eq!(
            physical["region"],
            json!({"startLine": 2, "startColumn": 1, "endLine": 2, "endColumn": 6})
        );
    }
}
