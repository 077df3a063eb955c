//! `rbuild save` and `rbuild load`, beside skopeo.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::copy::skopeo;
use crate::support::has;
use crate::support::workspace::{Said, Workspace};

/// A workspace with two images, one of them under two names.
fn with_images() -> Workspace {
    let workspace =
        Workspace::with("FROM scratch AS one\nCOPY a /a\nFROM one AS two\nCOPY b /b\nCMD [\"/b\"]\n");
    workspace.file("a", vec![b'a'; 100_000]);
    workspace.file("b", "b\n");
    workspace.build(&["-t", "app:1", "-t", "other/name:1", "--target=one"]);
    workspace.build(&["-t", "app:2"]);
    workspace
}

fn ids(workspace: &Workspace) -> Vec<(String, String)> {
    let list: serde_json::Value =
        serde_json::from_str(&workspace.ok(&["images", "--format=json"]).out).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|one| (text(&one["name"]), text(&one["id"]))).collect()
}

fn at(workspace: &Workspace, name: &str) -> String {
    workspace.path().join(name).display().to_string()
}

/// Loads what a file holds from standard input.
fn load_stdin(workspace: &Workspace, file: &str) -> Said {
    let file = File::open(workspace.path().join(file)).unwrap();
    Said::from(workspace.rbuild().args(["load", "-q"]).stdin(file).output().unwrap())
}

#[test]
fn several_images_go_through_one_file_in_every_form() {
    let workspace = with_images();
    let wanted = ids(&workspace);
    for form in ["docker-archive", "oci-archive", "oci-layout"] {
        let file = at(&workspace, form);
        workspace.ok(&["save", "-q", "--format", form, "-o", &file, "app:1", "app:2", "other/name:1"]);
        let other = Workspace::new();
        let said = other.ok(&["load", "-q", "-i", &file]).out;
        let mut names: Vec<&str> = said.lines().collect();
        names.sort_unstable();
        let expected = ["app:1", "app:2", "other/name:1"].map(|name| format!("Loaded image: {name}"));
        assert_eq!(names, expected, "{form}");
        assert_eq!(ids(&other), wanted, "{form}");
        assert_eq!(other.ok(&["cat", "app:2", "/b"]).out, "b\n", "{form}");
    }
    // A layout that is there is not written over.
    let said =
        workspace.fails(5, &["save", "--format=oci-layout", "-o", &at(&workspace, "oci-layout"), "app:1"]);
    assert!(said.err.contains("not empty"), "{said:?}");
}

#[test]
fn pipes_and_every_compression_are_taken() {
    if !(has("xz") && has("bzip2") && has("zstd")) {
        return;
    }
    let workspace = with_images();
    let piped = workspace.rbuild().args(["save", "-q", "app:1", "app:2"]).output().unwrap();
    assert!(piped.status.success(), "{}", String::from_utf8_lossy(&piped.stderr));
    std::fs::write(workspace.path().join("plain"), &piped.stdout).unwrap();
    let wanted = ids(&workspace);
    for program in ["cat", "gzip", "bzip2", "xz", "zstd"] {
        let packed = Command::new(program)
            .args(if program == "cat" { &[][..] } else { &["-c"] })
            .stdin(File::open(workspace.path().join("plain")).unwrap())
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let other = Workspace::new();
        std::fs::write(other.path().join("packed"), packed.stdout).unwrap();
        let said = load_stdin(&other, "packed");
        assert_eq!(said.out, "Loaded image: app:1\nLoaded image: app:2\n", "{program}: {said:?}");
        assert_eq!(ids(&other), wanted[..2], "{program}");
    }
    // What is cut off or no archive is refused, and leaves nothing.
    let other = Workspace::new();
    for (name, bytes) in
        [("cut", &piped.stdout[..piped.stdout.len() / 2]), ("text", b"no archive"), ("nothing", b"")]
    {
        std::fs::write(other.path().join(name), bytes).unwrap();
        let said = load_stdin(&other, name);
        assert_eq!(said.code, Some(5), "{name}: {said:?}");
    }
    assert_eq!(ids(&other), []);
    assert_eq!(std::fs::read_dir(other.store().join("tmp")).unwrap().count(), 0);
}

