//! Remarks in the form of BuildKit's status records. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use builder::event::StepId;
use graph::Diagnostic;
use oci::Digest;
use serde_json::{Value, json};

use crate::place::{self, base64_text};
use crate::report::BuildFile;

/// BuildKit names a vertex by a digest. Ours says which step of this build it is, and nothing else.
pub fn vertex(step: StepId) -> String {
    Digest::sha256(format!("step {}", step.0)).to_string()
}

/// A remark about the world. In BuildKit it has a vertex: the first, which reads the build file.
pub fn about_world(first: Option<StepId>, text: &str) -> Value {
    let mut warning = json!({"level": 1, "short": STANDARD.encode(text)});
    if let Some(step) = first {
        warning["vertex"] = vertex(step).into();
    }
    warning
}

/// A remark about the user's text, with the text and where it is meant.
pub fn about_text(first: Option<StepId>, one: &Diagnostic, file: &BuildFile) -> Value {
    let place = one.span.and_then(|span| place::place(span, file));
    let short = match (one.rule, place) {
        (None, _) => one.message.clone(),
        (Some(rule), None) => format!("{rule}: {}", one.message),
        (Some(rule), Some(place)) => format!("{rule}: {} (line {})", one.message, place.first.0),
    };
    let mut warning = about_world(first, &short);
    let rule = one.rule.and_then(dockerfile::rule);
    let detail = rule.map(|rule| rule.description).into_iter().chain(one.help.as_deref());
    let detail: Vec<String> = detail.map(|line| STANDARD.encode(line)).collect();
    if !detail.is_empty() {
        warning["detail"] = detail.into();
    }
    if let Some(url) = rule.and_then(dockerfile::Rule::url) {
        warning["url"] = url.into();
    }
    if file.text.is_some() {
        warning["sourceInfo"] =
            json!({"filename": file.name, "data": base64_text(file), "language": "Dockerfile"});
    }
    if place.is_some() {
        warning["range"] = place::json_location(one.span, file)["ranges"].take();
    }
    warning
}

#[cfg(test)]
mod tests {
    use graph::Span;

    use super::*;

    #[test]
    fn a_remark_has_the_words_and_the_place_that_buildkit_gives() {
        let text = "FROM a\nMAINTAINER me\n";
        let file = BuildFile { name: "Dockerfile".to_owned(), text: Some(text.to_owned()) };
        let one = Diagnostic::warning("MaintainerDeprecated", "Maintainer", Span { start: 7, end: 20 });
        let value = about_text(Some(StepId(4)), &one, &file);
        assert_eq!(value["short"], STANDARD.encode("MaintainerDeprecated: Maintainer (line 2)"));
        assert_eq!(value["range"][0]["start"], json!({"line": 2, "character": 0}));
        assert_eq!(value["range"][0]["end"], json!({"line": 2, "character": 13}));
        assert_eq!(value["sourceInfo"]["filename"], "Dockerfile");
        assert_eq!(value["sourceInfo"]["data"], STANDARD.encode(text));
        assert_eq!(value["url"], "https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/");
        assert_eq!(value["vertex"], vertex(StepId(4)));
        let nowhere = Diagnostic::warning("NoSuchRule", "it", None).with_help("do");
        let value = about_text(None, &nowhere, &BuildFile::default());
        assert_eq!(value["short"], STANDARD.encode("NoSuchRule: it"));
        assert_eq!(value["detail"], json!([STANDARD.encode("do")]));
        assert!(value.get("range").is_none() && value.get("sourceInfo").is_none());
    }
}
