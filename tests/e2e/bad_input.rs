//! What users get wrong: one clear message, the right exit code, nothing half-written.

use crate::road::BUSYBOX;
use crate::support::registry::{Access, Registry};
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

#[test]
fn mistakes_in_the_build_file_name_their_line() {
    for (dockerfile, expected) in [
        ("FROM scratch\nRUNN true\n", "Dockerfile:2"),
        ("FROM scratch\nCOPY --frm=x a /\n", "Dockerfile:2"),
        ("FROM scratch\nCOPY a\n", "Dockerfile:2"),
        ("FROM scratch AS one\nFROM scratch\nCOPY --from=two /a /\n", "two"),
        ("RUN true\n", "Dockerfile:1"),
        ("# syntax=example.org/other:1\nFROM scratch\n", "Dockerfile:1"),
        ("FROM scratch\nCOPY <<EOF /a\nnever ends\n", "Dockerfile:2"),
        ("", "Dockerfile"),
    ] {
        let workspace = Workspace::with(dockerfile);
        let context = workspace.context();
        let said = Said::new(&workspace, &["build", context.to_str().unwrap()]);
        assert!(said.err.contains(expected), "{dockerfile:?}: {said:?}");
        if dockerfile.contains("two") {
            continue; // an unknown stage is an image name; it fails at the registry
        }
        assert_eq!(said.code, Some(2), "{dockerfile:?}: {said:?}");
    }
}

use crate::support::workspace::Said;

impl Said {
    fn new(workspace: &Workspace, words: &[&str]) -> Self {
        workspace.run(words).into()
    }
}

#[test]
fn a_missing_build_file_is_named() {
    let workspace = Workspace::new();
    let context = workspace.context();
    let said = workspace.fails(2, &["build", "-f", "nowhere.Dockerfile", context.to_str().unwrap()]);
    assert!(said.err.contains("nowhere.Dockerfile"), "{said:?}");
}

#[test]
fn a_missing_context_is_named() {
    let workspace = Workspace::new();
    let said = workspace.fails(5, &["build", "/nowhere/at/all"]);
    assert!(said.err.contains("/nowhere/at/all"), "{said:?}");
}

#[test]
fn unknown_options_are_usage_errors() {
    let workspace = Workspace::with("FROM scratch\n");
    for words in
        [&["build", "--nonsense", "."][..], &["build", "-o", "type=nothing", "."], &["frobnicate", "x", "y"]]
    {
        workspace.fails(2, words);
    }
}

#[test]
fn names_of_another_kind_are_told_apart() {
    let workspace = Workspace::new();
    for (code, words, reason) in [
        (
            2,
            &["tags", "docker://registry.example/app:1"][..],
            "those of its repository, registry.example/app",
        ),
        (2, &["manifest", "annotate", "app:1", "sha256:abc", "--variant=v8"], "is no digest"),
        (3, &["--retry-times=0", "digest", "docker://nowhere.invalid/app:1"], "no address for this name"),
    ] {
        let said = workspace.fails(code, words);
        assert!(said.err.contains(reason), "{words:?}: {said:?}");
    }
}

#[test]
fn a_missing_source_is_named_with_the_reason() {
    let workspace = Workspace::with("FROM scratch\nCOPY main.c /\n");
    workspace.file("mian.c", "");
    let context = workspace.context();
    let said = workspace.fails(1, &["build", context.to_str().unwrap()]);
    assert!(said.err.contains("main.c") && said.err.contains("Dockerfile:2"), "{said:?}");
    assert!(!said.err.contains("sha256"), "{said:?}");

    workspace.file("main.c", "");
    workspace.file(".dockerignore", "*.c\n");
    let said = workspace.fails(1, &["build", context.to_str().unwrap()]);
    assert!(said.err.contains("ignore"), "{said:?}");
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    let workspace = Workspace::with("FROM 127.0.0.1:1/no/such\n");
    let context = workspace.context();
    let said = workspace.fails(3, &["build", context.to_str().unwrap()]);
    assert!(said.err.contains("127.0.0.1:1"), "{said:?}");
}

#[test]
fn a_missing_image_and_a_refused_login_are_told_apart() {
    if !has("docker-registry") {
        return;
    }
    // The password is "secret".
    let htpasswd = "user:$2b$05$vcYM4D9N3ucDkf3g76PUiOLG/gseSv8P7Ig5KfQNavQxb5Cl.aKH.\n";
    let open = Registry::start(Access::Open);
    let closed = Registry::start(Access::Basic { htpasswd });
    let workspace = Workspace::with("FROM scratch\nLABEL a=b\n");
    let missing = workspace.fails(3, &["pull", &open.name("no/such:1")]);
    assert!(missing.err.contains("no/such"), "{missing:?}");

    let name = closed.name("app:1");
    let context = workspace.context();
    let push = ["build", "-t", &name, "--push", context.to_str().unwrap()];
    for login in [None, Some("user:guess")] {
        workspace.log_in(&name, login);
        for words in [&["pull", &name][..], &push] {
            let refused = workspace.fails(3, words);
            let message = refused.err.to_lowercase();
            assert!(message.contains("auth") || message.contains("401"), "{refused:?}");
            assert!(message.contains(name.split('/').next().unwrap()), "{refused:?}");
            assert!(!message.contains("guess"), "{refused:?}");
        }
    }
    workspace.log_in(&name, Some("user:secret"));
    workspace.ok(&push);
    workspace.ok(&["pull", &name]);
}

