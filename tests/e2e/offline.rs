//! What needs no network.

use crate::support::workspace::{Said, Workspace};
use crate::support::{has, is_root};

#[test]
fn declared_syntaxes_are_built_in_an_empty_network() {
    if !is_root() || !has("unshare") {
        return;
    }
    let workspace = Workspace::new();
    let context = workspace.context();
    let run = |syntax: &str| {
        workspace.file("Dockerfile", format!("# syntax={syntax}\nFROM scratch\nCOPY <<f /f\n{syntax}\nf\n"));
        let rbuild = workspace.rbuild();
        let mut command = std::process::Command::new("unshare");
        command.arg("--net").arg(rbuild.get_program()).args(rbuild.get_args());
        for (name, value) in rbuild.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let directory =
            rbuild.get_current_dir().map_or_else(|| workspace.path().to_owned(), ToOwned::to_owned);
        command.args(["build", "--progress=plain"]).arg(&context).current_dir(directory);
        Said::from(command.output().unwrap())
    };
    for version in ["1", "1.4", "1.7-labs", "1.20", "1@sha256:0123", "99.9"] {
        let said = run(&format!("docker/dockerfile:{version}"));
        assert_eq!(said.code, Some(0), "{version}: {said:?}");
    }
    let said = run("example.org/other:1");
    assert!(said.code == Some(2) && said.err.contains("Dockerfile:1:10"), "{said:?}");
}
