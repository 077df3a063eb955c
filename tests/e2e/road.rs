//! The main road: build, push, pull by other tools, run.

use crate::support::registry::{Access, Registry};
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

/// A base made of nothing but the static busybox.
pub const BUSYBOX: &str = "FROM scratch AS base\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";

#[test]
fn a_multi_stage_build_is_pushed_and_read_by_skopeo() {
    if !(is_root() && has("docker-registry") && has("skopeo") && has("busybox")) {
        return;
    }
    let registry = Registry::start(Access::Open);
    let name = registry.name("app:1");
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}FROM base AS make\nWORKDIR /src\nCOPY hello.txt .\nRUN tr a-z A-Z < hello.txt > /out\n\
         FROM base\nCOPY --from=make /out /greeting\nENV WHO=world\nCMD [\"cat\", \"/greeting\"]\n"
    ));
    workspace.file("hello.txt", "hello\n");
    workspace.build(&["-t", &name, "--push"]);

    let inspected = std::process::Command::new("skopeo")
        .args(["inspect", "--tls-verify=false", &format!("docker://{name}")])
        .output()
        .unwrap();
    assert!(inspected.status.success(), "{}", String::from_utf8_lossy(&inspected.stderr));
    let document: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert!(document["Env"].as_array().unwrap().iter().any(|env| env == "WHO=world"));

    assert_eq!(workspace.ok(&["run", &name]).out, "HELLO\n");
    let other = Workspace::new();
    other.ok(&["pull", &name]);
    assert_eq!(other.ok(&["run", &name, "cat", "/greeting"]).out, "HELLO\n");
}

#[test]
fn the_default_command_is_build_and_the_context_may_be_standard_input() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}RUN echo from-a-file\n"));
    let context = workspace.context();
    let said = workspace.ok(&["-f", "context/Dockerfile", "--progress=plain", context.to_str().unwrap()]);
    assert!(said.err.contains("from-a-file"), "{said:?}");

    let dockerfile = std::fs::File::open(context.join("scratch.Dockerfile"));
    assert!(dockerfile.is_err());
    workspace.file("scratch.Dockerfile", "FROM scratch\nLABEL a=b\n");
    let mut command = workspace.rbuild();
    command.args(["build", "-q", "-t", "stdin:1", "-"]);
    command.stdin(std::fs::File::open(context.join("scratch.Dockerfile")).unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("sha256:"));
}

#[test]
fn the_image_id_is_written_and_printed() {
    let workspace = Workspace::with("FROM scratch\nLABEL a=b\n");
    let iidfile = workspace.path().join("iid");
    let said = workspace.build(&["-q", "--iidfile", iidfile.to_str().unwrap()]);
    let written = std::fs::read_to_string(iidfile).unwrap();
    assert_eq!(said.out.trim(), written.trim());
    assert!(written.starts_with("sha256:"), "{written}");
}
