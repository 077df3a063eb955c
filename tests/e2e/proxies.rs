//! Proxies of Docker's settings reach containers and the steps of a build, and nothing that is kept.

use crate::support::has;
use crate::support::workspace::{Said, Workspace};

fn configured(workspace: &Workspace, proxy: &str) {
    let dir = workspace.path().join("home/.docker");
    std::fs::create_dir_all(&dir).unwrap();
    let text = format!(
        r#"{{"proxies":{{"default":{{"httpProxy":"{proxy}","noProxy":"n"}},"tcp://far:1":{{"httpProxy":"http://far"}}}}}}"#
    );
    std::fs::write(dir.join("config.json"), text).unwrap();
}

fn built(workspace: &Workspace, variables: &[(&str, &str)], words: &[&str]) -> Said {
    let output = workspace
        .rbuild()
        .envs(variables.iter().copied())
        .args(["build", "--progress=plain", "-t", "app:1", "--provenance=mode=max"])
        .args(words)
        .arg(workspace.context())
        .output()
        .unwrap();
    let said = Said::from(output);
    assert_eq!(said.code, Some(0), "{said:?}");
    said
}

#[test]
fn proxies_of_docker_settings_reach_steps_and_nothing_that_is_kept() {
    if !has("busybox") {
        return;
    }
    let workspace = Workspace::with(concat!(
        "FROM scratch\nCOPY busybox /busybox\n",
        "RUN [\"/busybox\", \"sh\", \"-c\", \"echo said $HTTP_PROXY $http_proxy $NO_PROXY $https_proxy\"]\n"
    ));
    configured(&workspace, "http://user:hidden@one");
    let said = built(&workspace, &[("https_proxy", "http://e"), ("http_proxy", "http://env")], &[]);
    let expected = "said http://user:hidden@one http://user:hidden@one n http://e";
    assert!(said.err.contains(expected), "{said:?}");
    assert!(!workspace.ok(&["history", "show", "--format=json"]).out.contains("hidden"));
    assert!(!workspace.ok(&["copy", "-q", "app:1", "oci:out"]).out.contains("hidden"));
    let found = std::process::Command::new("grep")
        .args(["-r", "-l", "hidden", "out"])
        .current_dir(workspace.path())
        .output()
        .unwrap();
    assert!(found.stdout.is_empty(), "{found:?}");

    configured(&workspace, "http://two");
    assert_eq!(built(&workspace, &[], &[]).steps().0, 0, "another proxy runs no step again");
    for (variables, argument, expected) in [
        (&[("http_proxy", "http://env")][..], "HTTP_PROXY=http://arg", "said http://arg http://arg n"),
        (&[][..], "http_proxy=", "said n"),
        (&[("DOCKER_HOST", "tcp://far:1")][..], "A=b", "said http://far http://far\n"),
    ] {
        let said = built(&workspace, variables, &["--no-cache", "--build-arg", argument]);
        assert!(said.err.contains(expected), "{argument}: {said:?}");
    }
}

#[test]
fn proxies_of_docker_settings_reach_containers() {
    if !has("busybox") {
        return;
    }
    let workspace = Workspace::with("FROM scratch\nCOPY busybox /busybox\nENV no_proxy=image\n");
    configured(&workspace, "http://one");
    workspace.build(&["-t", "app:1"]);
    workspace.file("variables", "HTTP_PROXY=http://file\n");
    let file = workspace.context().join("variables").display().to_string();
    for (variables, words, expected) in [
        (&[("https_proxy", "http://env")][..], &[][..], "http://one http://one n n"),
        (&[], &["-e", "HTTP_PROXY=http://e", "-e", "no_proxy"], "http://e http://one n image"),
        (&[("no_proxy", "c")], &["-e", "http_proxy=", "-e=no_proxy"], "http://one n c"),
        (&[], &["--env-file", &file], "http://one http://one n n"),
        (&[("DOCKER_HOST", "tcp://far:1")], &[], "http://far http://far image"),
    ] {
        let script = "echo $HTTP_PROXY $http_proxy $NO_PROXY $no_proxy $https_proxy";
        let mut rbuild = workspace.rbuild();
        rbuild.envs(variables.iter().copied()).arg("run").args(words);
        let said = Said::from(rbuild.args(["app:1", "/busybox", "sh", "-c", script]).output().unwrap());
        assert_eq!((said.code, said.out.trim_end()), (Some(0), expected), "{words:?}: {said:?}");
    }
    std::fs::write(workspace.path().join("home/.docker/config.json"), "{").unwrap();
    let said = workspace.fails(125, &["run", "app:1", "/busybox", "true"]);
    assert!(said.err.contains("config.json"), "{said:?}");
}
