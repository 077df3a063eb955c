//! An image of forty layers with every awkward kind of file: equal after build, push and pull.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use crate::road::BUSYBOX;
use crate::support::registry::{Access, Registry};
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

fn command(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Files that only a context can bring: capabilities, xattrs, hard links, odd names.
fn awkward_context(workspace: &Workspace) {
    let odd = workspace.context().join("odd");
    std::fs::create_dir(&odd).unwrap();
    let path = |name: &str| odd.join(name).to_str().unwrap().to_owned();
    workspace.file("odd/setuid", "#!");
    workspace.mode("odd/setuid", 0o4755);
    workspace.file("odd/sticky/x", "");
    workspace.mode("odd/sticky", 0o1777);
    workspace.file("odd/capable", "#!");
    command("setcap", &["cap_net_raw+ep", &path("capable")]);
    workspace.file("odd/attributed", "");
    command("setfattr", &["-n", "user.colour", "-v", "blue", &path("attributed")]);
    workspace.file("odd/linked-a", "the same");
    std::fs::hard_link(odd.join("linked-a"), odd.join("linked-b")).unwrap();
    std::os::unix::fs::symlink("loop-b", odd.join("loop-a")).unwrap();
    std::os::unix::fs::symlink("loop-a", odd.join("loop-b")).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", odd.join("dangling")).unwrap();
    workspace.file(&format!("odd/{}", "n".repeat(255)), "");
    std::fs::write(odd.join(OsStr::from_bytes(b"not-\xff-utf8")), "").unwrap();
    workspace.file("odd/new\nline", "");
    command("truncate", &["-s", "64M", &path("sparse")]);
}

fn dockerfile() -> String {
    let mut text = format!("{BUSYBOX}COPY odd /odd\n");
    text.push_str("RUN mkfifo /pipe && mkdir -p /dir/sub && echo old > /dir/sub/file && mkdir /target\n");
    text.push_str("RUN rm -r /dir && ln -s target /dir && echo through > /dir/file\n");
    text.push_str("RUN rm -r /odd/sticky && mkdir /odd/sticky && echo new > /odd/sticky/y\n");
    text.push_str("RUN rm /odd/linked-a && chmod 600 /odd/attributed\n");
    text.push_str("RUN ln /odd/setuid /odd/again && chown 12:34 /odd/setuid && chmod 4755 /odd/setuid\n");
    for number in 8..=40 {
        let _ = writeln!(text, "RUN echo {number} > /layer-{number}; rm -f /layer-{}", number - 3);
    }
    text
}

/// The merged tree as our canonical tar, by way of a build upon the image.
fn tree(workspace: &Workspace, name: &str) -> Vec<u8> {
    let dockerfile = workspace.path().join("from.Dockerfile");
    std::fs::write(&dockerfile, format!("FROM {name}\n")).unwrap();
    let out = workspace.path().join("tree.tar");
    workspace.ok(&[
        "build",
        "-f",
        dockerfile.to_str().unwrap(),
        "-o",
        &format!("type=tar,dest={}", out.display()),
        workspace.context().to_str().unwrap(),
    ]);
    std::fs::read(out).unwrap()
}

#[test]
fn forty_layers_survive_build_push_and_pull() {
    let tools = ["docker-registry", "busybox", "setcap", "setfattr", "umoci", "skopeo"];
    if !(is_root() && tools.iter().all(|tool| has(tool))) {
        return;
    }
    let registry = Registry::start(Access::Open);
    let name = registry.name("forty:1");
    let workspace = Workspace::with(&dockerfile());
    awkward_context(&workspace);
    workspace.build(&["-t", &name, "--push"]);
    let json = workspace.ok(&["layers", "--format=json", "--no-files", &name]).out;
    let layers: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(layers.as_array().unwrap().len(), 41);

    let built = tree(&workspace, &name);
    let other = Workspace::new();
    other.ok(&["pull", &name]);
    let pulled = tree(&other, &name);
    assert!(built == pulled, "the tree differs after push and pull");
    assert!(!other.ok(&["layers", "--format=json", "--no-files", &name]).out.is_empty());

    let layout = workspace.path().join("layout");
    command(
        "skopeo",
        &[
            "copy",
            "--src-tls-verify=false",
            &format!("docker://{name}"),
            &format!("oci:{}:1", layout.display()),
        ],
    );
    let bundle = workspace.path().join("bundle");
    command("umoci", &["unpack", "--image", &format!("{}:1", layout.display()), bundle.to_str().unwrap()]);
    umoci_agrees(&bundle.join("rootfs"));
}

/// What umoci made of our layers.
fn umoci_agrees(root: &Path) {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let stat = |name: &str| std::fs::symlink_metadata(root.join(name)).unwrap();
    assert!(stat("pipe").file_type().is_fifo());
    assert!(stat("dir").file_type().is_symlink());
    assert_eq!(std::fs::read_to_string(root.join("target/file")).unwrap(), "through\n");
    assert_eq!(stat("odd/setuid").mode() & 0o7777, 0o4755);
    assert_eq!((stat("odd/setuid").uid(), stat("odd/setuid").gid()), (12, 34));
    assert_eq!(stat("odd/setuid").ino(), stat("odd/again").ino());
    assert!(!root.join("odd/linked-a").exists());
    assert_eq!(std::fs::read_to_string(root.join("odd/linked-b")).unwrap(), "the same");
    assert_eq!(stat("odd/attributed").mode() & 0o777, 0o600);
    assert!(!root.join("odd/sticky/x").exists() && root.join("odd/sticky/y").exists());
    assert_eq!(stat("odd/sparse").len(), 64 << 20);
    assert!(std::fs::symlink_metadata(root.join("odd").join("n".repeat(255))).is_ok());
    assert!(std::fs::symlink_metadata(root.join("odd").join(OsStr::from_bytes(b"not-\xff-utf8"))).is_ok());
    assert!(root.join("layer-40").exists() && !root.join("layer-37").exists());
    let getcap = Command::new("getcap").arg(root.join("odd/capable")).output().unwrap();
    assert!(String::from_utf8_lossy(&getcap.stdout).contains("cap_net_raw"), "{getcap:?}");
}

#[test]
fn five_hundred_layers_are_run_and_built_upon() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with("FROM scratch\nCOPY busybox /bin/busybox\n");
    workspace.build(&["-t", "base:1"]);
    let tars = workspace.path().join("tars");
    std::fs::create_dir(&tars).unwrap();
    let make = "cd \"$1\" && for n in $(seq 2 500); do echo $n > shared; tar -cf $n.tar shared; done";
    command("sh", &["-c", make, "sh", tars.to_str().unwrap()]);
    let files: Vec<String> = (2..=500).map(|n| tars.join(format!("{n}.tar")).display().to_string()).collect();
    let mut words = vec!["append", "-b", "store:base:1", "-t", "store:many:1"];
    words.extend(files.iter().flat_map(|file| ["-f", file.as_str()]));
    workspace.ok(&words);
    assert_eq!(workspace.ok(&["run", "many:1", "/bin/busybox", "cat", "/shared"]).out, "500\n");
    assert_eq!(workspace.ok(&["cat", "store:many:1", "/shared"]).out, "500\n");
    workspace.file("Dockerfile", "FROM many:1\nRUN [\"/bin/busybox\", \"rm\", \"/shared\"]\n");
    let said =
        Workspace::run(&workspace, &["build", "-q", "-t", "more:1", workspace.context().to_str().unwrap()]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let left = workspace.ok(&["tree", "store:more:1"]).out;
    assert!(left.contains(" bin/busybox") && !left.contains("shared"), "{left}");
}
