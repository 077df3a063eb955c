//! The commands about registries and other places: inspect, digest, tags, delete.

use crate::copy::{raw, skopeo, with_images};
use crate::support::has;

fn ready() -> bool {
    has("docker-registry") && has("skopeo")
}

#[test]
fn what_a_place_stands_for_is_printed_byte_for_byte() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let name = format!("docker://{}", registry.name("index:1"));
    let layout = format!("oci:{}:x", workspace.path().join("layout").display());
    workspace.ok(&["copy", &name, &layout]);
    workspace.ok(&["copy", &name, "store:app:1"]);
    let index = raw(&name);
    let digest = format!("sha256:{}", sha256(&index));
    for place in [&name, &layout, "store:app:1", "app:1", registry.name("index:1").as_str()] {
        assert!(workspace.run(&["inspect", "--raw", place]).stdout == index, "{place}");
        assert_eq!(workspace.ok(&["digest", place]).out.trim(), digest, "{place}");
        let manifest = workspace.run(&["inspect", "--raw", "--platform=linux/arm64", place]).stdout;
        let arm = format!("sha256:{}", sha256(&manifest));
        assert!(String::from_utf8_lossy(&index).contains(&arm), "{place}");
        assert_eq!(workspace.ok(&["digest", "--platform=linux/arm64", place]).out.trim(), arm, "{place}");
        let config = workspace.run(&["inspect", "--raw", "--config", place]).stdout;
        let named = format!("sha256:{}", sha256(&config));
        let amd = workspace.ok(&["inspect", "--raw", "--platform=linux/amd64", place]).out;
        assert!(cfg!(not(target_arch = "x86_64")) || amd.contains(&named), "{place}");
    }
}

#[test]
fn tags_are_listed_and_deleted() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let name = |tag: &str| format!("docker://{}:{tag}", registry.name("index"));
    for tag in ["2", "3"] {
        workspace.ok(&["copy", &name("1"), &name(tag)]);
    }
    workspace.ok(&["copy", &format!("docker://{}", registry.name("docker:1")), &name("other")]);
    let tags = |repository: &str| {
        let mut tags: Vec<String> =
            workspace.ok(&["tags", repository]).out.lines().map(str::to_owned).collect();
        tags.sort();
        tags
    };
    assert_eq!(tags(&registry.name("index")), ["1", "2", "3", "other"]);
    let chosen = |words: &[&str]| workspace.ok(words).out.lines().count();
    let index = registry.name("index");
    assert_eq!(chosen(&["tags", &index, "--include=^[0-9]$", "--exclude=2"]), 2);
    assert_eq!(chosen(&["tags", &index, "--include=^1", "--include=^o"]), 2);
    let host = registry.name("").trim_end_matches('/').to_owned();
    assert_eq!(workspace.ok(&["catalog", &host, "--exclude=^list$"]).out, "docker\nindex\n");
    workspace.fails(2, &["tags", &index, "--include=("]);
    workspace.ok(&["delete", "--tag-only", &name("3")]);
    assert_eq!(tags(&format!("docker://{}", registry.name("index"))), ["1", "2", "other"]);
    // The manifest goes with all of its tags.
    workspace.ok(&["delete", &name("1")]);
    workspace.fails(3, &["inspect", "--raw", &name("2")]);
    workspace.ok(&["inspect", "--raw", &name("other")]);
    workspace.fails(2, &["delete", &registry.name("index:other")]);
    workspace.fails(2, &["tags", &registry.name("index:1")]);
}

