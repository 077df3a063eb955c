//! Images from images: append, mutate, rebase, flatten; and artifacts that refer to images.

use serde_json::Value;

use crate::copy::{raw, skopeo, with_images};
use crate::support::has;
use crate::support::registry::{Access, Registry};
use crate::support::workspace::Workspace;

fn ready() -> bool {
    has("docker-registry") && has("skopeo")
}

fn config(place: &str) -> Value {
    serde_json::from_slice(&skopeo(&["inspect", "--config", "--tls-verify=false", place])).unwrap()
}

fn tar(workspace: &Workspace, name: &str, content: &str) -> String {
    let path = workspace.path().join(format!("{name}.tar"));
    let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    tar.finish().unwrap();
    path.display().to_string()
}

#[test]
fn layers_are_appended_to_images_and_to_nothing() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let name = |path: &str| format!("docker://{}", registry.name(path));
    let layer = tar(&workspace, "added", "text\n");
    workspace.ok(&["append", "-b", &name("docker:1"), "-f", &layer, "-t", &name("more:1")]);
    let (before, after) = (config(&name("docker:1")), config(&name("more:1")));
    let diffs = |config: &Value| config["rootfs"]["diff_ids"].as_array().unwrap().clone();
    assert_eq!(diffs(&after)[..2], diffs(&before)[..]);
    assert_eq!(diffs(&after).len(), 3);
    // Docker's types stay Docker's.
    let manifest: Value = serde_json::from_slice(&raw(&name("more:1"))).unwrap();
    assert_eq!(manifest["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    workspace.ok(&["validate", &name("more:1")]);
    let out = workspace.path().join("out.tar").display().to_string();
    workspace.ok(&["append", "-f", &layer, "-f", &layer, "-o", &out]);
    workspace.ok(&["validate", &format!("docker-archive:{out}")]);
    let said = workspace.fails(5, &["append", "-b", &name("index:1"), "-f", &layer, "-t", &name("x:1")]);
    assert!(said.err.contains("--platform"), "{said:?}");
    workspace.file("text", "no tar");
    let text = workspace.context().join("text").display().to_string();
    workspace.fails(5, &["append", "-f", &text, "-t", "store:x:1"]);
}

#[test]
fn a_config_is_changed_and_the_layers_stay() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let name = |path: &str| format!("docker://{}", registry.name(path));
    workspace.ok(&[
        "mutate",
        &name("index:1"),
        "--platform=linux/arm64",
        "-t",
        &name("new:1"),
        "-e",
        "A=b",
        "-e",
        "PATH=/p",
        "-l",
        "l=m",
        "-a",
        "n=o",
        "--entrypoint=/e,x",
        "--cmd=c",
        "-u",
        "1:2",
        "-w",
        "/w",
        "--exposed-ports=80/tcp",
    ]);
    let new = config(&name("new:1"));
    assert_eq!(new["architecture"], "arm64");
    let run = &new["config"];
    assert!(run["Env"].as_array().unwrap().contains(&"A=b".into()), "{run}");
    assert_eq!(run["Labels"]["l"], "m");
    assert_eq!(run["Entrypoint"], serde_json::json!(["/e", "x"]));
    assert_eq!(run["Cmd"], serde_json::json!(["c"]));
    assert_eq!((&run["User"], &run["WorkingDir"]), (&"1:2".into(), &"/w".into()));
    assert!(run["ExposedPorts"]["80/tcp"].is_object());
    let manifest: Value = serde_json::from_slice(&raw(&name("new:1"))).unwrap();
    assert_eq!(manifest["annotations"]["n"], "o");
    workspace.ok(&["validate", &name("new:1")]);
}

