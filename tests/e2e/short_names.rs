//! Names without a registry, read by `registries.conf`.

use crate::support::served::Served;
use crate::support::workspace::{Said, Workspace};

#[test]
fn short_names_are_what_the_settings_make_of_them() {
    let other = Workspace::with("FROM scratch\nCOPY Dockerfile /base\n");
    other.build(&["-t", "base:1"]);
    other.build(&["-t", "team/known:1"]);
    let server = Served::start(&other, &[]);
    let workspace = Workspace::with("FROM base:1 AS one\nFROM other:1\nCOPY --from=one /base /copy\n");
    let conf = workspace.path().join("registries.conf");
    let settings = |search: &str| {
        let aliases = format!("[aliases]\n\"other\" = \"{}/team/known\"\n", server.host());
        std::fs::write(&conf, format!("unqualified-search-registries = [{search}]\n{aliases}")).unwrap();
    };
    let said = |words: &[&str]| -> Said {
        let mut rbuild = workspace.rbuild();
        rbuild.env("CONTAINERS_REGISTRIES_CONF", &conf).env("RBUILD_SHORT_NAMES", "settings");
        rbuild.args(words).output().unwrap().into()
    };
    let context = workspace.context().display().to_string();
    settings(&format!("\"{}\"", server.host()));
    let built = said(&["build", "-t", "app:1", &context]);
    assert_eq!(built.code, Some(0), "{built:?}");
    let pulled = said(&["pull", "other:1"]);
    assert_eq!(pulled.code, Some(0), "{pulled:?}");
    let listed = workspace.ok(&["images"]).out;
    assert!(listed.contains(&server.name("team/known")), "{listed}");
    // What could be several is none of them, and so is what is nowhere.
    settings(&format!("\"{}\", \"quay.io\"", server.host()));
    for (words, expected) in [
        (&["build", "--no-cache", &context][..], "may be any of"),
        (&["pull", "base:1"], "quay.io/base:1"),
        (&["run", "base:1"], "quay.io/base:1"),
    ] {
        let refused = said(words);
        assert!(refused.err.contains(expected), "{refused:?}");
        let code = if words[0] == "run" { 125 } else { 2 };
        assert_eq!(refused.code, Some(code), "{refused:?}");
    }
    settings("");
    assert!(said(&["pull", "base:1"]).err.contains("no registries to search"));
    let wrong =
        workspace.rbuild().env("RBUILD_SHORT_NAMES", "podman").args(["pull", "base:1"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert_eq!(server.stop(), Some(0));
}
