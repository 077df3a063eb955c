//! `rbuild copy` on every route, beside skopeo.

use std::process::Command;

use crate::support::has;
use crate::support::registry::{Access, Registry};
use crate::support::workspace::Workspace;

/// Runs skopeo; its output.
pub fn skopeo(words: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo").args(words).output().unwrap();
    assert!(output.status.success(), "skopeo {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The manifest or index of a place, as skopeo reads it.
pub fn raw(place: &str) -> Vec<u8> {
    let options: &[&str] = if place.starts_with("docker:") {
        &["inspect", "--raw", "--tls-verify=false"]
    } else {
        &["inspect", "--raw"]
    };
    skopeo(&[options, &[place]].concat())
}

/// A registry with an image for two platforms in OCI types, and one for one platform in Docker's.
pub fn with_images() -> (Registry, Workspace) {
    let registry = Registry::start(Access::Open);
    let workspace = Workspace::new();
    workspace.file("Dockerfile", "FROM scratch\nCOPY a /a\nCOPY b /b\nCMD [\"/a\"]\n");
    workspace.file("a", vec![b'a'; 100_000]);
    workspace.file("b", "b\n");
    let push = |name: &str, more: &str, platforms: &str| {
        let output = format!("type=image,name={},push=true{more}", registry.name(name));
        workspace.build(&["-o", &output, "--platform", platforms]);
    };
    push("index:1", ",store=false", "linux/amd64,linux/arm64");
    push("docker:1", ",store=false,oci-mediatypes=false", "linux/amd64");
    push("list:1", ",store=false,oci-mediatypes=false", "linux/amd64,linux/arm64");
    (registry, workspace)
}

fn ready() -> bool {
    has("docker-registry") && has("skopeo")
}

#[test]
fn copies_are_those_of_skopeo_on_every_route() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let name = |path: &str| format!("docker://{}", registry.name(path));
    let at = |name: &str| workspace.path().join(name).display().to_string();
    let copy = |from: &str, to: &str| {
        skopeo(&[
            "copy",
            "--quiet",
            "--all",
            "--preserve-digests",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            from,
            to,
        ]);
    };
    let (layout, archive, dir) = (
        format!("oci:{}:1", at("layout")),
        format!("oci-archive:{}:1", at("a.tar")),
        format!("dir:{}", at("dir")),
    );
    for place in [&layout, &archive, &dir] {
        copy(&name("index:1"), place);
    }
    let expected = raw(&name("index:1"));
    let targets = |number: usize| {
        [
            name(&format!("to{number}:1")),
            format!("oci:{}:1", at(&format!("layout{number}"))),
            format!("oci-archive:{}:1", at(&format!("{number}.tar"))),
            format!("dir:{}", at(&format!("dir{number}"))),
        ]
    };
    for (number, source) in [&name("index:1"), &layout, &archive, &dir].into_iter().enumerate() {
        for target in targets(number) {
            workspace.ok(&["copy", source, &target]);
            assert!(raw(&target) == expected, "{source} to {target}");
        }
        // Through the store and out again.
        let stored = format!("store:s{number}:1");
        workspace.ok(&["copy", source, &stored]);
        let back = name(&format!("back{number}:1"));
        workspace.ok(&["copy", &stored, &back]);
        assert!(raw(&back) == expected, "{source} through {stored}");
    }
    // skopeo's directory and ours have the same files with the same content.
    let same = Command::new("diff").args(["-r", &at("dir"), &at("dir0")]).output().unwrap();
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
}

#[test]
fn docker_types_survive_every_place() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let at = |name: &str| workspace.path().join(name).display().to_string();
    for kind in ["docker", "list"] {
        let first = format!("docker://{}", registry.name(&format!("{kind}:1")));
        let expected = raw(&first);
        let road = [
            first,
            format!("oci:{}:v1", at(kind)),
            format!("oci-archive:{}:v1", at(&format!("{kind}.tar"))),
            format!("dir:{}", at(&format!("{kind}.dir"))),
            format!("store:{kind}:2"),
            format!("docker://{}", registry.name(&format!("{kind}:back"))),
        ];
        for pair in road.windows(2) {
            workspace.ok(&["copy", &pair[0], &pair[1]]);
        }
        assert!(raw(&road[5]) == expected, "{kind}");
    }
}

