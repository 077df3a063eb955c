//! The commands about images.

use crate::road::BUSYBOX;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

fn built() -> Workspace {
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN adduser -D -h /home/me me 2>/dev/null || true\nENV A=b\nWORKDIR /w\nENTRYPOINT [\"sh\", \"-c\"]\nCMD [\"echo $A; pwd\"]\n"
    ));
    workspace.build(&["-t", "app:1"]);
    workspace
}

#[test]
fn images_are_listed_tagged_and_removed() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    let listed = workspace.ok(&["images"]).out;
    assert!(listed.contains("app") && listed.contains('1'), "{listed}");
    workspace.ok(&["tag", "app:1", "other:2"]);
    workspace.ok(&["rm", "app:1"]);
    let listed = workspace.ok(&["images", "--format=json"]).out;
    let images: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(images.as_array().unwrap().len(), 1, "{listed}");
    workspace.fails(5, &["rm", "app:1"]);
    workspace.ok(&["rm", "--force", "app:1"]);
    assert_eq!(workspace.ok(&["run", "other:2"]).out, "b\n/w\n");
}

#[test]
fn inspect_shows_config_and_manifest() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    let config: serde_json::Value =
        serde_json::from_str(&workspace.ok(&["inspect", "--config", "app:1"]).out).unwrap();
    assert_eq!(config["config"]["WorkingDir"], "/w");
    assert!(serde_json::from_str::<serde_json::Value>(&workspace.ok(&["inspect", "app:1"]).out).is_ok());
}

#[test]
fn layers_are_shown_with_their_instruction_and_files() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    let text = workspace.ok(&["layers", "app:1"]).out;
    for expected in ["sha256:", "COPY busybox /bin/busybox", "bin/busybox"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&workspace.ok(&["layers", "--format=json", "app:1"]).out).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 4);
}

#[test]
fn run_passes_on_exit_codes_and_overrides() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    assert_eq!(workspace.ok(&["run", "-e", "A=c", "-w", "/bin", "app:1"]).out, "c\n/bin\n");
    assert_eq!(workspace.ok(&["run", "--entrypoint", "echo", "app:1", "x", "-y"]).out, "x -y\n");
    workspace.fails(9, &["run", "app:1", "exit 9"]);
    workspace.fails(127, &["run", "--entrypoint", "no-such-program", "app:1"]);
    workspace.fails(125, &["run", "no/such/image:1@nonsense"]);
    assert_eq!(workspace.ok(&["run", "-u", "1234:5678", "app:1", "id -u; id -g"]).out, "1234\n5678\n");
    let links =
        workspace.ok(&["run", "--network=none", "app:1", "ls /sys/class/net 2>/dev/null || echo lo"]).out;
    assert_eq!(links.trim(), "lo");
}