#[test]
fn skopeo_reads_what_was_saved_and_its_archives_are_loaded() {
    if !has("skopeo") {
        return;
    }
    let workspace = with_images();
    let ours = at(&workspace, "ours.tar");
    workspace.ok(&["save", "-q", "-o", &ours, "app:1", "app:2", "other/name:1"]);
    let config = |place: &str| -> serde_json::Value {
        serde_json::from_slice(&skopeo(&["inspect", "--config", place])).unwrap()
    };
    for name in ["app:1", "app:2", "other/name:1"] {
        let wanted: serde_json::Value =
            serde_json::from_str(&workspace.ok(&["inspect", "--config", name]).out).unwrap();
        assert_eq!(config(&format!("docker-archive:{ours}:{name}")), wanted, "{name}");
    }
    let tags: serde_json::Value =
        serde_json::from_slice(&skopeo(&["list-tags", &format!("docker-archive:{ours}")])).unwrap();
    assert_eq!(tags["Tags"], serde_json::json!(["app:1", "other/name:1", "app:2"]));
    let layout = at(&workspace, "o.tar");
    workspace.ok(&["save", "-q", "--format=oci-archive", "-o", &layout, "app:1", "app:2"]);
    assert_eq!(config(&format!("oci-archive:{layout}:2")), config(&format!("docker-archive:{ours}:app:2")));

    // What skopeo writes: one image with two names, plain layers, no manifest.
    let theirs = at(&workspace, "theirs.tar");
    let from = format!("docker-archive:{ours}:app:2");
    skopeo(&[
        "copy",
        "-q",
        "--additional-tag",
        "a.example/b:2",
        &from,
        &format!("docker-archive:{theirs}:sk:1"),
    ]);
    let said = workspace.ok(&["load", "-q", "-i", &theirs]).out;
    assert_eq!(said, "Loaded image: sk:1\nLoaded image: a.example/b:2\n");
    assert_eq!(workspace.ok(&["cat", "a.example/b:2", "/b"]).out, "b\n");
    // A layout whose tag is no name.
    let bare = at(&workspace, "bare.tar");
    skopeo(&["copy", "-q", &from, &format!("oci-archive:{bare}:7")]);
    let said = workspace.fails(5, &["load", "-i", &bare]);
    assert!(said.err.contains("--tag"), "{said:?}");
    assert_eq!(workspace.ok(&["load", "-q", "-t", "named:7", "-i", &bare]).out, "Loaded image: named:7\n");
    let said = workspace.fails(5, &["load", "-t", "x", "-i", &ours]);
    assert!(said.err.contains("holds 2 images"), "{said:?}");
}

#[test]
fn an_index_with_the_parts_for_one_platform_is_loaded_for_that_one() {
    let workspace = Workspace::with("FROM scratch\nCOPY a /a\nARG TARGETARCH\nLABEL arch=$TARGETARCH\n");
    workspace.file("a", "a\n");
    workspace.build(&["-t", "multi:1", "--platform=linux/amd64,linux/arm64"]);
    let dir = workspace.path().join("layout");
    workspace.ok(&["save", "-q", "--format=oci-layout", "-o", dir.to_str().unwrap(), "multi:1"]);
    let whole = Workspace::new();
    whole.ok(&["load", "-q", "-i", dir.to_str().unwrap()]);
    let platforms = |workspace: &Workspace| {
        let list: serde_json::Value =
            serde_json::from_str(&workspace.ok(&["images", "--format=json"]).out).unwrap();
        list[0]["platforms"].clone()
    };
    assert_eq!(platforms(&whole), serde_json::json!(["linux/amd64", "linux/arm64"]));
    let digest = |platform: &str| {
        let place = format!("oci:{}:1", dir.display());
        let said = workspace.ok(&["inspect", "--platform", platform, "--raw", &place]).out;
        let manifest: serde_json::Value = serde_json::from_str(&said).unwrap();
        manifest["config"]["digest"].as_str().unwrap().replace("sha256:", "")
    };
    let (host, other) = match std::env::consts::ARCH {
        "aarch64" => ("linux/arm64", "linux/amd64"),
        _ => ("linux/amd64", "linux/arm64"),
    };
    std::fs::remove_file(dir.join("blobs/sha256").join(digest(other))).unwrap();
    let partial = Workspace::new();
    partial.ok(&["load", "-q", "-i", dir.to_str().unwrap()]);
    assert_eq!(platforms(&partial), serde_json::json!([host]));
    let said = Workspace::new().fails(5, &["load", "-i", dir.to_str().unwrap(), "--platform", other]);
    assert!(said.err.contains("missing"), "{said:?}");
}
