//! Builds of the past: lists, steps, logs, timelines.

use crate::road::BUSYBOX;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

#[test]
fn builds_are_kept_with_their_steps_and_logs() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace =
        Workspace::with(&format!("{BUSYBOX}RUN echo to-the-log; printf 'red \\033[31m\\n'\nRUN echo more\n"));
    workspace.build(&["--profile", "trace.json"]);
    let again = workspace.build(&[]);
    assert!(again.err.lines().any(|line| line.starts_with("0 ran, ")), "{again:?}");

    let list = workspace.ok(&["history", "ls", "--format=json"]).out;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!((list[0]["ran"].as_u64(), list[0]["outcome"].as_str()), (Some(0), Some("done")));
    let first = list[1]["id"].as_str().unwrap().to_owned();

    let shown = workspace.ok(&["history", "show", &first]).out;
    assert!(shown.contains("critical path: "), "{shown}");
    assert!(shown.lines().any(|line| line.contains(" ran ") && line.ends_with("RUN echo more")), "{shown}");

    let log = workspace.ok(&["logs", &first, "to-the-log"]).out;
    assert_eq!(log, "to-the-log\nred ^[[31m\n");
    let timed = workspace.ok(&["logs", "-t", &first, "to-the-log"]).out;
    for (line, text) in timed.lines().zip(["to-the-log", "red ^[[31m"]) {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && rest == text, "{timed}");
    }
    assert_eq!(workspace.ok(&["logs"]).out, "", "cached steps write nothing");
    assert!(workspace.ok(&["explain"]).out.contains("every step was found"));
    assert!(workspace.ok(&["explain", "--build", &first]).out.contains("no earlier build"));
    workspace.fails(2, &["logs", &first, "no such step"]);
    workspace.fails(5, &["history", "show", "ffff"]);

    let trace = std::fs::read_to_string(workspace.path().join("trace.json")).unwrap();
    let trace: serde_json::Value = serde_json::from_str(&trace).unwrap();
    let names = trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X");
    assert!(names.clone().any(|event| event["name"].as_str().unwrap().ends_with("RUN echo more")), "{trace}");
}

#[test]
fn a_failed_build_keeps_the_whole_log() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace =
        Workspace::with(&format!("{BUSYBOX}RUN for i in $(seq 500); do echo line $i; done; false\n"));
    let context = workspace.context();
    workspace.fails(1, &["build", context.to_str().unwrap()]);
    let log = workspace.ok(&["logs"]).out;
    assert!(log.contains("\nline 1\n") && log.ends_with("line 500\n"), "{} bytes", log.len());
    assert!(workspace.ok(&["history", "show"]).out.contains("failed"));
    let said = workspace.fails(1, &["build", "--progress=plain", context.to_str().unwrap()]);
    assert!(said.err.contains("not in the cache: the last build did not finish this step"), "{said:?}");
}

#[test]
fn a_build_has_the_name_that_its_argument_gives() {
    let workspace = Workspace::with("FROM scratch\nLABEL a=b\n");
    workspace.build(&["--build-arg=BUILDKIT_BUILD_NAME=nightly"]);
    let list = workspace.ok(&["history", "ls"]).out;
    assert!(list.contains("nightly") && !list.contains("/context"), "{list}");
}
