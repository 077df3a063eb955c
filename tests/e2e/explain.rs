//! Why a step was not found: one mutation at a time, the cause named in each.

use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

const DOCKERFILE: &str = "\
ARG BASE_DIR=/base
FROM scratch AS base
COPY busybox /bin/busybox
RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]
FROM base AS make
ARG VERSION=1
ENV MODE=fast
WORKDIR /src
COPY src /src
RUN echo $MODE $VERSION
RUN echo second
COPY --chmod=644 one.txt /one
FROM base
COPY --from=make /one /one
RUN --mount=type=bind,source=two.txt,target=/two cat /two
";

/// A change of the context, of the Dockerfile, or of the command line.
enum Mutation {
    File(&'static str, &'static str),
    Gone(&'static str),
    Link(&'static str, &'static str),
    Mode(&'static str, u32),
    Line(&'static str, &'static str),
    Words(&'static [&'static str]),
    Umask(u32),
}
use Mutation::{File, Gone, Line, Link, Mode, Umask, Words};

fn workspace() -> Workspace {
    let workspace = Workspace::with("");
    reset(&workspace);
    workspace
}

fn reset(workspace: &Workspace) {
    let _ = std::fs::remove_dir_all(workspace.context().join("src"));
    for (path, text) in [
        ("Dockerfile", DOCKERFILE),
        (".dockerignore", "*.log\n"),
        ("src/main.c", "main"),
        ("src/lib.c", "lib"),
        ("src/deep/x.h", "x"),
        ("src/noise.log", "noise"),
        ("one.txt", "one"),
        ("two.txt", "two"),
    ] {
        workspace.file(path, text);
        workspace.mode(path, 0o644);
    }
    for directory in ["src", "src/deep"] {
        workspace.mode(directory, 0o755);
    }
}

fn apply(workspace: &Workspace, mutation: &Mutation) -> Vec<&'static str> {
    match mutation {
        File(path, text) => workspace.file(path, text),
        Gone(path) => std::fs::remove_file(workspace.context().join(path)).unwrap(),
        Link(path, target) => {
            let path = workspace.context().join(path);
            let _ = std::fs::remove_file(&path);
            std::os::unix::fs::symlink(target, path).unwrap();
        }
        Mode(path, mode) => workspace.mode(path, *mode),
        Line(old, new) => {
            assert!(DOCKERFILE.contains(old), "{old}");
            workspace.file("Dockerfile", DOCKERFILE.replacen(old, new, 1));
        }
        Words(words) => return words.to_vec(),
        Umask(mask) => {
            for file in ["src/main.c", "src/lib.c", "src/deep/x.h", "src/noise.log", "two.txt"] {
                workspace.mode(file, 0o666 & !mask);
            }
            for directory in ["src", "src/deep"] {
                workspace.mode(directory, 0o777 & !mask);
            }
        }
    }
    Vec::new()
}

/// The cause that a build after a mutation names.
fn cause(workspace: &Workspace, mutation: &Mutation) -> String {
    reset(workspace);
    workspace.build(&[]);
    let words = apply(workspace, mutation);
    let said = workspace.build(&words);
    let line = said.err.lines().find_map(|line| line.split_once("not in the cache: "));
    line.map_or_else(|| format!("no cause in {said:?}"), |(_, cause)| cause.to_owned())
}

