//! Encrypted layers beside skopeo, both ways.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::copy::skopeo;
use crate::support::has;
use crate::support::layout::layout;
use crate::support::registry::{Access, Registry};
use crate::support::workspace::Workspace;

const RSA: &[&str] = &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const EC: &[&str] = &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

fn ready() -> bool {
    has("skopeo") && has("openssl")
}

fn openssl(words: &[&str]) {
    let done = Command::new("openssl").args(words).output().unwrap();
    assert!(done.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A key pair; the private and the public file.
fn keys(workspace: &Workspace, name: &str, algorithm: &[&str]) -> (String, String) {
    let at = |ending: &str| workspace.path().join(format!("{name}.{ending}")).display().to_string();
    openssl(&[&["genpkey", "-out", &at("key"), "-algorithm"], algorithm].concat());
    openssl(&["pkey", "-in", &at("key"), "-pubout", "-out", &at("pub")]);
    (at("key"), at("pub"))
}

/// A key pair of RSA; the private and the public file.
pub fn rsa_keys(workspace: &Workspace) -> (String, String) {
    keys(workspace, "rsa", RSA)
}

/// A workspace with an image of two layers in the store and in a layout; the latter's place and digest.
fn with_image(platforms: &str) -> (Workspace, String, String) {
    let workspace = Workspace::new();
    workspace.file("Dockerfile", "FROM scratch\nCOPY a /a\nCOPY b /b\nCMD [\"/a\"]\n");
    workspace.file("a", (0..400_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    workspace.file("b", "b\n");
    workspace.build(&["-t", "app:1", "--platform", platforms]);
    let plain = format!("oci:{}:x", workspace.path().join("plain").display());
    workspace.ok(&["copy", "store:app:1", &plain]);
    let digest = workspace.ok(&["digest", &plain]).out.trim().to_owned();
    (workspace, plain, digest)
}

fn place(workspace: &Workspace, name: &str) -> String {
    format!("oci:{}:x", workspace.path().join(name).display())
}

fn layers(dir: &Path) -> Vec<Value> {
    let found = layout(dir);
    found.top()["layers"].as_array().unwrap().clone()
}

#[test]
fn skopeo_decrypts_what_we_encrypt_and_we_what_skopeo_encrypts() {
    if !ready() {
        return;
    }
    let (workspace, plain, digest) = with_image("linux/amd64");
    for (name, algorithm) in [("rsa", RSA), ("ec", EC)] {
        let (private, public) = keys(&workspace, name, algorithm);
        let recipient = format!("jwe:{public}");
        let ours = place(&workspace, &format!("{name}-ours"));
        workspace.ok(&["copy", "store:app:1", &ours, "--encryption-key", &recipient]);
        for layer in layers(&workspace.path().join(format!("{name}-ours"))) {
            let kind = layer["mediaType"].as_str().unwrap();
            assert_eq!(kind, "application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
        }
        let theirs = place(&workspace, &format!("{name}-theirs"));
        skopeo(&["copy", "--quiet", "--encryption-key", &recipient, &plain, &theirs]);
        for (number, from) in [ours, theirs].iter().enumerate() {
            let by_skopeo = place(&workspace, &format!("{name}-{number}-skopeo"));
            skopeo(&["copy", "--quiet", "--decryption-key", &private, from, &by_skopeo]);
            assert_eq!(workspace.ok(&["digest", &by_skopeo]).out.trim(), digest, "{from}");
            let by_us = place(&workspace, &format!("{name}-{number}-us"));
            // The blobs must come from the encrypted layers, and not from the store.
            let other = Workspace::new();
            other.ok(&["copy", from, &by_us, "--decryption-key", &private]);
            assert_eq!(workspace.ok(&["digest", &by_us]).out.trim(), digest, "{from}");
            other.ok(&["validate", &by_us]);
        }
    }
}

#[test]
fn an_encrypted_image_is_pushed_pulled_and_run_by_its_recipients_alone() {
    if !ready() || !has("docker-registry") {
        return;
    }
    let registry = Registry::start(Access::Open);
    let (workspace, _, _) = with_image("linux/amd64,linux/arm64");
    let ((one, one_public), (two, two_public)) = (keys(&workspace, "one", RSA), keys(&workspace, "two", EC));
    let (stranger, _) = keys(&workspace, "stranger", EC);
    let name = registry.name("app:1");
    let recipients =
        ["--encryption-key", &format!("jwe:{one_public}"), "--encryption-key", &format!("jwe:{two_public}")];
    workspace.ok(&[&["push", "app:1", &name][..], &recipients].concat());
    for platform in ["linux/amd64", "linux/arm64"] {
        for key in [&one, &two] {
            let other = Workspace::new();
            let words = ["pull", &name, "--platform", platform, "--decryption-key", &stranger];
            let said = other.fails(5, &words);
            assert!(said.err.contains("none of the keys given opens it"), "{said:?}");
            let id = other.ok(&["pull", &name, "--platform", platform, "--decryption-key", key]).out;
            assert!(id.starts_with("sha256:"), "{id}");
            assert_eq!(other.ok(&["cat", "--platform", platform, &name, "/b"]).out, "b\n");
        }
    }
    let said = Workspace::new().fails(3, &["pull", &name]);
    assert!(said.err.contains("is encrypted") && said.err.contains("--decryption-key"), "{said:?}");
}

#[test]
fn a_changed_layer_is_not_decrypted() {
    if !ready() {
        return;
    }
    let (workspace, plain, _) = with_image("linux/amd64");
    let (private, public) = keys(&workspace, "key", RSA);
    let encrypted = place(&workspace, "encrypted");
    let recipient = format!("jwe:{public}");
    // The last layer alone.
    workspace.ok(&["copy", &plain, &encrypted, "--encryption-key", &recipient, "--encrypt-layer=-1"]);
    let dir = workspace.path().join("encrypted");
    let kinds: Vec<bool> =
        layers(&dir).iter().map(|one| one["mediaType"].as_str().unwrap().ends_with("encrypted")).collect();
    assert_eq!(kinds, [false, true]);
    // One byte of plain text turned over; the blob gets the digest that fits, as an attacker would do it.
    let found = layout(&dir);
    let mut manifest = found.top();
    let mut bytes = found.bytes(&manifest["layers"][1]);
    bytes[20] ^= 1;
    let put = |bytes: &[u8]| {
        let digest = crate::support::layout::sha256(bytes);
        std::fs::write(dir.join("blobs/sha256").join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        format!("sha256:{}", digest.trim_start_matches("sha256:"))
    };
    manifest["layers"][1]["digest"] = put(&bytes).into();
    let changed = put(manifest.to_string().as_bytes());
    let from = format!("oci:{}@{changed}", dir.display());
    let other = Workspace::new();
    let out = place(&workspace, "out");
    let said = other.fails(5, &["copy", &from, &out, "--decryption-key", &private]);
    assert!(said.err.contains("was changed after it was encrypted"), "{said:?}");
    assert!(!workspace.path().join("out/index.json").exists());
}

#[test]
fn what_cannot_be_encrypted_or_read_is_refused_by_name() {
    if !ready() {
        return;
    }
    let (workspace, plain, _) = with_image("linux/amd64");
    let (private, public) = keys(&workspace, "key", RSA);
    let (ed, ed_public) = keys(&workspace, "ed", &["ED25519"]);
    let sealed = workspace.path().join("sealed").display().to_string();
    openssl(&["pkcs8", "-topk8", "-in", &private, "-out", &sealed, "-passout", "pass:x"]);
    let encrypted = place(&workspace, "encrypted");
    let good = format!("jwe:{public}");
    workspace.ok(&["copy", &plain, &encrypted, "--encryption-key", &good]);
    let out = place(&workspace, "out");
    for (code, from, option, value, said) in [
        (2, &plain, "--encryption-key", "pgp:x@example.org".to_owned(), "pgp is not supported"),
        (2, &plain, "--encryption-key", public.clone(), "jwe:FILE"),
        (
            5,
            &plain,
            "--encryption-key",
            format!("jwe:{private}"),
            "no public key in PEM form, but PRIVATE KEY",
        ),
        (5, &plain, "--encryption-key", format!("jwe:{ed_public}"), "neither a key for RSA nor for EC"),
        (5, &encrypted, "--encryption-key", good.clone(), "which cannot be encrypted"),
        (5, &encrypted, "--decryption-key", ed.clone(), "neither a key for RSA nor for EC"),
        (5, &encrypted, "--decryption-key", sealed.clone(), "it has a passphrase"),
        (5, &encrypted, "--decryption-key", public.clone(), "no private key"),
    ] {
        let found = workspace.fails(code, &["copy", from, &out, option, &value]);
        assert!(found.err.contains(said), "{option} {value}: {found:?}");
    }
    let far = ["copy", &plain, &out, "--encryption-key", &good, "--encrypt-layer=2"];
    let found = workspace.fails(5, &far);
    assert!(found.err.contains("it has 2 layers, and none is number 2"), "{found:?}");
    workspace.fails(2, &["copy", &plain, &out, "--encryption-key", &good, "--referrers"]);
    workspace.fails(2, &["copy", &plain, &out, "--encrypt-layer=0"]);
    workspace.fails(2, &["copy", &plain, &out, "--encryption-key", &good, "--decryption-key", &private]);
    assert!(!workspace.path().join("out/index.json").exists());
}
