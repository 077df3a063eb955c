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
