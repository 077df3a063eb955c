//! What a check found, as text and as JSON.

use std::fmt::Write;

use builder::BuildError;
use graph::Diagnostic;
use serde_json::{Value, json};

use crate::place::{base64_text, excerpt, json_location};
use crate::report::BuildFile;

/// What a check found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Remarks of rules, in the order of the file.
    pub(super) violations: Vec<Diagnostic>,
    /// What makes the file impossible to build.
    pub(super) errors: Vec<Diagnostic>,
}

impl Found {
    /// Sorts what the frontend said. An error of the world is no finding.
    pub(super) fn of(result: Result<Vec<Diagnostic>, BuildError>) -> Result<Self, BuildError> {
        let all = match result {
            Ok(warnings) => warnings,
            Err(BuildError::Diagnostics(all)) => all,
            Err(other) => return Err(other),
        };
        let (mut violations, errors): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.rule.is_some());
        violations.sort_by_key(|one| one.span);
        Ok(Self { violations, errors })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.violations.is_empty() && self.errors.is_empty()
    }

    /// The text for people, as `docker buildx build --check` words it.
    pub(super) fn text(&self, file: &BuildFile) -> String {
        let mut out = match (self.violations.len(), self.errors.is_empty()) {
            (0, true) => "Check complete, no warnings found.\n".to_owned(),
            (0, false) => String::new(),
            (1, _) => "Check complete, 1 warning has been found!\n".to_owned(),
            (count, _) => format!("Check complete, {count} warnings have been found!\n"),
        };
        for one in &self.violations {
            let name = one.rule.unwrap_or_default();
            let url = dockerfile::rule(name).and_then(|rule| rule.url());
            let url = url.map(|url| format!(" - {url}")).unwrap_or_default();
            let _ = write!(out, "\nWARNING: {name}{url}\n{}\n", one.message);
            self.rest(one, file, &mut out);
        }
        for one in &self.errors {
            let _ = write!(out, "\nERROR: {}\n", one.message);
            self.rest(one, file, &mut out);
        }
        out
    }

    fn rest(&self, one: &Diagnostic, file: &BuildFile, out: &mut String) {
        out.push_str(&one.span.map(|span| excerpt(span, file)).unwrap_or_default());
        if let Some(help) = &one.help {
            let _ = writeln!(out, "help: {help}");
        }
    }

    /// As BuildKit's `frontend.lint` answers.
    pub(super) fn json(&self, file: &BuildFile) -> Value {
        let warnings: Vec<Value> = self.violations.iter().map(|one| warning(one, file)).collect();
        let data = base64_text(file);
        let sources = json!([{ "filename": file.name, "language": "Dockerfile", "data": data }]);
        let mut all = json!({ "warnings": warnings, "sources": sources });
        if let Some(error) = self.errors.first() {
            let location = json_location(error.span, file);
            all["buildError"] = json!({ "message": error.message, "location": location });
        }
        all
    }
}

fn warning(one: &Diagnostic, file: &BuildFile) -> Value {
    let rule = one.rule.and_then(dockerfile::rule);
    let mut value = json!({
        "ruleName": one.rule,
        "description": rule.map(|rule| rule.description),
        "detail": one.message,
        "location": json_location(one.span, file),
    });
    if let Some(url) = rule.and_then(dockerfile::Rule::url) {
        value["url"] = url.into();
    }
    value
}
