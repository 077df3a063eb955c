//! Running cached steps again, and comparing.

use crate::road::BUSYBOX;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

/// A step whose result depends on something that is in no key, one upon it, and one that never makes the same.
fn workspace() -> Workspace {
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}COPY in.txt /\nRUN --network=none --mount=type=secret,id=s cat /run/secrets/s > /out\nRUN tr a-z A-Z < /out > /loud\n\
         FROM base AS dice\nRUN cat /proc/sys/kernel/random/uuid > /dice && echo 1 > /fixed\n\
         FROM scratch\nCOPY --from=1 /dice /\nCOPY --from=0 /loud /\n"
    ));
    workspace.file("in.txt", "1");
    workspace.file("../secret", "old");
    workspace
}

fn secret(workspace: &Workspace) -> String {
    format!("--secret=id=s,src={}", workspace.path().join("secret").display())
}

#[test]
fn right_results_are_confirmed_and_what_varies_is_said_to_vary() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = workspace();
    let secret = secret(&workspace);
    workspace.build(&[&secret, "-t", "app:1"]);
    let said = workspace.build(&[&secret, "-t", "app:2", "--verify-cache=100%,seed=5"]);
    assert!(said.err.contains("verify cache: 8 of 8 cached steps, seed 5\n"), "{said:?}");
    assert!(said.err.contains("not deterministic") && said.err.contains("/dice"), "{said:?}");
    assert!(!said.err.contains("/fixed,") && said.err.contains("0 ran"), "{said:?}");
    let ids = |name: &str| workspace.ok(&["inspect", "--format={{.Digest}}", name]).out;
    assert_eq!(ids("app:1"), ids("app:2"));
}

#[test]
fn a_wrong_result_fails_by_name_and_the_next_build_is_right() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = workspace();
    let secret = secret(&workspace);
    let context = workspace.context();
    let context = context.to_str().unwrap();
    workspace.build(&[&secret]);
    workspace.file("../secret", "new");
    assert_eq!(workspace.build(&[&secret]).steps().0, 0);
    let words = ["build", "--progress=plain", &secret, "-t", "app", "--verify-cache", "100", context];
    let said = workspace.fails(1, &words);
    let expected =
        "run again, the step makes something else than its cached result holds: /out. What it makes now";
    assert!(said.err.contains(expected) && said.err.contains("cat /run/secrets/s"), "{said:?}");
    assert!(!said.err.contains("has a network"), "{said:?}");
    assert_eq!(workspace.ok(&["images", "-q"]).out, "");
    let out = workspace.path().join("out");
    workspace.build(&[&secret, "--output", out.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(out.join("loud")).unwrap(), "NEW");
    workspace.build(&[&secret, "--verify-cache", "100"]);
}

#[test]
fn files_that_were_changed_behind_the_back_of_the_store_are_found() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with("FROM scratch\nCOPY in.txt /deep/in.txt\n");
    workspace.file("in.txt", "right");
    workspace.build(&[]);
    let layers = std::fs::read_dir(workspace.store().join("layers")).unwrap();
    let copies = layers.map(|layer| layer.unwrap().path().join("fs/deep/in.txt"));
    let copies: Vec<_> = copies.filter(|path| path.exists()).collect();
    assert_eq!(copies.len(), 1);
    std::fs::remove_file(&copies[0]).unwrap();
    std::fs::write(&copies[0], "wrong").unwrap();
    let context = workspace.context();
    let context = context.to_str().unwrap();
    let said = workspace.fails(1, &["build", "--progress=plain", "--verify-cache=1%", context]);
    assert!(said.err.contains("cached result holds: /deep/in.txt"), "{said:?}");
    let out = workspace.path().join("out");
    workspace.build(&["--output", out.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(out.join("deep/in.txt")).unwrap(), "right");
}

#[test]
fn parts_that_are_none_are_refused() {
    let workspace = Workspace::with("FROM scratch\n");
    for part in ["0", "101%", "", "x", "5%,seed=x"] {
        let said = workspace.fails(2, &["build", &format!("--verify-cache={part}"), "."]);
        assert!(said.err.contains("--verify-cache"), "{said:?}");
    }
}
