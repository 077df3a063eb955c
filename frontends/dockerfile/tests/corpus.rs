//! Dockerfiles and the graphs that come of them: a folder each, with `Dockerfile`, if needed
//! `options.json` and `dockerignore`, and `expected`. `UPDATE_CORPUS=1` writes what is found.

mod dump;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dockerfile::{NamedContext, NoCache, Options, lower};
use graph::{ContextName, Diagnostic, HttpSource, ImageFacts, Known, Need, Remote, Step};
use oci::Platform;
use serde_json::{Value, json};

#[test]
fn graphs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(root)
        .expect("the corpus is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    cases.sort();
    // Only the binary reads the environment; this is for whoever changes the corpus.
    #[allow(clippy::disallowed_methods)]
    let update = std::env::var_os("UPDATE_CORPUS").is_some();
    let mut wrong = Vec::new();
    for case in &cases {
        let found = outcome(case);
        let expected = std::fs::read_to_string(case.join("expected")).unwrap_or_default();
        if found != expected && update {
            std::fs::write(case.join("expected"), found).expect("writable");
        } else if found != expected {
            wrong.push(format!("=== {}\n{found}", case.display()));
        }
    }
    assert!(cases.len() > 10, "{} cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn outcome(case: &Path) -> String {
    let text = std::fs::read(case.join("Dockerfile")).expect("a Dockerfile");
    let options = options(case);
    let mut known = Known::default();
    let mut asked = String::new();
    for round in 1..10 {
        match lower(&options, &known) {
            Ok(Step::Need(needs)) => {
                for need in needs.into_keys() {
                    dump::need(round, &need, &mut asked);
                    answer(need, case, &mut known);
                }
            }
            Ok(Step::Done(lowered)) => return asked + &dump::lowered(&lowered, &text),
            Err(found) => return asked + &dump::diagnostics(&found, &text),
        }
    }
    panic!("endless questions: {}", case.display());
}

fn options(case: &Path) -> Options {
    let given: Value = match std::fs::read(case.join("options.json")) {
        Ok(text) => serde_json::from_slice(&text).expect("options are JSON"),
        Err(_) => json!({}),
    };
    let list = |key: &str| -> Vec<String> {
        let items = given[key].as_array().into_iter().flatten();
        items.map(|item| item.as_str().expect("a text").to_owned()).collect()
    };
    let map = |key: &str| -> BTreeMap<String, String> {
        let pairs = given[key].as_object().into_iter().flatten();
        pairs.map(|(key, value)| (key.clone(), value.as_str().expect("a text").to_owned())).collect()
    };
    Options {
        target: given["target"].as_str().map(str::to_owned),
        platforms: list("platforms").iter().map(|text| text.parse().expect("a platform")).collect(),
        build_platform: Platform::new("linux", "amd64", None),
        build_args: map("build_args").into_iter().map(|(name, value)| (name, Some(value))).collect(),
        context_source: given["context_source"].as_str().map(source),
        labels: map("labels"),
        named_contexts: map("contexts").iter().map(|(name, value)| (name.clone(), context(value))).collect(),
        no_cache: if given["no_cache"].is_array() {
            NoCache::Stages(list("no_cache").into_iter().collect())
        } else {
            NoCache::None
        },
        allow: list("allow").into_iter().collect(),
        ..Options::default()
    }
}

fn source(url: &str) -> Remote {
    let (url, filename) = (url.to_owned(), "context".to_owned());
    Remote::Http(HttpSource { url, checksum: None, filename, mode: 0o600, owner: (0, 0) })
}

fn context(value: &str) -> NamedContext {
    match value.split_once("://") {
        Some(("docker-image", "scratch")) => NamedContext::Scratch,
        Some(("docker-image", image)) => NamedContext::Image(image.parse().expect("an image name")),
        Some(("oci-layout", layout)) => NamedContext::OciLayout(layout.to_owned()),
        Some(_) if value.contains(".git") => NamedContext::Git(value.to_owned()),
        Some(_) => NamedContext::Http(value.to_owned()),
        None => NamedContext::Local,
    }
}

fn answer(need: Need, case: &Path, known: &mut Known) {
    match need {
        Need::File(context, path) => {
            let name = match (&context, path.as_str()) {
                (ContextName::BuildFile, "Dockerfile") => "Dockerfile",
                (ContextName::Main, ".dockerignore") => "dockerignore",
                _ => "none",
            };
            let content = std::fs::read(case.join(name)).ok().map(Bytes::from);
            known.files.insert((context, path), content);
        }
        Need::Image(reference, platform) => {
            let facts = image(reference.repository().path.rsplit('/').next().unwrap_or_default(), &platform);
            known.images.insert((reference, platform), facts);
        }
        Need::Time(source) => {
            let time = match &source {
                Remote::Git(_) => Some(1_700_000_000),
                Remote::Http(http) => (!http.url.contains("untimed")).then_some(1_600_000_000),
            };
            known.times.insert(source, time);
        }
        Need::GitRef(url, reference) => {
            known.git.insert((url, reference), "0123456789abcdef0123456789abcdef01234567".to_owned());
        }
    }
}

/// An image as its name says.
fn image(name: &str, platform: &Platform) -> ImageFacts {
    let digit = if platform.architecture == "amd64" { "a" } else { "b" };
    let digest = format!("sha256:{}", digit.repeat(64));
    let descriptor: oci::Descriptor = serde_json::from_value(json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1,
    }))
    .expect("a descriptor");
    let run = match name {
        "onbuild" => json!({"OnBuild": ["COPY src /src", "RUN make", "COPY --from=tools /t /t"]}),
        "onarg" => json!({"OnBuild": ["ARG from_trigger"]}),
        "badtrigger" => json!({"OnBuild": ["FROM busybox"]}),
        "shell" => {
            json!({"Shell": ["/bin/bash", "-c"], "User": "app", "WorkingDir": "srv", "Cmd": ["serve"]})
        }
        _ => json!({"Env": ["PATH=/bin", "LANG=C"], "Cmd": ["sh"], "Labels": {"from": "base"}}),
    };
    let config = json!({
        "architecture": platform.architecture, "os": platform.os, "variant": platform.variant,
        "config": run, "history": [{"created_by": "base"}],
        "rootfs": {"type": "layers", "diff_ids": [digest]},
        "container": "stale",
    });
    let config = serde_json::from_value(config).expect("an image configuration");
    ImageFacts { manifest: descriptor.clone(), resolved: descriptor, config }
}

/// Only for the dump: where a remark stands.
pub(crate) fn line(diagnostic: &Diagnostic, text: &[u8]) -> String {
    match diagnostic.span {
        None => "no place".to_owned(),
        Some(span) => {
            let line = 1 + text[..span.start].iter().filter(|byte| **byte == b'\n').count();
            let quoted = String::from_utf8_lossy(&text[span.start..span.end]);
            format!("line {line}, {:?}", quoted.lines().next().unwrap_or_default())
        }
    }
}
