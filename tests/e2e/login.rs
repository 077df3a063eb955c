//! `rbuild login`, `logout` and `auth check` at a registry with passwords.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::has;
use crate::support::registry::{Access, Registry, Wire};
use crate::support::workspace::{Said, Workspace};

fn login(workspace: &Workspace, registry: &str, password: &str) -> Said {
    let mut child = workspace
        .rbuild()
        .args(["login", "-u", "user", "--password-stdin", registry])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    Said::from(child.wait_with_output().unwrap())
}

#[test]
fn a_password_is_tried_kept_used_and_forgotten() {
    if !has("docker-registry") {
        return;
    }
    let htpasswd = "user:$2b$05$vcYM4D9N3ucDkf3g76PUiOLG/gseSv8P7Ig5KfQNavQxb5Cl.aKH.\n";
    let registry = Registry::start(Access::Basic { htpasswd });
    let (host, name) = (registry.name(""), registry.name("app:1"));
    let host = host.trim_end_matches('/');
    let workspace = Workspace::new();
    let said = workspace.fails(3, &["auth", "check", &name]);
    assert!(said.out.contains("credential  none") && said.out.contains("basic"), "{said:?}");

    let said = login(&workspace, host, "wrong");
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(!said.err.contains("wrong") && !workspace.path().join("home/.docker/config.json").exists());

    let said = login(&workspace, host, "secret");
    assert_eq!(said.code, Some(0), "{said:?}");
    let file = workspace.path().join("home/.docker/config.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let said = workspace.ok(&["auth", "check", "--push", &name]);
    assert!(said.out.contains("config.json") && said.out.contains("granted     push"), "{said:?}");

    assert_eq!(workspace.ok(&["login", "--get-login", host]).out, "user\n");
    let said = workspace.ok(&["auth", "login", "--verbose", "-u=user", "-p=secret", host]);
    assert!(said.out.contains("log-in      basic"), "{said:?}");
    workspace.fails(5, &["login", "--get-login", "other.example"]);
    workspace.fails(2, &["login", "--get-login", "-u=user", host]);

    workspace.ok(&["logout", host]);
    workspace.fails(5, &["logout", host]);
    workspace.fails(5, &["login", "--get-login", host]);
    workspace.fails(3, &["auth", "check", &name]);
    login(&workspace, host, "secret");
    workspace.fails(2, &["logout", "--all", host]);
    assert!(workspace.ok(&["logout", "--all"]).out.contains("config.json"));
    assert_eq!(workspace.ok(&["auth", "logout", "-a"]).out, "");
    workspace.fails(3, &["auth", "check", &name]);
}

/// Other programs that read Docker's file find what we keep there, and we find what they keep.
#[test]
fn a_file_of_dockers_is_shared_with_other_programs() {
    if !has("docker-registry") || !has("skopeo") {
        return;
    }
    let htpasswd = "user:$2b$05$vcYM4D9N3ucDkf3g76PUiOLG/gseSv8P7Ig5KfQNavQxb5Cl.aKH.\n";
    let registry = Registry::start(Access::Basic { htpasswd });
    let (host, image) = (registry.name(""), format!("docker://{}", registry.name("app:1")));
    let host = host.trim_end_matches('/');
    let workspace = Workspace::with("FROM scratch\nCOPY Dockerfile /\n");
    workspace.build(&["-t", "app:1"]);
    let docker = workspace.path().join("other/.docker");
    std::fs::create_dir_all(&docker).unwrap();
    let file = docker.join("config.json").display().to_string();
    std::fs::write(&file, r#"{"proxies":{},"auths":{"quay.io":{"auth":"YTpi"}}}"#).unwrap();
    let skopeo = |words: &[&str]| {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(words).env_remove("REGISTRY_AUTH_FILE").env("HOME", workspace.path().join("other"));
        let output = skopeo.env("XDG_RUNTIME_DIR", workspace.path().join("none")).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    workspace.ok(&["login", "-u=user", "-p=secret", "--compat-auth-file", &file, host]);
    assert!(!workspace.path().join("home/.docker").exists());
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(kept["auths"]["quay.io"]["auth"], "YTpi");
    assert!(kept["auths"][host].is_object() && kept["proxies"].is_object(), "{kept}");
    assert_eq!(workspace.ok(&["login", "--get-login", "--compat-auth-file", &file, host]).out, "user\n");
    let digest = workspace.ok(&["push", "-q", "--authfile", &file, "app:1", &registry.name("app:1")]).out;
    assert_eq!(skopeo(&["inspect", "--tls-verify=false", "--format={{.Digest}}", &image]), digest);
    workspace.ok(&["logout", "--compat-auth-file", &file, host]);
    workspace.fails(5, &["login", "--get-login", "--compat-auth-file", &file, host]);

    let theirs = ["login", "--tls-verify=false", "-u=user", "-p=secret", "--authfile", &file, host];
    skopeo(&theirs);
    assert_eq!(workspace.ok(&["digest", "--authfile", &file, &image]).out, digest);
    workspace.ok(&["logout", "--compat-auth-file", &file, "--all"]);
    assert!(!std::fs::read_to_string(&file).unwrap().contains("YTpi"));

    let path = format!("{host}/team");
    for (words, reason) in [
        (&["login", "-u=user", "-p=secret", "--authfile", "a.json", host][..], "--authfile"),
        (&["logout", "--authfile", "a.json", host], "--authfile"),
        (&["login", "-u=user", "-p=secret", &path], "path below a registry"),
        (&["login", "--get-login", &path], "path below a registry"),
        (&["logout", &path], "path below a registry"),
    ] {
        let said = workspace.fails(2, &[words, &["--compat-auth-file", &file]].concat());
        assert!(said.err.contains(reason), "{words:?}: {said:?}");
    }
}

#[test]
fn each_side_of_a_copy_has_its_own_password_and_trust() {
    if !has("docker-registry") || !has("openssl") {
        return;
    }
    let htpasswd = "user:$2b$05$vcYM4D9N3ucDkf3g76PUiOLG/gseSv8P7Ig5KfQNavQxb5Cl.aKH.\n";
    let unknown = Registry::speaking(Wire::OwnCertificate, Access::Basic { htpasswd });
    let closed = Registry::start(Access::Basic { htpasswd });
    let (from, to) = (unknown.name("app:1"), closed.name("app:1"));
    let workspace = Workspace::with("FROM scratch\nCOPY Dockerfile /\n");
    workspace.build(&["-t", "app:1"]);
    let (docker_from, docker_to) = (format!("docker://{from}"), format!("docker://{to}"));
    let push = ["copy", "-q", "store:app:1", &docker_from];
    let copy = |more: &[&'static str]| {
        [&["copy", "-q", docker_from.as_str(), docker_to.as_str()][..], more].concat()
    };
    workspace.fails(3, &[&push[..], &["--dest-creds=user:secret"]].concat());
    workspace.fails(3, &[&push[..], &["--dest-tls-verify=false"]].concat());
    workspace.ok(&[&push[..], &["--dest-creds=user:secret", "--dest-tls-verify=false"]].concat());
    let source = ["--src-creds=user:secret", "--src-tls-verify=false"];
    let said = workspace.fails(3, &copy(&[&source[..], &["--dest-creds=user:wrong"]].concat()));
    assert!(!said.err.contains("wrong"), "{said:?}");
    // The word on one side is none on the other.
    workspace.fails(3, &copy(&[&source[..], &["--dest-creds=user:secret", "--dest-tls-verify"]].concat()));
    workspace.ok(&copy(&[&source[..], &["--dest-creds=user:secret"]].concat()));
    let digest = workspace.ok(&["digest", "--creds", "user:secret", &docker_to]).out;
    assert!(workspace.ok(&["inspect", "--creds", "user:secret", &docker_to]).out.contains(digest.trim()));
    assert_eq!(workspace.ok(&["push", "-q", "--creds", "user:secret", "app:1", &to]).out, digest);
    workspace.ok(&["pull", "-q", "--creds", "user:secret", &to]);
    workspace.fails(3, &["pull", "-q", &closed.name("app:2")]);
    for words in [
        &["--src-creds=user", &docker_from, "store:x:1"][..],
        &["--src-creds=user:secret", "store:app:1", &docker_to],
        &["--dest-tls-verify", &docker_from, "store:x:1"],
        &["--src-creds=a:b", "--dest-creds=c:d", &docker_to, &docker_to],
        &["--src-tls-verify", "--dest-tls-verify=false", &docker_to, &docker_to],
    ] {
        let said = workspace.fails(2, &[&["copy"], words].concat());
        let reasons = ["-creds", "is in no registry", "different credentials", "different trust"];
        assert!(reasons.iter().any(|reason| said.err.contains(reason)), "{words:?}: {said:?}");
    }
}

/// The step would take a minute; the registry's word comes first, and nothing is built.
#[test]
fn a_build_that_may_not_push_ends_while_its_steps_run() {
    if !has("docker-registry") || !has("busybox") {
        return;
    }
    let htpasswd = "user:$2b$05$vcYM4D9N3ucDkf3g76PUiOLG/gseSv8P7Ig5KfQNavQxb5Cl.aKH.\n";
    let registry = Registry::start(Access::Basic { htpasswd });
    let name = registry.name("app:1");
    let workspace =
        Workspace::with("FROM scratch\nCOPY busybox /busybox\nRUN [\"/busybox\", \"sleep\", \"600\"]\n");
    let busybox = Command::new("sh").args(["-c", "cat \"$(command -v busybox)\""]).output().unwrap().stdout;
    workspace.file("busybox", busybox);
    workspace.mode("busybox", 0o755);
    let context = workspace.context().display().to_string();
    let said = workspace.fails(3, &["build", "--push", "-t", &name, &context]);
    assert!(said.err.contains("access to"), "{said:?}");
}

/// Every way of skopeo's options to say who we are and whom we trust.
#[test]
fn options_of_one_command_say_who_we_are_and_whom_we_trust() {
    if !has("docker-registry") || !has("openssl") {
        return;
    }
    let htpasswd = "user:$2b$05$vcYM4D9N3ucDkf3g76PUiOLG/gseSv8P7Ig5KfQNavQxb5Cl.aKH.\n";
    let registry = Registry::speaking(Wire::OwnCertificate, Access::Basic { htpasswd });
    let (name, host) = (registry.name("app:1"), registry.name("").trim_end_matches('/').to_owned());
    let remote = format!("docker://{name}");
    let workspace = Workspace::with("FROM scratch\nCOPY Dockerfile /\n");
    workspace.build(&["-t", "app:1"]);
    let authority = registry.certificate();
    let at = |name: &str| workspace.path().join(name).display().to_string();
    workspace.file("../certs/ca.crt", std::fs::read(&authority).unwrap());
    let (certs, authority) = (at("certs"), authority.display().to_string());
    workspace.file("../auth.json", format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"dXNlcjpzZWNyZXQ=\"}}}}}}"));
    let (auth, kept) = (at("auth.json"), at("kept.json"));
    workspace.ok(&["copy", "store:app:1", &remote, "--dest-authfile", &auth, "--dest-cert-dir", &certs]);
    for words in [
        &["--registry-ca", &authority, "--authfile", &auth, "digest", &remote][..],
        &["digest", &remote, "--creds=user:secret", "--cert-dir", &certs],
        &["tags", &registry.name("app"), "--username=user", "--password=secret", "--cert-dir", &certs],
        &["catalog", &host, "--creds=user:secret", "--cert-dir", &certs],
        &["login", &host, "-u=user", "-p=secret", "--cert-dir", &certs, "--authfile", &kept],
        &["login", &host, "-u=user", "-p=secret", "--tls-verify=false", "--authfile", &kept],
        &[
            "copy",
            &remote,
            "store:b:1",
            "--src-username=user",
            "--src-password=secret",
            "--src-cert-dir",
            &certs,
        ],
    ] {
        workspace.ok(words);
    }
    for (words, code) in [
        (&["digest", &remote, "--creds=user:secret"][..], 3),
        (&["digest", &remote, "--cert-dir", &certs, "--authfile", &auth, "--no-creds"], 3),
        (&["digest", &remote, "--cert-dir", &certs, "--registry-token=secret"], 3),
        (&["digest", &remote, "--cert-dir", &auth], 5),
        (&["digest", &remote, "--cert-dir", &certs, "--username=user"], 2),
        (&["digest", "store:app:1", "--no-creds"], 2),
        (&["copy", &remote, "store:b:1", "--src-authfile", "/absent"], 2),
    ] {
        let said = workspace.fails(code, words);
        assert!(!said.err.contains("secret"), "{words:?}: {said:?}");
    }
    workspace.ok(&["delete", &remote, "--creds=user:secret", "--cert-dir", &certs]);
}

#[test]
fn a_login_without_a_terminal_needs_its_words() {
    let workspace = Workspace::new();
    for (words, reason) in [
        (&["login", "127.0.0.1:1"][..], "--username"),
        (&["login", "-u", "a", "127.0.0.1:1"], "--password-stdin"),
        (&["login", "-u", "a", "-p", "b", "nothing"], "names no registry"),
        (&["login", "-u", "a", "--password-stdin", "127.0.0.1:1"], "holds no password"),
    ] {
        let said = workspace.fails(2, words);
        assert!(said.err.contains(reason), "{words:?}: {said:?}");
    }
}