/// Templates and overrides as skopeo has them, with skopeo's answers.
#[test]
fn templates_and_overrides_answer_as_skopeo_does() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let name = format!("docker://{}", registry.name("index:1"));
    let theirs = |more: &[&str], template: &str| {
        let words = [more, &["inspect", "--tls-verify=false", "--format", template, &name]].concat();
        String::from_utf8(skopeo(&words)).unwrap()
    };
    for template in [
        "Name: {{.Name}} Digest: {{.Digest}}",
        "{{.Os}}/{{.Architecture}} {{.Layers}} {{.Env}}",
        "{{range .Layers}}{{.}}\\n{{end}}{{len .RepoTags}} {{.RepoTags}}",
        "{{if .Labels}}some{{else}}none{{end}}",
    ] {
        assert_eq!(
            workspace.ok(&["inspect", "--format", template, &name]).out,
            theirs(&[], template),
            "{template}"
        );
        let ours =
            workspace.ok(&["inspect", "--override-arch=arm64", "-f", template, "--no-tags", &name]).out;
        assert_eq!(ours, theirs(&["--override-arch=arm64"], template), "{template}");
    }
    let of_buildx = "{{.Manifest.Digest}} {{len .Manifest.Manifests}} {{index .Image.Config.Cmd 0}}";
    let digest = workspace.ok(&["digest", &name]).out;
    assert_eq!(
        workspace.ok(&["inspect", "--format", of_buildx, &name]).out,
        format!("{} 2 /a\n", digest.trim())
    );
    let json = workspace.ok(&["inspect", "--format={{json .Layers}}", &name]).out;
    assert!(json.starts_with("[\"sha256:"), "{json}");
    let os = ["inspect", "--config", "--format", "{{.OS}} {{.RootFS.Type}}", &name];
    assert_eq!(workspace.ok(&os).out, "linux layers\n");
    let arm = workspace.ok(&["digest", "--platform=linux/arm64", &name]).out;
    assert_eq!(workspace.ok(&["digest", "--override-os=linux", "--override-arch=arm64", &name]).out, arm);
    workspace.ok(&["copy", "--override-arch=arm64", &name, "store:arm:1"]);
    assert_eq!(workspace.ok(&["digest", "store:arm:1"]).out, arm);
    workspace.ok(&["copy", "--multi-arch=system", "--remove-signatures", &name, "store:own:1"]);
    assert!(workspace.ok(&["inspect", "--raw", "store:own:1"]).out.contains("layers"));
    for (words, reason) in [
        (&["inspect", "--format={{.Nam}}", &name][..], "there is no field Nam"),
        (&["inspect", "--format={{template}}", &name], "is not known"),
        (&["copy", "--multi-arch=index-only", &name, "store:x:1"], "without its images"),
        (&["copy", "--dest-compress", &name, "store:x:1"], "byte for byte"),
        (&["copy", "--dest-daemon-host=x", &name, "store:x:1"], "rbuild save"),
        (&["copy", "--sign-by=x", &name, "store:x:1"], "rbuild sign"),
        (&["copy", "--additional-tag=x", &name, "store:x:1"], "rbuild save"),
        (&["copy", "--dest-shared-blob-dir=x", &name, "store:x:1"], "layout"),
        (&["digest", "--platform=linux/arm64", "--override-os=linux", &name], "cannot be used with"),
    ] {
        let said = workspace.fails(2, words);
        assert!(said.err.contains(reason), "{words:?}: {said:?}");
    }
}

#[test]
fn a_layout_lists_and_loses_images_as_skopeo_sees_it() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let layout = workspace.path().join("layout");
    let place = |tag: &str| format!("oci:{}:{tag}", layout.display());
    workspace.ok(&["copy", &format!("docker://{}", registry.name("index:1")), &place("a")]);
    workspace.ok(&["copy", "--platform=linux/arm64", &place("a"), &place("arm")]);
    let said = workspace.fails(5, &["digest", &format!("oci:{}", layout.display())]);
    assert!(said.err.contains("2 images"), "{said:?}");
    assert_eq!(workspace.ok(&["tags", &format!("oci:{}", layout.display())]).out, "a\narm\n");
    workspace.ok(&["delete", &place("a")]);
    assert_eq!(workspace.ok(&["tags", &format!("oci:{}", layout.display())]).out, "arm\n");
    skopeo(&["copy", "--quiet", &place("arm"), &format!("dir:{}", workspace.path().join("out").display())]);
    // Manifest, config and layers of the one image are left.
    assert_eq!(std::fs::read_dir(layout.join("blobs/sha256")).unwrap().count(), 4);
}

#[test]
fn an_index_is_made_annotated_and_pushed() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let name = |path: &str| format!("docker://{}", registry.name(path));
    workspace.ok(&["copy", "--platform=linux/arm64", &name("index:1"), &name("arm:1")]);
    workspace.ok(&["copy", "--platform=linux/amd64", &name("index:1"), &name("amd:1")]);
    let made = name("made:1");
    let dry = workspace.ok(&["manifest", "create", "--dry-run", &made, &name("amd:1"), &name("arm:1")]).out;
    workspace.fails(3, &["digest", &made]);
    workspace.ok(&["manifest", "create", &made, &name("amd:1")]);
    workspace.ok(&["manifest", "create", "--append", &made, &name("arm:1")]);
    assert_eq!(String::from_utf8(raw(&made)).unwrap(), dry.trim());
    // It is the index that a build for both platforms makes.
    assert!(raw(&made) == raw(&name("index:1")));

    // In the store, with an annotation, out again, read by skopeo.
    workspace.ok(&["manifest", "create", "list:1", &name("amd:1"), &name("arm:1"), "--annotation=a=b"]);
    let arm = workspace.ok(&["digest", &name("arm:1")]).out;
    workspace.ok(&["manifest", "annotate", "list:1", arm.trim(), "--variant=v8", "--annotation=c=d"]);
    workspace.ok(&["manifest", "push", "list:1", &name("list:2")]);
    let index: serde_json::Value = serde_json::from_slice(&raw(&name("list:2"))).unwrap();
    assert_eq!(index["annotations"]["a"], "b");
    assert_eq!(index["manifests"][1]["platform"]["variant"], "v8");
    assert_eq!(index["manifests"][1]["annotations"]["c"], "d");
    let shown = workspace.ok(&["manifest", "inspect", "list:1"]).out;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), index);
    let said = workspace.fails(5, &["manifest", "annotate", "list:1", &name("docker:1"), "--os=plan9"]);
    assert!(said.err.contains("no entry"), "{said:?}");
}

