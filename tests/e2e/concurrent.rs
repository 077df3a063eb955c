//! Several processes, one store.

use std::process::Stdio;

use crate::road::BUSYBOX;
use crate::support::workspace::{Said, Workspace};
use crate::support::{has, is_root};

#[test]
fn processes_share_equal_steps_and_do_not_disturb_each_other() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN sleep 1; echo shared-step; echo x > /shared\nARG N\nRUN echo $N > /own\n"
    ));
    let children: Vec<_> = (0..4)
        .map(|number| {
            let mut command = workspace.rbuild();
            command
                .args(["build", "--progress=plain", "--build-arg", &format!("N={}", number / 2)])
                .args(["-t", &format!("app:{number}")])
                .arg(workspace.context())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let said: Vec<Said> =
        children.into_iter().map(|child| child.wait_with_output().unwrap().into()).collect();
    for said in &said {
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    let ran = said.iter().filter(|said| said.err.contains(" shared-step\n")).count();
    assert_eq!(ran, 1, "the shared step ran {ran} times: {said:?}");
    for number in 0..4 {
        let out = workspace.ok(&["run", &format!("app:{number}"), "cat", "/own"]).out;
        assert_eq!(out, format!("{}\n", number / 2));
    }
}

/// Steps that wait compute nothing, so they must not keep each other from starting.
#[test]
fn eight_stages_that_wait_for_each_other_all_run_where_no_number_is_given() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let stage = |number: usize| {
        format!(
            "FROM base AS s{number}\nRUN --mount=type=cache,id=all,target=/all touch /all/{number}; \
             for i in $(seq 600); do [ $(ls /all | wc -l) = 8 ] && exec touch /{number}; sleep 0.1; done; exit 9\n"
        )
    };
    let copy = |number: usize| format!("COPY --from=s{number} /{number} /\n");
    let stages: String = (0..8).map(stage).collect();
    let copies: String = (0..8).map(copy).collect();
    let workspace = Workspace::with(&format!("{BUSYBOX}{stages}FROM scratch\n{copies}"));
    workspace.build(&[]);
}

/// Two steps meet in a shared directory, are alone in private ones, and one after the other in a locked one.
const MEETING: &str = r#"FROM base AS step
ARG ROUND
FROM step AS one
RUN --mount=type=cache,id=meet-$ROUND,target=/meet --mount=type=cache,id=own-$ROUND,target=/own,sharing=private \
    touch /meet/one /own/one; for i in $(seq 600); do [ -e /meet/two ] && break; sleep 0.1; done; \
    [ -e /meet/two ] && [ "$(ls /own)" = one ] && touch /meet/one-left \
    && for i in $(seq 600); do [ -e /meet/two-left ] && break; sleep 0.1; done; [ -e /meet/two-left ]
RUN --mount=type=cache,id=lock-$ROUND,target=/lock,sharing=locked \
    for i in 1 2 3; do mkdir /lock/taken && sleep 0.1 && rmdir /lock/taken || exit 9; done; echo one > /one
FROM step AS two
RUN --mount=type=cache,id=meet-$ROUND,target=/meet --mount=type=cache,id=own-$ROUND,target=/own,sharing=private \
    touch /meet/two /own/two; for i in $(seq 600); do [ -e /meet/one ] && break; sleep 0.1; done; \
    [ -e /meet/one ] && [ "$(ls /own)" = two ] && touch /meet/two-left \
    && for i in $(seq 600); do [ -e /meet/one-left ] && break; sleep 0.1; done; [ -e /meet/one-left ]
RUN --mount=type=cache,id=lock-$ROUND,target=/lock,sharing=locked \
    for i in 1 2 3; do mkdir /lock/taken && sleep 0.1 && rmdir /lock/taken || exit 9; done; echo two > /two
FROM scratch AS both
COPY --from=one /one /
COPY --from=two /two /
"#;

#[test]
fn cache_mounts_are_shared_private_or_locked_within_a_build_and_between_processes() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}{MEETING}"));
    workspace.build(&[
        "--jobs",
        "2",
        "--target",
        "both",
        "--build-arg",
        "ROUND=1",
        "--output",
        "type=cacheonly",
    ]);

    let children: Vec<_> = ["one", "two"]
        .map(|target| {
            let mut command = workspace.rbuild();
            command
                .args(["build", "--build-arg", "ROUND=2", "--output", "type=cacheonly", "--target", target])
                .arg(workspace.context())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .into();
    for child in children {
        let said: Said = child.wait_with_output().unwrap().into();
        assert_eq!(said.code, Some(0), "{said:?}");
    }
}