#[test]
fn a_registry_that_returns_wrong_bytes_is_caught() {
    if !(is_root() && has("docker-registry") && has("busybox")) {
        return;
    }
    let registry = Registry::start(Access::Open);
    let name = registry.name("app:1");
    let workspace = Workspace::with(BUSYBOX);
    workspace.build(&["-t", &name, "--push"]);
    let layer = largest_file(&registry.data());
    let bytes = std::fs::read(&layer).unwrap();
    let middle = bytes.len() / 2;
    let mut flipped = bytes.clone();
    flipped[middle] ^= 1;
    let digest = layer.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let other = Workspace::with(&format!("FROM {name}\nRUN true\n"));
    let context = other.context();
    let build = ["build", context.to_str().unwrap()];
    for wrong in [&flipped[..], &bytes[..middle]] {
        std::fs::write(&layer, wrong).unwrap();
        let said = other.fails(3, &["pull", &name]);
        assert!(said.err.contains(digest), "{said:?}");
        let said = other.fails(3, &build);
        assert!(said.err.contains(digest) && said.err.contains("Dockerfile:1"), "{said:?}");
        assert_eq!(other.ok(&["images", "-q"]).out, "");
    }
    std::fs::write(&layer, bytes).unwrap();
    other.ok(&["pull", &name]);
    other.ok(&build);
}

fn largest_file(dir: &std::path::Path) -> std::path::PathBuf {
    let mut largest = (0, std::path::PathBuf::new());
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                largest = largest.max((std::fs::metadata(&path).unwrap().len(), path));
            }
        }
    }
    largest.1
}

#[test]
fn a_step_that_fails_shows_its_output_its_code_and_its_line() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}RUN echo what went wrong; exit 42\n"));
    let context = workspace.context();
    let out = workspace.path().join("out.tar");
    let said = workspace.fails(
        1,
        &[
            "build",
            "--progress=plain",
            "-o",
            &format!("type=oci,dest={}", out.display()),
            context.to_str().unwrap(),
        ],
    );
    for expected in ["what went wrong", "42", "Dockerfile:4"] {
        assert!(said.err.contains(expected), "{expected}: {said:?}");
    }
    assert!(!out.exists());
    assert!(
        !std::fs::read_dir(workspace.path())
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().contains("out.tar") })
    );
    workspace.file("Dockerfile", format!("{BUSYBOX}RUN echo right\n"));
    workspace.build(&[]);
}

/// Fills a disk of 40 MB that is gone with the test's mount namespace, and then builds something
/// small in the same store.
fn on_a_small_disk(step: &str) -> Said {
    let workspace = Workspace::with(&format!("{BUSYBOX}{step}\n"));
    workspace.file("big", vec![1; 60_000_000]);
    workspace.file("small.Dockerfile", format!("{BUSYBOX}RUN echo the next build works\n"));
    let script = "mkdir store && mount -t tmpfs -o size=40m none store || exit 99\n\
                  \"$@\" context; code=$?\n\
                  test -z \"$(ls store/tmp)\" || { echo 'left in tmp:'; find store/tmp; }\n\
                  \"$@\" -f context/small.Dockerfile context || exit 98\n\
                  exit $code";
    let rbuild = workspace.rbuild();
    let output = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(rbuild.get_program())
        .args(rbuild.get_args())
        .arg("--progress=plain")
        .current_dir(workspace.path())
        .output();
    let said = Said::from(output.unwrap());
    assert_eq!(said.code, Some(5), "{said:?}");
    assert!(said.err.to_lowercase().contains("no space") || said.err.contains("disk is full"), "{said:?}");
    assert!(said.err.contains("Dockerfile:4"), "{said:?}");
    assert!(said.err.contains(" the next build works\n"), "{said:?}");
    assert_eq!(said.out, "");
    said
}

#[test]
fn a_full_disk_is_one_message_and_the_next_build_works() {
    if !(is_root() && has("busybox")) {
        return;
    }
    on_a_small_disk("COPY big /big");
    let said = on_a_small_disk("RUN head -c 60000000 /dev/zero > /big");
    assert!(said.err.contains("exit code 1"), "{said:?}");
}
