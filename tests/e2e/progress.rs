//! What a build says while it runs, in the logs of CI services.

use crate::browse::Tmux;
use crate::road::BUSYBOX;
use crate::support::workspace::{Said, Workspace};
use crate::support::{has, is_root};

#[test]
fn groups_of_a_ci_log_never_interleave() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let stage = |name: &str| {
        format!(
            "FROM base AS {name}\nRUN for i in 1 2 3 4; do echo ::error::{name} $i; sleep 0.1; done; echo {name} > /{name}\n"
        )
    };
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}{}{}{}FROM base\nCOPY --from=a /a /\nCOPY --from=b /b /\nCOPY --from=c /c /\n",
        stage("a"),
        stage("b"),
        stage("c")
    ));
    let mut command = workspace.rbuild();
    command.env("GITHUB_ACTIONS", "true").arg("build").arg(workspace.context());
    let said = Said::from(command.output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    let mut open: Option<String> = None;
    let mut groups = 0;
    let (lines, summary) = said.err.trim_end().rsplit_once('\n').expect("a summary");
    for line in lines.lines() {
        if let Some(title) = line.strip_prefix("::group::") {
            assert!(open.is_none(), "{said:?}");
            open = title.split(' ').next().map(str::to_owned);
            groups += 1;
        } else if line == "::endgroup::" {
            assert!(open.take().is_some(), "{said:?}");
        } else if line.contains("::error::") {
            let number = open.as_deref().expect("a line of a step stands in its group");
            assert!(line.starts_with(&format!("{number} ")), "{line}: {said:?}");
        }
    }
    assert!(open.is_none() && groups >= 6, "{said:?}");
    assert!(summary.contains(" ran, 0 cached, ") && summary.contains("slowest: ["), "{summary}");
}

/// A step that waits for a file in a cache mount, and one that prints what a terminal would obey.
#[test]
fn a_terminal_shows_what_runs_with_its_last_line_and_keeps_what_is_done() {
    if !(is_root() && has("busybox") && has("tmux")) {
        return;
    }
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN printf 'clear\\033[2J\\033[H\\n'; echo done-before\n\
         RUN --mount=type=cache,id=gate,target=/gate echo first; echo waits-h\"\"ere; \
         until [ -e /gate/open ]; do sleep 0.1; done\nRUN echo last\n"
    ));
    workspace
        .file("Opener", format!("{BUSYBOX}RUN --mount=type=cache,id=gate,target=/gate touch /gate/open\n"));
    let script = format!(
        "export HOME={home}; {rbuild} --root {root} build {context}; echo code=$?; sleep 1000",
        home = workspace.path().join("home").display(),
        rbuild = env!("CARGO_BIN_EXE_rbuild"),
        root = workspace.store().display(),
        context = workspace.context().display()
    );
    let tmux = Tmux::start(&workspace, &script);
    let screen = tmux.shows("waits-here");
    let line =
        screen.lines().find(|line| line.ends_with("waits-here")).expect("its last line stands beside it");
    assert!(line.contains("[4/5] RUN --mount=type=cache") && !line.contains("first"), "{screen}");
    assert!(screen.contains(" => [3/5] RUN printf") && screen.contains(" => [1/5] COPY busybox"), "{screen}");
    assert!(!screen.contains("[5/5]") && screen.contains("\n[+] "), "{screen}");
    // A terminal that becomes narrower and wider again loses nothing of what is done.
    for columns in ["40", "100"] {
        tmux.run(&["resize-window", "-x", columns, "-y", "30"]);
        tmux.until("redrawn view", |screen| {
            let last = screen.trim_end().lines().last().unwrap_or_default();
            last.contains("[4/5]") && (columns == "100") == last.contains("--mount=type=cache")
        });
    }
    let screen = tmux.screen();
    assert!(screen.contains(" => [3/5] RUN printf") && screen.contains(" => [1/5] COPY busybox"), "{screen}");
    workspace.build(&["-f", workspace.context().join("Opener").to_str().unwrap()]);
    let screen = tmux.shows("code=0");
    assert!(
        screen.contains(" => [4/5] RUN --mount") && screen.contains(" => [5/5] RUN echo last"),
        "{screen}"
    );
    assert!(!screen.contains("waits-here") && screen.contains(" ran, 0 cached, "), "{screen}");
    assert_eq!(tmux.run(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]).trim(), "0 1");
}
