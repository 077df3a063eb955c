//! Layers that become one.

use std::process::Command;

use serde_json::Value;

use crate::road::BUSYBOX;
use crate::support::layout::{LayoutDir, layout};
use crate::support::registry::{Access, Registry};
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

const OWN: &str = "RUN head -c 300000 /dev/zero > /dead && echo one > /file\nENV A=b\n\
    COPY --link <<E /linked\nlinked\nE\nRUN rm /dead && echo two > /file && mkdir /dir && ln /file /dir/again\nCMD [\"cat\", \"/dir/again\"]\n";

fn build(workspace: &Workspace, words: &[&str]) -> (LayoutDir, Value, Value) {
    let out = workspace.path().join("out");
    drop(std::fs::remove_dir_all(&out));
    let output = format!("type=oci,tar=false,compression=uncompressed,dest={}", out.display());
    workspace.build(&[&["-t", "app:1", "-o", &output], words].concat());
    let layout = layout(&out);
    let manifest = layout.top();
    let config = layout.json(&manifest["config"]);
    (layout, manifest, config)
}

fn standing(config: &Value) -> usize {
    let history = config["history"].as_array().unwrap();
    history.iter().filter(|entry| entry["empty_layer"] != true).count()
}

#[test]
fn the_layers_of_the_build_become_one_and_those_of_the_base_stay() {
    if !(is_root() && has("busybox") && has("docker-registry") && has("umoci")) {
        return;
    }
    let registry = Registry::start(Access::Open);
    let base = registry.name("base:1");
    let workspace = Workspace::with(BUSYBOX);
    workspace.build(&["-t", &base, "--push"]);
    workspace.file("Dockerfile", format!("FROM {base}\n{OWN}"));
    let (_, plain, _) = build(&workspace, &[]);
    let plain = plain["layers"].as_array().unwrap().clone();
    assert_eq!(plain.len(), 5);
    for (words, expected) in [(&["--squash"][..], 3), (&["--squash=all"][..], 1), (&["--squash=none"][..], 5)]
    {
        let (layout, manifest, config) = build(&workspace, words);
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), expected, "{words:?}");
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), expected);
        assert_eq!(standing(&config), expected, "{config}");
        if expected == 3 {
            assert_eq!(layers[..2], plain[..2]);
            let own: u64 = layers[2]["size"].as_u64().unwrap();
            assert!(own < 100_000, "the removed file is still there: {own}");
        }
        let bundle = workspace.path().join("bundle");
        let image = format!("{}:1", layout.0.display());
        let unpacked =
            Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle).output().unwrap();
        assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
        let root = bundle.join("rootfs");
        assert_eq!(std::fs::read_to_string(root.join("file")).unwrap(), "two\n");
        assert_eq!(std::fs::read_to_string(root.join("linked")).unwrap(), "linked\n");
        assert!(!root.join("dead").exists() && root.join("bin/sh").symlink_metadata().is_ok());
        use std::os::unix::fs::MetadataExt;
        let inode = |path: &str| std::fs::metadata(root.join(path)).unwrap().ino();
        assert_eq!(inode("file"), inode("dir/again"), "{words:?}");
        std::fs::remove_dir_all(bundle).unwrap();
    }
}

#[test]
fn a_squashed_image_runs_and_is_found_again() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}{OWN}"));
    workspace.build(&["-t", "app:1", "--squash"]);
    assert_eq!(workspace.ok(&["run", "app:1"]).out, "two\n");
    let digest = |words: &[&str]| build(&workspace, words).0.index()["manifests"][0]["digest"].clone();
    assert_eq!(digest(&["--squash"]), digest(&["--squash"]), "a cached build gives the same image");
    let context = workspace.context();
    let said = workspace.fails(2, &["build", "--squash=some", context.to_str().unwrap()]);
    assert!(said.err.contains("some"), "{said:?}");
}

#[test]
fn only_layers_with_dead_bytes_and_those_that_hide_them_are_merged() {
    if !(is_root() && has("busybox") && has("umoci")) {
        return;
    }
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN mkdir /kept && echo kept > /kept/file\n\
         RUN head -c 300000 /dev/zero > /dead && echo one > /file\nRUN echo more > /more\n\
         RUN rm /dead && mkdir /dir && ln /file /dir/again\n\
         RUN echo last > /last\nRUN touch /last && mkdir /made\nCMD [\"cat\", \"/dir/again\"]\n"
    ));
    let plain = build(&workspace, &[]).1["layers"].as_array().unwrap().clone();
    let (layout, manifest, config) = build(&workspace, &["--squash=auto"]);
    let layers = manifest["layers"].as_array().unwrap();
    let count = plain.len();
    // The writing, a step between and the removal are one; then `/last` is replaced.
    assert_eq!(layers.len(), count - 3, "{layers:?}");
    assert_eq!(layers[..count - 5], plain[..count - 5], "what hides nothing stays as it is");
    assert_eq!(standing(&config), layers.len(), "{config}");
    assert!(layers[count - 5]["size"].as_u64().unwrap() < 100_000, "the removed file is still there");
    let bundle = workspace.path().join("bundle");
    let image = format!("{}:1", layout.0.display());
    let unpacked = Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle).output().unwrap();
    assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
    let root = bundle.join("rootfs");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    assert_eq!(
        ["kept/file", "file", "dir/again", "more", "last"].map(read),
        ["kept\n", "one\n", "one\n", "more\n", "last\n"]
    );
    assert!(!root.join("dead").exists());
    let digest = |words: &[&str]| build(&workspace, words).0.index()["manifests"][0]["digest"].clone();
    assert_eq!(digest(&["--squash=auto"]), layout.index()["manifests"][0]["digest"], "found again");
}
