//! `--tls-verify`: whose word counts on how a registry is spoken to.

use std::process::Command;

use crate::support::registry::{Access, Registry, Wire};
use crate::support::workspace::{Said, Workspace};
use crate::support::{has, is_root};

const DOCKERFILE: &str = "FROM scratch\nCOPY Dockerfile /\n";

#[test]
fn an_unknown_certificate_is_taken_only_where_verifying_is_off() {
    if !has("docker-registry") || !has("openssl") {
        return;
    }
    let registry = Registry::speaking(Wire::OwnCertificate, Access::Open);
    let name = registry.name("app:1");
    let remote = format!("docker://{name}");
    let workspace = Workspace::with(DOCKERFILE);
    workspace.build(&["-t", &name]);
    for verify in [&["push"][..], &["--tls-verify", "push"], &["--tls-verify=true", "push"]] {
        let said = workspace.fails(3, &[verify, &[&name]].concat());
        assert!(said.err.contains("certificate") && said.err.contains(&name), "{verify:?}: {said:?}");
    }
    workspace.ok(&["push", "--tls-verify=false", &name]);
    workspace.fails(3, &["digest", &remote]);
    workspace.ok(&["digest", "--tls-verify=false", &remote]);
}

/// As `openssl req -x509` makes it where nothing else is asked for: it calls itself an authority's.
#[test]
fn a_registry_shows_the_very_certificate_that_is_trusted() {
    if !has("docker-registry") || !has("openssl") {
        return;
    }
    let workspace = Workspace::with(DOCKERFILE);
    workspace.build(&["-t", "app:1"]);
    let made = |name: &str| {
        let at = |ending: &str| workspace.path().join(format!("{name}.{ending}"));
        let words =
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=l -addext";
        let mut openssl = Command::new("openssl");
        openssl.args(words.split(' ')).arg("subjectAltName=IP:127.0.0.1");
        let done = openssl.arg("-keyout").arg(at("key")).arg("-out").arg(at("crt")).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        (at("crt"), at("key"))
    };
    let ((certificate, key), (other, _)) = (made("own"), made("other"));
    let registry = Registry::start(Access::Tls { certificate: &certificate, key: &key });
    let name = registry.name("app:1");
    let trusting = |file: &std::path::Path| {
        ["push", "app:1", &name, "--registry-ca", file.to_str().unwrap()].map(str::to_owned)
    };
    let words = trusting(&certificate);
    workspace.ok(&words.each_ref().map(String::as_str));
    let words = trusting(&other);
    let said = workspace.fails(3, &words.each_ref().map(String::as_str));
    assert!(said.err.contains("UnknownIssuer"), "{said:?}");
    workspace.fails(3, &["push", "app:1", &name]);
    let said = workspace.fails(5, &["push", "app:1", &name, "--registry-ca", "missing.pem"]);
    assert!(said.err.contains("missing.pem"), "{said:?}");
}

#[test]
fn asking_for_verifying_ends_plain_http_on_loopback() {
    if !has("docker-registry") {
        return;
    }
    let registry = Registry::start(Access::Open);
    let name = registry.name("app:1");
    let remote = format!("docker://{name}");
    let workspace = Workspace::with(DOCKERFILE);
    workspace.build(&["-t", &name]);
    workspace.ok(&["push", &name]);
    let said = workspace.fails(3, &["digest", "--tls-verify", &remote]);
    assert!(said.err.contains(registry.name("").trim_end_matches('/')), "{said:?}");
    let said = workspace.fails(2, &["digest", "--tls-verify=perhaps", &remote]);
    assert!(said.err.contains("--tls-verify"), "{said:?}");
}

/// In a network of the test's own, whose loopback device has an address that no loopback rule covers.
#[test]
fn plain_http_to_another_host_needs_the_flag() {
    if !is_root() || !has("docker-registry") || !has("nsenter") {
        return;
    }
    let registry = Registry::speaking(Wire::OtherHost, Access::Open);
    let name = registry.name("app:1");
    let remote = format!("docker://{name}");
    let workspace = Workspace::with(DOCKERFILE);
    workspace.build(&["-t", &name]);
    let run = |words: &[&str]| {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", registry.network().display())).arg("--");
        let inner = workspace.rbuild();
        command.arg(inner.get_program()).args(inner.get_args()).args(words).env_clear();
        for (name, value) in inner.get_envs() {
            command.env(name, value.unwrap());
        }
        Said::from(command.output().unwrap())
    };
    let said = run(&["push", &name]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("10.87.0.1"), "{said:?}");
    let said = run(&["push", "--tls-verify=false", &name]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let said = run(&["digest", &remote, "--tls-verify=false"]);
    assert_eq!(said.code, Some(0), "{said:?}");
}
