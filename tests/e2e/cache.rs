//! What runs again, and what does not.

use crate::road::BUSYBOX;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

fn compiler() -> Workspace {
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}FROM base AS make\nCOPY one.txt two.txt /src/\nRUN cat /src/one.txt > /one\nRUN cat /src/two.txt > /two\n\
         FROM base AS other\nRUN echo other > /other\n\
         FROM base\nCOPY --from=make /one /\nCOPY --from=other /other /\nRUN wc -c /one /other\n"
    ));
    workspace.file("one.txt", "1");
    workspace.file("two.txt", "2");
    workspace
}

#[test]
fn a_second_build_runs_nothing() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = compiler();
    let first = workspace.build(&[]);
    assert!(first.steps().0 > 0, "{first:?}");
    let second = workspace.build(&[]);
    assert_eq!(second.steps().0, 0, "{second:?}");
}

#[test]
fn times_of_files_do_not_count() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = compiler();
    workspace.build(&[]);
    workspace.file("one.txt", "1");
    assert_eq!(workspace.build(&[]).steps().0, 0);
}

#[test]
fn an_edited_file_runs_what_depends_on_it_and_nothing_else() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = compiler();
    workspace.build(&[]);
    workspace.file("one.txt", "11");
    let said = workspace.build(&[]);
    // The copy, both steps upon it; the copy of the changed result, and both steps upon that.
    assert_eq!(said.steps().0, 6, "{said:?}");

    // The copy and both steps upon it run; what leaves the stage is the same, and ends it there.
    workspace.file("two.txt", "22");
    let said = workspace.build(&[]);
    assert_eq!(said.steps().0, 3, "{said:?}");
}

#[test]
fn a_step_that_ran_again_with_an_equal_result_stops_the_cascade() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN --mount=type=bind,source=in.txt,target=/in.txt head -c 1 /in.txt > /first\n\
         RUN echo expensive\nFROM base\nCOPY --from=0 /first /first\nRUN echo last\n"
    ));
    workspace.file("in.txt", "a1");
    workspace.build(&[]);
    workspace.file("in.txt", "a2");
    let said = workspace.build(&["--target=base"]);
    assert_eq!(said.steps().0, 1, "{said:?}");
    assert_eq!(workspace.build(&[]).steps().0, 0);
    workspace.file("in.txt", "b2");
    let said = workspace.build(&["--target=base"]);
    assert_eq!(said.steps().0, 2, "{said:?}");
}

#[test]
fn a_failed_step_is_not_recorded() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}RUN echo before\nRUN exit 7\n"));
    let context = workspace.context();
    for _ in 0..2 {
        let said = workspace.fails(1, &["build", "--progress=plain", context.to_str().unwrap()]);
        assert!(said.err.contains("exit 7"), "{said:?}");
        assert!(said.err.contains("Dockerfile:"), "{said:?}");
    }
    assert_eq!(workspace.ok(&["images", "-q"]).out, "");
}

#[test]
fn a_secret_that_changed_is_mentioned_and_its_value_is_nowhere() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN --mount=type=secret,id=pass test -s /run/secrets/pass\n\
         RUN --mount=type=secret,id=key,env=KEY test -n \"$KEY\"\n"
    ));
    let build = |pass: &str, key: &str| {
        workspace.file("../pass", pass);
        workspace.file("../key", key);
        let secret = |id: &str| format!("--secret=id={id},src={}", workspace.path().join(id).display());
        workspace.build(&[&secret("pass"), &secret("key")])
    };
    build("first-pass", "first-key");
    assert!(!build("first-pass", "first-key").err.contains("warning"));
    let said = build("second-pass", "first-key");
    assert!(said.steps().0 == 0 && said.err.contains("the secret pass is another one"), "{said:?}");
    assert!(!said.err.contains("the secret key is"), "{said:?}");
    let said = build("second-pass", "second-key");
    assert!(said.err.contains("the secret pass is") && said.err.contains("the secret key is"), "{said:?}");
    let index = std::fs::read(workspace.store().join("index.db")).unwrap();
    let wal = std::fs::read(workspace.store().join("index.db-wal")).unwrap_or_default();
    let stored = String::from_utf8_lossy(&[index, wal].concat()).into_owned();
    for value in ["first-pass", "second-pass", "first-key", "second-key"] {
        let hash = blake3::hash(value.as_bytes()).to_hex();
        assert!(!stored.contains(value) && !stored.contains(&hash[..16]), "{value}");
    }
}

#[test]
fn no_cache_runs_everything() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}RUN echo x > /x\n"));
    workspace.build(&[]);
    assert_eq!(workspace.build(&["--no-cache"]).steps().0, 3);
    assert_eq!(workspace.build(&[]).steps().0, 0);
}

#[test]
fn what_does_not_depend_on_a_failed_step_goes_on_where_that_is_asked_for() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}FROM base AS bad\nRUN exit 7\nRUN echo never\nFROM base AS worse\nRUN sleep 0.3; exit 8\n\
         FROM base AS good\nRUN sleep 0.6; echo done > /done\nFROM base\nCOPY --from=bad / /a\nCOPY --from=worse / /b\n\
         COPY --from=good /done /\n"
    ));
    let context = workspace.context();
    let context = context.to_str().unwrap();
    let said = workspace.fails(1, &["build", "--progress=plain", "--keep-going", context]);
    assert!(said.err.contains("RUN exit 7:") && said.err.contains("RUN sleep 0.3; exit 8:"), "{said:?}");
    let said = workspace.build(&["--target=good"]);
    assert_eq!(said.steps().0, 0, "{said:?}");
}

#[test]
fn old_results_do_not_count_where_that_is_asked_for() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}RUN cat /proc/sys/kernel/random/uuid > /id\n"));
    workspace.build(&[]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(workspace.build(&["--cache-ttl=1h"]).steps().0, 0);
    assert_eq!(workspace.build(&["--cache-ttl=0s"]).steps().0, 3);
    let context = workspace.context();
    let said = workspace.fails(2, &["build", "--cache-ttl=soon", context.to_str().unwrap()]);
    assert!(said.err.contains("no duration"), "{said:?}");
}
