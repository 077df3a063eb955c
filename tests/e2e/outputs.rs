//! Every output, read by other tools.

use std::process::Command;

use crate::road::BUSYBOX;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

fn dockerfile() -> String {
    format!(
        "{BUSYBOX}RUN mkdir -p /d && echo text > /d/file && ln -s file /d/link\nCMD [\"cat\", \"/d/file\"]\n"
    )
}

fn skopeo_layers(name: &str) -> usize {
    let output = Command::new("skopeo").args(["inspect", name]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    document["Layers"].as_array().unwrap().len()
}

#[test]
fn skopeo_reads_archives_of_both_families_and_every_compression() {
    if !(is_root() && has("skopeo") && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&dockerfile());
    for (kind, attributes, transport) in [
        ("oci", "", "oci-archive"),
        ("oci", ",compression=zstd", "oci-archive"),
        ("oci", ",compression=uncompressed", "oci-archive"),
        ("oci", ",tar=false", "oci"),
        ("docker", "", "docker-archive"),
    ] {
        let out = workspace.path().join("out");
        workspace.build(&["-t", "app:1", "-o", &format!("type={kind},dest={}{attributes}", out.display())]);
        assert_eq!(skopeo_layers(&format!("{transport}:{}", out.display())), 3, "{kind}{attributes}");
        if out.is_dir() {
            std::fs::remove_dir_all(&out).unwrap();
        } else {
            std::fs::remove_file(&out).unwrap();
        }
    }
}

#[test]
fn umoci_unpacks_what_we_built() {
    if !(is_root() && has("umoci") && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&dockerfile());
    let layout = workspace.path().join("layout");
    workspace.build(&["-t", "app:1", "-o", &format!("type=oci,tar=false,dest={}", layout.display())]);
    let bundle = workspace.path().join("bundle");
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let tag = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap();
    let output = Command::new("umoci")
        .args(["unpack", "--image", &format!("{}:{tag}", layout.display())])
        .arg(&bundle)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let root = bundle.join("rootfs");
    assert_eq!(std::fs::read_to_string(root.join("d/file")).unwrap(), "text\n");
    assert_eq!(std::fs::read_link(root.join("d/link")).unwrap().to_str(), Some("file"));
}

#[test]
fn files_leave_as_a_directory_and_as_a_tar() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&dockerfile());
    let dir = workspace.path().join("files");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("mine"), "kept").unwrap();
    workspace.build(&["-o", dir.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(dir.join("d/file")).unwrap(), "text\n");
    assert_eq!(std::fs::read_to_string(dir.join("mine")).unwrap(), "kept");

    let context = workspace.context();
    let output = workspace.run(&["build", "-q", "-o", "-", context.to_str().unwrap()]);
    let mut archive = tar::Archive::new(output.stdout.as_slice());
    let paths: Vec<String> =
        archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    assert!(paths.iter().any(|path| path == "d/file"), "{paths:?}");
    // The mount points that a step needed stay, as BuildKit leaves them; what was mounted does not.
    let mounted =
        |path: &&String| path.starts_with("etc/") || (path.starts_with("proc/") && *path != "proc/");
    assert_eq!(paths.iter().find(mounted), None, "{paths:?}");
}

#[test]
fn an_export_is_the_same_twice() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&dockerfile());
    let read = |name: &str| {
        let out = workspace.path().join(name);
        workspace.build(&["-t", "app:1", "-o", &format!("type=oci,dest={}", out.display())]);
        std::fs::read(out).unwrap()
    };
    assert!(read("one.tar") == read("two.tar"));
}

#[test]
fn several_outputs_come_from_one_build() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&dockerfile());
    let (oci, files) = (workspace.path().join("o.tar"), workspace.path().join("f.tar"));
    workspace.build(&[
        "-t",
        "app:1",
        "-o",
        &format!("type=oci,dest={}", oci.display()),
        "-o",
        &format!("type=tar,dest={}", files.display()),
        "-o",
        "type=image",
    ]);
    assert!(oci.exists() && files.exists());
    assert_eq!(workspace.ok(&["run", "app:1"]).out, "text\n");
}
