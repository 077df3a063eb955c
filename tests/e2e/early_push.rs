//! Layers of an image reach the registry while later steps still run.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::has;
use crate::support::http::Http;
use crate::support::registry::{Access, Registry};
use crate::support::relay::Relay;
use crate::support::workspace::{Said, Workspace};

/// How long the registry may take to get the first layer. Without early pushing it never does.
const PATIENCE: Duration = Duration::from_secs(120);

/// The digests of blobs whose uploads end in these requests.
fn uploaded(heads: &[String]) -> Vec<String> {
    let digest = |head: &String| {
        let line = head.lines().next()?.strip_prefix("PUT ")?;
        let (_, rest) = line.split_once("digest=")?;
        Some(rest.split([' ', '&']).next()?.to_owned())
    };
    heads.iter().filter_map(digest).collect()
}

fn named(heads: &[String]) -> bool {
    heads.iter().any(|head| head.starts_with("PUT ") && head.contains("/manifests/"))
}

/// Builds and pushes; the last step waits until the registry has a layer, and ends as is said. What was asked
/// of the registry before and after that.
fn build(ending: &str) -> Option<(Said, Vec<String>, Vec<String>)> {
    if !has("docker-registry") || !has("busybox") {
        return None;
    }
    let registry = Registry::start(Access::Open);
    let relay = Relay::start(registry.name("").trim_end_matches('/'));
    let http = Http::start();
    let script = format!(
        "until /busybox wget -q -O /said {} 2>/dev/null; do /busybox sleep 0.1; done; {ending}",
        http.url("/go")
    );
    let workspace = Workspace::with(&format!(
        "FROM scratch\nCOPY busybox /busybox\nRUN [\"/busybox\", \"sh\", \"-c\", {script:?}]\n"
    ));
    workspace.mode("busybox", 0o755);
    let mut child = workspace
        .rbuild()
        .args(["build", "--progress=plain", "--push", "-t", &relay.name("app:1")])
        .arg(workspace.context())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut before, began) = (Vec::new(), Instant::now());
    while uploaded(&before).is_empty() && began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(20));
        before.extend(relay.heads());
    }
    http.put("/go", "x", &[]);
    let said = Said::from(child.wait_with_output().unwrap());
    Some((said, before, relay.heads()))
}

#[test]
fn layers_are_sent_while_steps_run_and_once_only() {
    let Some((said, before, after)) = build("true") else { return };
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(uploaded(&before).len(), 1, "the first layer is there before the last step ends: {before:#?}");
    assert!(!named(&before), "nothing has a name before the end");
    assert!(named(&after), "{after:#?}");
    assert!(said.err.contains("pushing layers"), "{said:?}");
    let (first, rest) = (uploaded(&before), uploaded(&after));
    let all: BTreeSet<&String> = first.iter().chain(&rest).collect();
    assert_eq!((all.len(), first.len() + rest.len()), (3, 3), "two layers and a config, each once");
    // Nor is it asked for again.
    let hex = &first[0][first[0].len() - 64..];
    assert!(!after.iter().any(|head| head.contains(hex)), "{after:#?}");
}

#[test]
fn a_failed_build_leaves_no_name() {
    let Some((said, before, after)) = build("exit 7") else { return };
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(uploaded(&before).len(), 1, "{before:#?}");
    assert!(!named(&before) && !named(&after), "{after:#?}");
}