fn check(cases: &[(Mutation, &str)]) {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = workspace();
    let wrong: Vec<String> = cases
        .iter()
        .map(|(mutation, expected)| (cause(&workspace, mutation), expected))
        .filter(|(cause, expected)| !cause.contains(**expected))
        .map(|(cause, expected)| format!("expected {expected:?}: {cause}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn files_and_ignore_rules_are_named() {
    check(&[
        (File("src/main.c", "other"), "file src/main.c has other content"),
        (File("src/lib.c", "other"), "file src/lib.c has other content"),
        (File("src/deep/x.h", "y"), "file src/deep/x.h has other content"),
        (File("src/new.c", "new"), "file src/new.c was added"),
        (File("src/deep/new.h", "new"), "file src/deep/new.h was added"),
        (File("src/main.c", "mainmain"), "file src/main.c has other content"),
        (Gone("src/lib.c"), "file src/lib.c was removed"),
        (Gone("src/main.c"), "file src/main.c was removed"),
        (Mode("src/lib.c", 0o755), "file src/lib.c changed its mode from 0644 to 0755"),
        (Mode("src/lib.c", 0o600), "file src/lib.c changed its mode from 0644 to 0600"),
        (Mode("src/deep", 0o700), "file src/deep changed its mode from 0755 to 0700"),
        (Link("src/lib.c", "main.c"), "file src/lib.c is of another type"),
        (Link("src/link", "main.c"), "file src/link was added"),
        (File("one.txt", "1"), "file one.txt has other content"),
        (File("two.txt", "2"), "file two.txt has other content"),
        (Mode("two.txt", 0o600), "file two.txt changed its mode from 0644 to 0600"),
        (File("busybox.txt", "x"), "no cause"),
        (
            File(".dockerignore", "*.log\n**/x.h\n"),
            "ignore rule \"**/x.h\" added: it decides on src/deep/x.h",
        ),
        (File(".dockerignore", "*.log\nsrc/deep\n"), "ignore rule \"src/deep\" added"),
        (File(".dockerignore", "*.log\nsrc/*.c\n"), "ignore rule \"src/*.c\" added"),
        (Umask(0o077), "another umask: file src"),
        (Umask(0o002), "another umask: file src"),
        (Umask(0o027), "--context-metadata=git"),
    ]);
}

#[test]
fn instructions_are_named() {
    check(&[
        (
            Line("RUN echo second", "RUN echo third"),
            "instruction changed, line 11: RUN echo third (was: RUN echo second)",
        ),
        (Line("RUN echo second\n", ""), "instruction removed: RUN echo second"),
        (
            Line("RUN echo second\n", "RUN echo second\nRUN echo new\n"),
            "instruction added, line 12: RUN echo new",
        ),
        (
            Line("RUN echo second\n", "RUN echo before\nRUN echo second\n"),
            "instruction added, line 11: RUN echo before",
        ),
        (
            Line("ENV MODE=fast", "ENV MODE=slow"),
            "instruction changed, line 7: ENV MODE=slow (was: ENV MODE=fast)",
        ),
        (Line("ENV MODE=fast\n", "ENV MODE=fast\nENV MORE=1\n"), "instruction added, line 8: ENV MORE=1"),
        (Line("ENV MODE=fast\n", ""), "instruction removed: ENV MODE=fast"),
        (Line("ARG VERSION=1", "ARG VERSION=2"), "instruction changed, line 6: ARG VERSION=2"),
        (Line("ARG VERSION=1\n", ""), "instruction removed: ARG VERSION=1"),
        (
            Line("WORKDIR /src", "WORKDIR /other"),
            "instruction changed, line 8: WORKDIR /other (was: WORKDIR /src)",
        ),
        (Line("COPY src /src", "COPY src /dest"), "instruction changed, line 9: COPY src /dest"),
        (
            Line("COPY src /src", "COPY --chown=1:1 src /src"),
            "COPY --chown=1:1 src /src (was: COPY src /src)",
        ),
        (Line("COPY src /src", "COPY --link src /src"), "COPY --link src /src (was:"),
        (Line("COPY src /src", "COPY src/*.c /src/"), "COPY src/*.c /src/ (was:"),
        (Line("COPY src /src", "ADD src /src"), "ADD src /src (was: COPY src /src)"),
        (Line("--chmod=644", "--chmod=600"), "COPY --chmod=600 one.txt /one (was:"),
        (Line("source=two.txt", "source=one.txt"), "RUN --mount=type=bind,source=one.txt"),
        (Line("RUN echo second", "RUN --network=none echo second"), "RUN --network=none echo second (was:"),
        (Line("RUN echo second", "USER 1\nRUN echo second"), "instruction added, line 11: USER 1"),
        (
            Line("RUN echo second", "SHELL [\"/bin/ash\", \"-c\"]\nRUN echo second"),
            "instruction added, line 11: SHELL",
        ),
        (Line("RUN echo second", "RUN <<EOF\necho second\nEOF"), "instruction changed, line 11: RUN <<EOF"),
        (
            Line("COPY --from=make /one /one", "COPY --from=make /one /two"),
            "COPY --from=make /one /two (was:",
        ),
        (
            Line("RUN [\"/bin/busybox\", \"--install\", \"-s\"", "RUN [\"/bin/busybox\", \"--install\""),
            "instruction changed, line 4",
        ),
        (Line("RUN echo second", "# a remark\nRUN echo second"), "no cause"),
    ]);
}

#[test]
fn arguments_and_flags_are_named() {
    check(&[
        (Words(&["--build-arg=VERSION=2"]), "build argument VERSION changed: \"2\" (was: not given)"),
        (Words(&["--build-arg=VERSION=three"]), "build argument VERSION changed: \"three\""),
        (Words(&["--build-arg=VERSION="]), "build argument VERSION changed: \"\""),
        (Words(&["--network=none"]), "flag --network changed: \"none\" (was: not given)"),
        (Words(&["--shm-size=1m"]), "flag --shm-size changed"),
        (Words(&["--ulimit=nofile=99:99"]), "flag --ulimit changed"),
        (Words(&["--hostname=h"]), "flag --hostname changed: \"h\""),
        (Words(&["--add-host=h:127.0.0.9"]), "flag --add-host changed"),
        (Words(&["--no-cache"]), "the flag --no-cache"),
        (Words(&["--no-cache-filter=make"]), "the flag --no-cache"),
        (Words(&["--label=a=b"]), "no cause"),
        (Words(&["--build-arg=UNUSED=1"]), "no cause"),
    ]);
}

#[test]
fn a_base_image_that_moved_is_named() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with("FROM scratch\nCOPY one /one\n");
    let base = |text: &str| {
        workspace.file("one", text);
        workspace.file("Dockerfile", "FROM scratch\nCOPY one /one\n");
        workspace.build(&["-t", "localhost/base:1"]);
        workspace.file("Dockerfile", "FROM localhost/base:1\nCOPY busybox /b\n");
        workspace.build(&["-f", "context/Dockerfile"])
    };
    base("1");
    let said = base("2");
    assert!(said.err.contains("not in the cache: base image localhost/base:1 moved: sha256:"), "{said:?}");
}

#[test]
fn git_metadata_makes_the_umask_irrelevant() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = workspace();
    let id = |said: &crate::support::workspace::Said| (said.steps().0, workspace.ok(&["images", "-q"]).out);
    workspace.build(&["-t", "a", "--context-metadata=git"]);
    let first = workspace.ok(&["images", "-q"]).out;
    apply(&workspace, &Umask(0o077));
    let second = workspace.build(&["-t", "a", "--context-metadata=git"]);
    assert_eq!(id(&second), (0, first), "{second:?}");
    workspace.mode("src/main.c", 0o700);
    let third = workspace.build(&["-t", "a", "--context-metadata=git"]);
    assert!(third.err.contains("file src/main.c changed its mode from 0644 to 0755"), "{third:?}");
}
