//! `rbuild sync`, beside skopeo's.

use std::process::Command;

use crate::copy::{raw, skopeo, with_images};
use crate::support::has;
use crate::support::registry::{Access, Registry};
use crate::support::workspace::Workspace;

fn ready() -> bool {
    has("docker-registry") && has("skopeo")
}

#[test]
fn repositories_come_to_a_directory_and_back_as_with_skopeo() {
    if !ready() {
        return;
    }
    let (registry, workspace) = with_images();
    workspace.ok(&[
        "copy",
        &format!("docker://{}", registry.name("index:1")),
        &format!("docker://{}", registry.name("org/index:2")),
    ]);
    workspace.ok(&[
        "copy",
        &format!("docker://{}", registry.name("docker:1")),
        &format!("docker://{}", registry.name("org/index:1")),
    ]);
    let at = |name: &str| workspace.path().join(name).display().to_string();
    let repository = registry.name("org/index");
    for (ours, theirs, more) in [("ours", "theirs", &[][..]), ("our-scoped", "their-scoped", &["--scoped"])] {
        let dir = at(ours);
        let words = [&["sync", "-s", "docker", "-d", "dir"], more, &[&repository, &dir]].concat();
        let said = workspace.ok(&words);
        assert_eq!(said.out.lines().count(), 2, "{said:?}");
        std::fs::create_dir(at(theirs)).unwrap();
        let mut words = vec!["sync", "--all", "--src-tls-verify=false", "-s", "docker", "-d", "dir"];
        words.extend(more);
        let (target, from) = (at(theirs), repository.clone());
        words.extend([from.as_str(), target.as_str()]);
        skopeo(&words);
        let same = Command::new("diff").args(["-r", &at(ours), &at(theirs)]).output().unwrap();
        assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    }
    // Back to another registry; and again, when nothing has to be sent.
    let other = Registry::start(Access::Open);
    let target = other.name("mirror");
    for _ in 0..2 {
        let said = workspace.ok(&["sync", "--src", "dir", "--dest", "docker", &at("ours"), &target]);
        assert_eq!(said.out.lines().count(), 2, "{said:?}");
        for tag in ["1", "2"] {
            let (from, to) =
                (registry.name(&format!("org/index:{tag}")), other.name(&format!("mirror/index:{tag}")));
            assert!(raw(&format!("docker://{from}")) == raw(&format!("docker://{to}")), "{tag}");
        }
    }
    let digests = workspace.path().join("digests");
    let one = registry.name("org/index:1");
    workspace.ok(&[
        "sync",
        "-s",
        "docker",
        "-d",
        "docker",
        "--digestfile",
        digests.to_str().unwrap(),
        &one,
        &other.name("one"),
    ]);
    let line = std::fs::read_to_string(digests).unwrap();
    assert!(
        line.starts_with("sha256:") && line.ends_with(&format!(" docker://{}\n", other.name("one/index:1"))),
        "{line}"
    );
}

#[test]
fn a_list_is_followed_with_its_password_and_failures_are_named() {
    if !ready() {
        return;
    }
    let (open, workspace) = with_images();
    let htpasswd = "user:$2b$05$vcYM4D9N3ucDkf3g76PUiOLG/gseSv8P7Ig5KfQNavQxb5Cl.aKH.\n";
    let closed = Registry::start(Access::Basic { htpasswd });
    workspace.log_in(&closed.name("x"), Some("user:secret"));
    for tag in ["1.0.0", "1.2.0", "main"] {
        workspace.ok(&[
            "copy",
            &format!("docker://{}", open.name("docker:1")),
            &format!("docker://{}", closed.name(&format!("app:{tag}"))),
        ]);
    }
    workspace.log_in(&closed.name("x"), None);
    let host = |registry: &Registry| registry.name("").trim_end_matches('/').to_owned();
    let list = workspace.path().join("list.yml");
    let write = |password: &str, tag: &str| {
        let text = format!(
            "{}:\n  credentials:\n    username: user\n    password: {password}\n  images-by-semver:\n    app: \">= 1.1\"\n{}:\n  images:\n    index: [{tag}]\n  images-by-tag-regex:\n    docker: ^[0-9]$\n",
            host(&closed),
            host(&open)
        );
        std::fs::write(&list, text).unwrap();
    };
    let to = workspace.path().join("mirror");
    let (list_at, to_at) = (list.to_str().unwrap(), to.to_str().unwrap());
    let base = ["sync", "--src", "yaml", "--dest", "dir", list_at, to_at];
    let present = || {
        let entries = std::fs::read_dir(&to).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    write("secret", "\"1\"");
    let said = workspace.ok(&[&base[..], &["--dry-run"]].concat());
    assert_eq!((said.out.matches("would copy docker://").count(), present().len()), (3, 0), "{said:?}");
    workspace.ok(&base);
    assert_eq!(present(), ["app:1.2.0", "docker:1", "index:1"]);

    std::fs::remove_dir_all(&to).unwrap();
    write("wrong", "absent");
    let said = workspace.fails(3, &base);
    assert!(!said.err.contains("wrong") && said.err.contains("app"), "{said:?}");
    let said = workspace.fails(3, &[&base[..], &["--keep-going"]].concat());
    assert!(said.err.contains("2 of 3 were not copied") && said.err.contains("absent"), "{said:?}");
    assert_eq!(said.out.lines().count(), 1, "{said:?}");
    assert_eq!(present().iter().filter(|name| to.join(name).join("manifest.json").exists()).count(), 1);
}

#[test]
fn what_is_no_source_or_target_is_refused() {
    let workspace = Workspace::new();
    std::fs::create_dir(workspace.path().join("empty")).unwrap();
    std::fs::write(workspace.path().join("bad.yml"), "a.example:\n  pictures: {}\n").unwrap();
    for (code, words, reason) in [
        (2, &["-s", "docker", "-d", "docker", "a.example/a", "b"][..], "names no registry"),
        (2, &["-s", "oci", "-d", "dir", "a", "b"], "invalid value"),
        (2, &["-s", "yaml", "-d", "dir", "bad.yml", "x"], "pictures"),
        (5, &["-s", "yaml", "-d", "dir", "absent.yml", "x"], "absent.yml"),
        (5, &["-s", "dir", "-d", "docker", "empty", "a.example"], "there is no image"),
        (5, &["-s", "dir", "-d", "docker", "absent", "a.example"], "absent"),
    ] {
        let said = workspace.fails(code, &[&["sync"], words].concat());
        assert!(said.err.contains(reason), "{words:?}: {said:?}");
    }
}