/// Both ways, with every config and layer as it was; skopeo reads and unpacks what comes of it.
#[test]
fn media_types_are_those_that_were_asked_for_and_blobs_stay() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let name = |path: &str| format!("docker://{}", registry.name(path));
    let blobs = |place: &str| {
        let document: serde_json::Value = serde_json::from_slice(&raw(place)).unwrap();
        let layers = document["layers"].as_array().unwrap().iter();
        let all = layers.chain([&document["config"]]);
        all.map(|blob| blob["digest"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let types = |place: &str| String::from_utf8(raw(place)).unwrap();
    workspace.ok(&["copy", "--format=oci", &name("docker:1"), &name("oci:1")]);
    assert_eq!(blobs(&name("docker:1")), blobs(&name("oci:1")));
    assert!(!types(&name("oci:1")).contains("docker") && types(&name("oci:1")).contains("image.manifest.v1"));
    workspace.ok(&["copy", "-f", "v2s2", &name("oci:1"), &name("back:1")]);
    assert_eq!(raw(&name("back:1")), raw(&name("docker:1")));
    // Indexes and what is below them; what has the types already stays byte for byte.
    workspace.ok(&["copy", "--format=v2s2", &name("index:1"), &name("made:1")]);
    assert!(!types(&name("made:1")).contains("vnd.oci"), "{}", types(&name("made:1")));
    workspace.ok(&["copy", "--format=v2s2", &name("list:1"), &name("same:1")]);
    assert_eq!(raw(&name("same:1")), raw(&name("list:1")));
    workspace.ok(&["copy", "--format=oci", &name("made:1"), "store:again:1"]);
    workspace.ok(&["push", "-q", "--format=v2s2", "again:1", &registry.name("again:1")]);
    assert_eq!(raw(&name("again:1")), raw(&name("made:1")));
    for place in ["oci:1", "back:1", "made:1"] {
        let to = format!("dir:{}", workspace.path().join(place.replace(':', "-")).display());
        skopeo(&["copy", "-q", "--src-tls-verify=false", &name(place), &to]);
        workspace.ok(&["validate", &name(place)]);
    }
    let said = workspace.fails(2, &["copy", "--format=v2s1", &name("oci:1"), &name("x:1")]);
    assert!(said.err.contains("schema 1"), "{said:?}");
    workspace.fails(2, &["copy", "--format=oci", "--referrers", &name("docker:1"), &name("x:1")]);
    let zstd = name("zstd:1");
    workspace
        .build(&["-o", &format!("type=image,name={},push=true,compression=zstd", registry.name("zstd:1"))]);
    let said = workspace.fails(5, &["copy", "--format=v2s2", &zstd, &name("x:1")]);
    assert!(said.err.contains("zstd"), "{said:?}");
}

#[test]
fn one_platform_is_copied_alone_and_is_skopeos_choice() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let (from, to) =
        (format!("docker://{}", registry.name("index:1")), format!("docker://{}", registry.name("arm:1")));
    workspace.ok(&["copy", "--platform=linux/arm64", &from, &to]);
    let dir = format!("dir:{}", workspace.path().join("theirs").display());
    skopeo(&["--override-arch=arm64", "copy", "--quiet", "--src-tls-verify=false", &from, &dir]);
    assert!(raw(&to) == raw(&dir));
    let said = workspace.fails(5, &["copy", "--platform=linux/s390x", &from, &to]);
    assert!(said.err.contains("linux/s390x"), "{said:?}");
}

#[test]
fn a_docker_archive_is_read_by_skopeo_and_by_us() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let from = format!("docker://{}", registry.name("docker:1"));
    let ours = format!("docker-archive:{}:app:1", workspace.path().join("ours.tar").display());
    workspace.ok(&["copy", &from, &ours]);
    let inspected: serde_json::Value =
        serde_json::from_slice(&skopeo(&["inspect", "--config", &ours])).unwrap();
    let wanted: serde_json::Value =
        serde_json::from_slice(&skopeo(&["inspect", "--config", "--tls-verify=false", &from])).unwrap();
    assert_eq!(inspected, wanted);
    // Ours holds a layout, so even the manifest comes back as it was.
    let back = format!("docker://{}", registry.name("back:1"));
    workspace.ok(&["copy", &ours, &back]);
    assert!(raw(&back) == raw(&from));

    // skopeo's holds plain layers and no manifest: the config is kept.
    let theirs = format!("docker-archive:{}:app:1", workspace.path().join("theirs.tar").display());
    skopeo(&["copy", "--quiet", "--src-tls-verify=false", &from, &theirs]);
    let again = format!("docker://{}", registry.name("again:1"));
    workspace.ok(&["copy", &theirs, &again]);
    let config: serde_json::Value =
        serde_json::from_slice(&skopeo(&["inspect", "--config", "--tls-verify=false", &again])).unwrap();
    assert_eq!(config, wanted);
    workspace.ok(&["copy", &theirs, "store:loaded:1"]);
    let stored = workspace.ok(&["inspect", "--config", "loaded:1"]).out;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&stored).unwrap(), wanted);
}

#[test]
fn a_damaged_blob_is_refused_and_nothing_is_named() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let layout = workspace.path().join("layout");
    let from = format!("oci:{}:1", layout.display());
    workspace.ok(&["copy", &format!("docker://{}", registry.name("index:1")), &from]);
    let blobs = layout.join("blobs/sha256");
    let largest = std::fs::read_dir(&blobs)
        .unwrap()
        .map(|e| e.unwrap().path())
        .max_by_key(|path| path.metadata().unwrap().len());
    let largest = largest.unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let out = workspace.path().join("out.tar");
    for target in [
        "store:bad:1".to_owned(),
        format!("oci-archive:{}", out.display()),
        format!("dir:{}", workspace.path().join("bad").display()),
        format!("docker://{}", registry.name("bad:1")),
    ] {
        let said = Workspace::run(&workspace, &["copy", &from, &target]);
        assert!(!said.status.success(), "{target}");
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(text.contains(largest.file_name().unwrap().to_str().unwrap()), "{target}: {text}");
    }
    assert!(!out.exists() && !workspace.path().join("bad/manifest.json").exists());
    assert!(!workspace.ok(&["images"]).out.contains("bad"));
}

#[test]
fn places_that_make_no_sense_are_refused() {
    let workspace = Workspace::new();
    for (words, reason) in [
        (&["copy", "store:a", "b"][..], "say where it goes"),
        (&["copy", "docker-daemon:a", "store:b"], "not supported"),
        (&["copy", "--referrers", "store:a", "dir:d"], "no room for referrers"),
        (&["copy", "oci:", "store:b"], "no path"),
    ] {
        let said = workspace.fails(2, words);
        assert!(said.err.contains(reason), "{words:?}: {said:?}");
    }
    let said = workspace.fails(5, &["copy", "store:a", "store:b"]);
    assert!(said.err.contains("no image a:latest in the store"), "{said:?}");
}