#[test]
fn times_are_cut_and_files_left_out() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let name = |path: &str| format!("docker://{}", registry.name(path));
    let (keep, secret) = (tar(&workspace, "keep", "k\n"), tar(&workspace, "secret", "s\n"));
    workspace.ok(&["append", "-f", &keep, "-f", &secret, "-t", &name("edit:1")]);
    let mutate = |words: &[&'static str]| {
        let (from, to) = (name("edit:1"), name("edit:2"));
        workspace.ok(&[&["mutate", &from, "-t", &to][..], words].concat());
        workspace.ok(&["validate", &to]);
        config(&to)
    };
    let diffs = |config: &Value| config["rootfs"]["diff_ids"].as_array().unwrap().clone();
    let before = config(&name("edit:1"));
    // The files are of 1970: nothing is later, and everything is as it was.
    assert_eq!(diffs(&mutate(&["--time-max=1000"])), diffs(&before));
    let dated = mutate(&["--timestamp=1000", "--layer-strip-file=/secret"]);
    assert_ne!(diffs(&dated)[0], diffs(&before)[0]);
    let layers = workspace.ok(&["layers", "--format=json", &name("edit:2")]).out;
    assert!(layers.contains("keep") && !layers.contains("\"secret\""), "{layers}");
    assert_eq!(diffs(&mutate(&["--layer-strip-file=secret"]))[0], diffs(&before)[0]);
    let image = name("docker:1");
    workspace.ok(&["mutate", &image, "--timestamp=1000", "-t", &name("docker:2")]);
    assert_eq!(config(&name("docker:2"))["created"], "1970-01-01T00:16:40Z");
    workspace.ok(&["validate", &name("docker:2")]);

    let digest = workspace.ok(&["mutate", &image, "-l", "a=b", "--repo", &registry.name("other")]).out;
    workspace.ok(&["validate", &format!("{}@{}", name("other"), digest.trim())]);
    let tags = workspace.fails(3, &["tags", &registry.name("other")]);
    assert!(!tags.out.contains("latest"), "{tags:?}");
    for (path, part) in [("absent", "no layer has /absent"), ("/", "root directory")] {
        let said = workspace.fails(5, &["mutate", &image, "--layer-strip-file", path, "-t", &name("x:1")]);
        assert!(said.err.contains(part), "{said:?}");
    }
}

#[test]
fn an_image_gets_another_base_and_one_layer() {
    if !ready() {
        return;
    }
    let registry = Registry::start(Access::Open);
    let workspace = Workspace::new();
    let name = |path: &str| format!("docker://{}", registry.name(path));
    for version in ["1", "2"] {
        let layer = tar(&workspace, "base", version);
        workspace.ok(&["append", "-f", &layer, "-t", &name(&format!("base:{version}"))]);
    }
    let layer = tar(&workspace, "app", "app\n");
    workspace.ok(&["append", "-b", &name("base:1"), "-f", &layer, "-t", &name("app:1")]);
    let (old, new) = (format!("--old_base={}", name("base:1")), format!("--new_base={}", name("base:2")));
    workspace.ok(&["rebase", &name("app:1"), &old, &new, "-t", &name("app:2")]);
    workspace.ok(&["validate", &name("app:2")]);
    // The annotations that this left name the base of the next time.
    workspace.ok(&["copy", &name("base:1"), &name("base:2")]);
    workspace.ok(&["rebase", &name("app:2"), "-t", &name("app:3")]);
    let diffs = |path: &str| config(&name(path))["rootfs"]["diff_ids"].clone();
    assert_eq!(diffs("app:3"), diffs("app:1"));
    assert_ne!(diffs("app:2")[0], diffs("app:1")[0]);
    assert_eq!(diffs("app:2")[1], diffs("app:1")[1]);
    let said = workspace.fails(
        5,
        &["rebase", &name("app:1"), &format!("--old_base={}", name("app:2")), &new, "-t", &name("x:1")],
    );
    assert!(said.err.contains("does not lie upon it"), "{said:?}");

    workspace.ok(&["flatten", &name("app:2"), "-t", "store:flat:1"]);
    workspace.ok(&["validate", "store:flat:1"]);
    let layers: Value =
        serde_json::from_str(&workspace.ok(&["layers", "--format=json", "flat:1"]).out).unwrap();
    let paths: Vec<&str> =
        layers[0]["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!((layers.as_array().unwrap().len(), paths), (1, vec!["app", "base"]));
}

#[test]
fn artifacts_are_found_again_and_follow_their_image() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let name = |path: &str| format!("docker://{}", registry.name(path));
    workspace.file("sbom.json", "{}\n");
    let file = format!("{}:application/json", workspace.context().join("sbom.json").display());
    let image = name("index:1");
    let sbom = workspace.ok(&["attach", &image, &file, "--artifact-type=example/sbom"]).out;
    let pinned = format!("{}@{}", name("index"), sbom.trim());
    let signature =
        workspace.ok(&["attach", &pinned, "--artifact-type=example/signature", "-a", "by=me"]).out;
    let layout = format!("oci:{}:1", workspace.path().join("layout").display());
    for (from, to) in [
        (&image, name("copied:1")),
        (&image, layout.clone()),
        (&layout, "store:copied:1".to_owned()),
        (&"store:copied:1".to_owned(), name("again:1")),
    ] {
        workspace.ok(&["copy", "--referrers", from, &to]);
    }
    for place in [image, name("copied:1"), layout.clone(), "store:copied:1".to_owned(), name("again:1")] {
        let shown = workspace.ok(&["discover", &place]).out;
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3, "{place}: {shown}");
        assert_eq!(lines[1], format!("  {}  example/sbom", sbom.trim()), "{place}");
        assert_eq!(lines[2], format!("    {}  example/signature", signature.trim()), "{place}");
        assert_eq!(workspace.ok(&["discover", "--artifact-type=example/x", &place]).out.lines().count(), 1);
    }
    let json: Value =
        serde_json::from_str(&workspace.ok(&["discover", "--format=json", &layout]).out).unwrap();
    assert_eq!(json["referrers"][0]["referrers"][0]["annotations"]["by"], "me");
    // Its files come back.
    let into = workspace.path().join("fetched").display().to_string();
    let said = workspace.ok(&["artifact", "pull", &pinned, "-o", &into]).out;
    assert_eq!(said, format!("{into}/sbom.json\n"));
    assert_eq!(std::fs::read_to_string(workspace.path().join("fetched/sbom.json")).unwrap(), "{}\n");
    // In the store and in a layout, too.
    for place in ["store:copied:1", layout.as_str()] {
        workspace.ok(&["attach", place, &file, "--artifact-type=example/other"]);
        assert!(workspace.ok(&["discover", place]).out.contains("example/other"), "{place}");
    }
}

