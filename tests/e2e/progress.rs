//! What a build says while it runs, in the logs of CI services.

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
