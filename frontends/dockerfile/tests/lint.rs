//! Remarks against those that BuildKit's own tests state.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use dockerfile::{Options, lower};
use graph::{ContextName, Diagnostic, ImageFacts, Known, Need, Step};
use serde_json::Value;

fn cases() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/lint.json");
    serde_json::from_slice(&fs::read(path).expect("the table is there")).expect("the table is JSON")
}

fn image() -> ImageFacts {
    let digest = format!("sha256:{}", "0".repeat(64));
    let descriptor: oci::Descriptor = serde_json::from_value(serde_json::json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1,
    }))
    .expect("a descriptor");
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
    });
    let config = serde_json::from_value(config).expect("an image configuration");
    ImageFacts { manifest: descriptor.clone(), resolved: descriptor, config }
}

/// Answers every question until there are none.
fn remarks(case: &Value) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let mut options =
        Options { build_platform: "linux/amd64".parse().expect("a platform"), ..Options::default() };
    for (name, value) in case["build_args"].as_object().into_iter().flatten() {
        options.build_args.insert(name.clone(), value.as_str().map(str::to_owned));
    }
    let mut known = Known::default();
    for _ in 0..10 {
        match lower(&options, &known)? {
            Step::Done(lowered) => return Ok(lowered.warnings),
            Step::Need(needs) => needs.into_keys().for_each(|need| answer(need, case, &mut known)),
        }
    }
    panic!("endless questions: {case}");
}

fn answer(need: Need, case: &Value, known: &mut Known) {
    match need {
        Need::Image(reference, platform) => {
            known.images.insert((reference, platform), image());
        }
        Need::File(context, path) => {
            let key = match (&context, path.as_str()) {
                (ContextName::BuildFile, "Dockerfile") => "dockerfile",
                (ContextName::Main, ".dockerignore") => "ignore",
                _ => "",
            };
            let text = case[key].as_str().map(|text| Bytes::from(text.to_owned()));
            known.files.insert((context, path), text);
        }
        Need::Time(source) => drop(known.times.insert(source, None)),
        Need::GitRef(address, reference) => {
            known.git.insert((address, reference), "0".repeat(40));
        }
    }
}

/// Rule, message and line.
type Row = (String, String, u64);

fn found(diagnostics: &[Diagnostic], text: &str) -> BTreeSet<Row> {
    let rows = diagnostics.iter().filter_map(|d| {
        let line = d.span.map_or(0, |span| text[..span.start].matches('\n').count() as u64 + 1);
        Some((d.rule?.to_owned(), d.message.clone(), line))
    });
    rows.collect()
}

fn wanted(case: &Value) -> BTreeSet<Row> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = case["warnings"].as_array().into_iter().flatten();
    rows.map(|w| (text(&w["rule"]), text(&w["message"]), w["line"].as_u64().unwrap_or(0))).collect()
}

#[test]
fn remarks_are_those_of_buildkit() {
    let mut different = Vec::new();
    let mut count = 0;
    for case in cases() {
        let outcome = remarks(&case);
        let diagnostics = outcome.as_ref().unwrap_or_else(|errors| errors);
        let found = found(diagnostics, case["dockerfile"].as_str().unwrap_or_default());
        let wanted = wanted(&case);
        count += wanted.len();
        if found != wanted {
            different.push(format!("{}: {found:#?}, not {wanted:#?}", case["name"]));
        }
        if case["fails"] != outcome.is_err() {
            different.push(format!("{}: {outcome:?}", case["name"]));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(count > 35, "{count} remarks");
}
