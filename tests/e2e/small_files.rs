//! The files that tell scripts what a build was.

use serde_json::Value;

use crate::support::workspace::{Said, Workspace};

/// A build with a file name in its build file that a rule remarks.
fn described(workspace: &Workspace, variables: &[(&str, &str)], words: &[&str]) -> Value {
    workspace.file("Dockerfile", "FROM scratch AS Upper\nARG A\nCOPY Dockerfile /\n");
    let file = workspace.path().join("metadata.json");
    let mut command = workspace.rbuild();
    command.args(["build", "--progress=rawjson", "-t", "a:1", "--build-arg=A=value", "--metadata-file"]);
    command.arg(&file).args(words).arg(workspace.context()).envs(variables.iter().copied());
    let said = Said::from(command.output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_description_has_buildx_keys_and_as_much_as_is_asked_for() {
    let workspace = Workspace::new();
    let (ids, refs) = (workspace.path().join("id"), workspace.path().join("ref"));
    let words = ["--iidfile", ids.to_str().unwrap(), "--ref-file", refs.to_str().unwrap()];
    let usual = described(&workspace, &[], &words);
    assert_eq!(usual["containerimage.config.digest"], std::fs::read_to_string(ids).unwrap());
    let build = std::fs::read_to_string(refs).unwrap();
    assert_eq!(usual["buildx.build.ref"], format!("default/default/{build}"));
    assert!(workspace.ok(&["history", "show", &build]).out.contains("COPY Dockerfile"));
    assert_eq!(usual["image.name"], "docker.io/library/a:1");
    assert_eq!(usual["containerimage.digest"], usual["containerimage.descriptor"]["digest"]);
    let provenance = &usual["buildx.build.provenance"];
    assert!(provenance["builder"]["id"].is_string() && provenance.get("metadata").is_none(), "{provenance}");
    assert!(!provenance.to_string().contains("value"), "{provenance}");
    assert!(usual.get("buildx.build.warnings").is_none());

    let all = [("BUILDX_METADATA_PROVENANCE", "max"), ("BUILDX_METADATA_WARNINGS", "1")];
    let all = described(&workspace, &all, &["--platform=linux/amd64,linux/arm64"]);
    for platform in ["linux/amd64", "linux/arm64"] {
        let provenance = &all[&format!("buildx.build.provenance/{platform}")];
        assert_eq!(provenance["invocation"]["parameters"]["args"]["build-arg:A"], "value", "{all}");
        assert!(provenance["metadata"]["buildFinishedOn"].is_string());
    }
    let warning = &all["buildx.build.warnings"][0];
    assert_eq!(warning["range"][0]["start"]["line"], 1, "{all}");
    assert_eq!(warning["sourceInfo"]["filename"], "Dockerfile");

    let none = described(&workspace, &[("BUILDX_METADATA_PROVENANCE", "disabled")], &[]);
    assert!(none.get("buildx.build.provenance").is_none(), "{none}");
}