/// The image was never packed, so that its manifest exists for the artifact's sake alone.
#[test]
fn artifacts_of_the_store_outlive_a_collection_and_go_with_their_image() {
    if !has("docker-registry") {
        return;
    }
    let registry = Registry::start(Access::Open);
    let workspace = Workspace::with("FROM scratch\nCOPY sbom.json /\n");
    workspace.file("sbom.json", "{}\n");
    workspace.build(&["-t", "app:1"]);
    let file = format!("{}:application/json", workspace.context().join("sbom.json").display());
    let image = "store:app:1";
    let sbom = workspace.ok(&["attach", image, &file, "--artifact-type=example/sbom"]).out;
    let subject = workspace.ok(&["digest", image]).out;
    let shown = workspace.ok(&["discover", image]).out;
    assert!(shown.contains(sbom.trim()) && shown.contains("example/sbom"), "{shown}");
    for prune in [&["prune"][..], &["prune", "-a"]] {
        workspace.ok(prune);
        assert_eq!(workspace.ok(&["discover", image]).out, shown, "{prune:?}");
        assert_eq!(workspace.ok(&["digest", image]).out, subject, "{prune:?}");
    }
    let name = registry.name("pushed:1");
    assert_eq!(workspace.ok(&["push", "-q", "--referrers", "app:1", &name]).out, subject);
    let remote = format!("docker://{name}");
    let there = workspace.ok(&["discover", &remote]).out;
    assert_eq!(there.lines().skip(1).collect::<Vec<_>>(), shown.lines().skip(1).collect::<Vec<_>>());
    let into = workspace.path().join("fetched").display().to_string();
    let pinned = format!("docker://{}@{}", registry.name("pushed"), sbom.trim());
    workspace.ok(&["artifact", "pull", &pinned, "-o", &into]);
    assert_eq!(std::fs::read_to_string(workspace.path().join("fetched/sbom.json")).unwrap(), "{}\n");
    workspace.ok(&["validate", image]);
}