/// The ways of `docker buildx imagetools create`.
#[test]
fn an_index_takes_descriptors_and_one_image_may_stay_one() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let name = |path: &str| format!("docker://{}", registry.name(path));
    workspace.ok(&["copy", "--platform=linux/arm64", &name("index:1"), &name("index:arm")]);
    let arm = raw(&name("index:arm"));
    let digest = format!("sha256:{}", sha256(&arm));
    // One image: an index, or the image as it is. One index stays as it is.
    workspace.ok(&["manifest", "create", &name("one:index"), &name("index:arm")]);
    let index: serde_json::Value = serde_json::from_slice(&raw(&name("one:index"))).unwrap();
    assert_eq!(index["manifests"][0]["digest"], digest);
    workspace.ok(&["manifest", "create", "--prefer-index=false", &name("one:image"), &name("index:arm")]);
    assert!(raw(&name("one:image")) == arm);
    workspace.ok(&["manifest", "create", &name("one:copy"), &name("index:1")]);
    assert!(raw(&name("one:copy")) == raw(&name("index:1")));

    // Of the target's repository, by digest and by descriptors, whose word on platforms wins.
    let made = name("index:made");
    workspace.ok(&["manifest", "create", &made, &digest]);
    let index: serde_json::Value = serde_json::from_slice(&raw(&made)).unwrap();
    assert_eq!(index["manifests"][0]["platform"]["architecture"], "arm64");
    let entry = serde_json::json!({
        "mediaType": index["manifests"][0]["mediaType"], "digest": digest, "size": arm.len(),
        "platform": {"os": "linux", "architecture": "riscv64"}, "annotations": {"a": "b"},
    });
    workspace.file("entry.json", entry.to_string());
    let file = workspace.context().join("entry.json").display().to_string();
    let annotations = ["--annotation=x=y", "--annotation=manifest-descriptor[linux/riscv64]:c=d"];
    workspace.ok(&[&["manifest", "create", &made, "-f", &file][..], &annotations].concat());
    let index: serde_json::Value = serde_json::from_slice(&raw(&made)).unwrap();
    let entry = &index["manifests"][0];
    assert_eq!(entry["platform"]["architecture"], "riscv64");
    assert_eq!(entry["annotations"], serde_json::json!({"a": "b", "c": "d"}));
    assert_eq!(index["annotations"], serde_json::json!({"x": "y"}));
    let json = format!("{{\"digest\":\"{digest}\",\"size\":1}}");
    for (code, words, part) in [
        (5, &[&made[..], &json][..], "another size"),
        (5, &[&made, &digest, annotations[1]], "no entry for linux/riscv64"),
        (2, &["dir:x", &digest], "cannot be found"),
        (2, &[&made, "{}"], "is no descriptor"),
        (2, &[&made], "required"),
        (2, &[&made, &digest, "--annotation=manifest:a=b"], "cannot be given"),
    ] {
        let said = workspace.fails(code, &[&["manifest", "create"], words].concat());
        assert!(said.err.contains(part), "{words:?}: {said:?}");
    }
}

#[test]
fn damage_is_found_wherever_it_is() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    let name = format!("docker://{}", registry.name("index:1"));
    let layout = workspace.path().join("layout");
    let place = format!("oci:{}:1", layout.display());
    workspace.ok(&["copy", &name, &place]);
    workspace.ok(&["copy", &name, "store:app:1"]);
    for whole in [&name, &place, "store:app:1"] {
        let said = workspace.ok(&["validate", whole]).out;
        assert!(said.contains("3 documents and 4 blobs are whole"), "{whole}: {said}");
    }
    let blobs: Vec<_> =
        std::fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()).collect();
    for blob in blobs {
        let before = std::fs::read(&blob).unwrap();
        let mut bytes = before.clone();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&blob, &bytes).unwrap();
        let said = workspace.fails(5, &["validate", &place]);
        assert!(said.err.contains(blob.file_name().unwrap().to_str().unwrap()), "{said:?}");
        std::fs::write(&blob, before).unwrap();
    }
    workspace.ok(&["validate", "--fast", &place]);
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