/// With a config of its own, and annotations of the manifest, the config and a file from one document.
#[test]
fn artifacts_have_configs_and_annotations_of_each_file() {
    if !ready() {
        return;
    }
    let workspace = Workspace::new();
    let at = |path: &str| workspace.context().join(path).display().to_string();
    workspace.file("one.txt", "1\n");
    workspace.file("config.json", "{\"a\":1}");
    let notes = |text: String| {
        workspace.file("notes.json", &text);
        format!("--annotation-file={}", at("notes.json"))
    };
    let one = at("one.txt");
    let config = format!("--config={}:example/config", at("config.json"));
    let document = serde_json::json!({
        "$manifest": {"k": "m"}, "$config": {"k": "c"}, (one.as_str()): {"k": "f"}
    });
    let file = notes(document.to_string());
    let place = "store:with-config:1";
    workspace.ok(&["artifact", "push", place, &one, &config, &file]);
    let manifest: Value = serde_json::from_str(&workspace.ok(&["inspect", "--raw", place]).out).unwrap();
    assert_eq!(manifest["config"]["mediaType"], "example/config");
    // The config's type tells what it is.
    assert!(manifest.get("artifactType").is_none());
    assert_eq!(manifest["config"]["size"], 7);
    for (part, value) in [(&manifest, "m"), (&manifest["config"], "c"), (&manifest["layers"][0], "f")] {
        assert_eq!(part["annotations"]["k"], value, "{manifest}");
    }
    let attached =
        workspace.ok(&["attach", place, &one, "--artifact-type=example/x", "--annotation=k=v"]).out;
    let tree = workspace.ok(&["discover", "--format=tree", place]).out;
    let drawn = format!("└── example/x\n    └── {}\n", attached.trim());
    assert!(tree.ends_with(&drawn), "{tree}");
    // A name that is none of the files, a document that is none, a config that is not there.
    let file = notes("{\"other\":{\"k\":\"v\"}}".to_owned());
    let said = workspace.fails(2, &["artifact", "push", "store:bad:1", &one, &file]);
    assert!(said.err.contains("other is none of the files"), "{said:?}");
    let file = notes("[]".to_owned());
    let said = workspace.fails(5, &["artifact", "push", "store:bad:1", &one, &file]);
    assert!(said.err.contains("notes.json"), "{said:?}");
    let file = notes(document.to_string());
    workspace.fails(2, &["artifact", "push", "store:bad:1", &one, &file]);
    workspace.fails(5, &["inspect", "store:bad:1"]);
}

/// As `oras push` and `oras pull` do it.
#[test]
fn artifacts_of_their_own_are_pushed_and_their_files_fetched() {
    if !ready() {
        return;
    }
    let registry = Registry::start(Access::Open);
    let workspace = Workspace::new();
    for (path, text) in [("one.txt", "1\n"), ("two.json", "{}")] {
        workspace.file(path, text);
    }
    let at = |path: &str| workspace.context().join(path).display().to_string();
    let two = format!("{}:application/json", at("two.json"));
    let layout = format!("oci:{}:1", workspace.path().join("layout").display());
    for (count, place) in
        [format!("docker://{}", registry.name("files:1")), layout, "store:files:1".to_owned()]
            .iter()
            .enumerate()
    {
        let words = ["artifact", "push", place, &at("one.txt"), &two, "--artifact-type=example/x", "-a=k=v"];
        let digest = workspace.ok(&words).out;
        assert_eq!(workspace.ok(&["digest", place]).out, digest, "{place}");
        let manifest: Value = serde_json::from_str(&workspace.ok(&["inspect", "--raw", place]).out).unwrap();
        assert_eq!(manifest["artifactType"], "example/x");
        assert_eq!(manifest["annotations"]["k"], "v");
        assert!(manifest.get("subject").is_none());
        assert_eq!(manifest["layers"][1]["mediaType"], "application/json");
        let into = workspace.path().join(format!("into{count}"));
        let pull = ["artifact", "pull", place, "-o", into.to_str().unwrap(), "-k"];
        workspace.ok(&pull);
        assert_eq!(std::fs::read_to_string(into.join("one.txt")).unwrap(), "1\n");
        assert_eq!(std::fs::read_to_string(into.join("two.json")).unwrap(), "{}");
        workspace.fails(5, &pull);
        workspace.ok(&pull[..5]);
    }
    workspace.ok(&["artifact", "push", "store:empty:1"]);
    let said = workspace.fails(5, &["artifact", "pull", "store:empty:1"]);
    assert!(said.err.contains("title"), "{said:?}");
    workspace.fails(2, &["artifact", "push", "store:empty:1", "--artifact-type=none"]);
}
