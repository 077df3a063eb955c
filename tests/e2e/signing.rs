//! Signatures beside a second implementation: Python's cryptography checks ours, OpenSSL makes the keys.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::copy::skopeo;
use crate::support::registry::{Access, Registry};
use crate::support::workspace::{Said, Workspace};
use crate::support::{has, missing};

/// Checks a signature: key, payload, signature in base64.
const CHECK: &str = "
import base64, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
key = serialization.load_pem_public_key(open(sys.argv[1], 'rb').read())
text, signature = open(sys.argv[2], 'rb').read(), base64.b64decode(sys.argv[3])
kind = []
if isinstance(key, ec.EllipticCurvePublicKey): kind = [ec.ECDSA(hashes.SHA256())]
if isinstance(key, rsa.RSAPublicKey): kind = [padding.PKCS1v15(), hashes.SHA256()]
key.verify(signature, text, *kind)
";

fn ready() -> bool {
    if !Command::new("python3").args(["-c", "import cryptography"]).output().unwrap().status.success() {
        missing("python3-cryptography");
        return false;
    }
    has("docker-registry") && has("skopeo") && has("openssl")
}

fn openssl(words: &[&str]) {
    let done = Command::new("openssl").args(words).output().unwrap();
    assert!(done.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Makes a key pair; the private and the public file.
fn keys(workspace: &Workspace, name: &str, algorithm: &[&str]) -> (String, String) {
    let at = |ending: &str| workspace.path().join(format!("{name}.{ending}")).display().to_string();
    let (private, public) = (at("key"), at("pub"));
    match algorithm {
        ["sec1"] => openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-out", &private]),
        ["pkcs1"] => openssl(&["genrsa", "-traditional", "-out", &private, "3072"]),
        _ => openssl(&[&["genpkey", "-out", &private, "-algorithm"], algorithm].concat()),
    }
    openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
    (private, public)
}

const P256: &[&str] = &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

const RSA: &[&str] = &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

fn image(registry: &Registry, workspace: &Workspace, name: &str, more: &[&str]) -> String {
    workspace.file("Dockerfile", format!("FROM scratch\nCOPY a /a\nLABEL name={name}\n"));
    workspace.file("a", "a\n");
    let output = format!("type=image,name={},push=true,store=false", registry.name(name));
    workspace.build(&[&["-o", &output], more].concat());
    let place = format!("docker://{}", registry.name(name));
    workspace.ok(&["digest", &place]).out.trim().to_owned()
}

/// The signatures under the tag of a digest: payload and base64 text of each, as skopeo fetches them.
fn fetched(
    registry: &Registry,
    workspace: &Workspace,
    repository: &str,
    digest: &str,
) -> Vec<(PathBuf, String)> {
    let dir = workspace.path().join("fetched");
    drop(std::fs::remove_dir_all(&dir));
    let name = registry.name(&format!("{repository}:{}.sig", digest.replace(':', "-")));
    skopeo(&[
        "copy",
        "--quiet",
        "--src-tls-verify=false",
        &format!("docker://{name}"),
        &format!("dir:{}", dir.display()),
    ]);
    let manifest: Value = serde_json::from_slice(&std::fs::read(dir.join("manifest.json")).unwrap()).unwrap();
    let mut found = Vec::new();
    for layer in manifest["layers"].as_array().unwrap() {
        assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
        let hex = layer["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
        found.push((dir.join(hex), signature.to_owned()));
    }
    found
}

fn python_accepts(public: &str, (payload, signature): &(PathBuf, String)) -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", CHECK, public]).arg(payload).arg(signature).output().unwrap().status.success()
}

#[test]
fn signatures_are_cosigns_and_python_checks_them() {
    if !ready() {
        return;
    }
    let (registry, workspace) = (Registry::start(Access::Open), Workspace::new());
    let digest = image(&registry, &workspace, "app:1", &[]);
    let place = format!("docker://{}", registry.name("app:1"));
    let said = workspace.fails(5, &["verify-signature", &place, "--key", &keys(&workspace, "no", P256).1]);
    assert!(said.err.contains("has no signature"), "{said:?}");

    for (count, (name, algorithm)) in
        [("sec1", &["sec1"][..]), ("p256", P256), ("ed", &["ED25519"]), ("rsa", RSA), ("pkcs1", &["pkcs1"])]
            .into_iter()
            .enumerate()
    {
        let (private, public) = keys(&workspace, name, algorithm);
        let said = workspace.fails(5, &["verify-signature", &place, "--key", &public]);
        assert!(said.err.contains(&digest), "{said:?}");
        let sign = ["sign", &place, "--key", &private, "-a", "by=test"];
        assert_eq!(workspace.ok(&sign).out.trim(), digest);
        // A second time adds nothing.
        workspace.ok(&sign);
        let found = fetched(&registry, &workspace, "app", &digest);
        assert_eq!(found.len(), count + 1, "earlier signatures stay");
        assert!(python_accepts(&public, &found[count]), "{name}");
        assert!(count == 0 || !python_accepts(&public, &found[0]), "{name}");
        let payload: Value = serde_json::from_slice(&std::fs::read(&found[count].0).unwrap()).unwrap();
        let expected = json!({
            "critical": {
                "identity": { "docker-reference": registry.name("app") },
                "image": { "docker-manifest-digest": digest },
                "type": "cosign container image signature",
            },
            "optional": { "by": "test" },
        });
        assert_eq!(payload, expected);
        let shown = workspace.ok(&["verify-signature", &place, "--key", &public, "-a", "by=test"]).out;
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), expected);
        let said = workspace.fails(5, &["verify-signature", &place, "--key", &public, "-a", "by=other"]);
        assert!(said.err.contains("lacks the annotations"), "{said:?}");
    }
}

/// PKCS #8 under a passphrase, with each way of making a key of one that openssl has.
#[test]
fn keys_under_a_passphrase_of_pkcs8_sign() {
    if !ready() {
        return;
    }
    let (registry, workspace) = (Registry::start(Access::Open), Workspace::new());
    let digest = image(&registry, &workspace, "app:1", &[]);
    let place = format!("docker://{}", registry.name("app:1"));
    for (count, (name, algorithm, how)) in [
        ("ec", P256, &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256"][..]),
        ("ed", &["ED25519"], &["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"]),
        ("rsa", RSA, &["-scrypt"]),
    ]
    .into_iter()
    .enumerate()
    {
        let (private, public) = keys(&workspace, name, algorithm);
        let sealed = format!("{private}.sealed");
        let topk8 = ["pkcs8", "-topk8", "-in", &private, "-out", &sealed, "-passout", "pass:long words"];
        openssl(&[&topk8[..], how].concat());
        let sign = |passphrase: Option<&str>| {
            let mut command = workspace.rbuild();
            command.args(["sign", &place, "--key", &sealed]);
            command.envs(passphrase.map(|text| ("COSIGN_PASSWORD", text)));
            Said::from(command.output().unwrap())
        };
        assert!(sign(None).err.contains("the key has a passphrase"), "{name}");
        let wrong = sign(Some("other words"));
        assert!(wrong.code == Some(5) && wrong.err.contains("does not open the key"), "{name}: {wrong:?}");
        let said = sign(Some("long words"));
        assert_eq!(said.code, Some(0), "{name}: {said:?}");
        assert!(python_accepts(&public, &fetched(&registry, &workspace, "app", &digest)[count]), "{name}");
        workspace.ok(&["verify-signature", &place, "--key", &public]);
    }
}

#[test]
fn a_signature_counts_for_its_own_image_alone() {
    if !ready() {
        return;
    }
    let (registry, workspace) = (Registry::start(Access::Open), Workspace::new());
    let (private, public) = keys(&workspace, "key", P256);
    let (one, two) = (image(&registry, &workspace, "app:1", &[]), image(&registry, &workspace, "app:2", &[]));
    let name = |path: &str| format!("docker://{}", registry.name(path));
    workspace.ok(&["sign", &name("app:1"), "--key", &private]);
    workspace.ok(&["verify-signature", &name("app:1"), "--key", &public]);
    let tag = |digest: &str| name(&format!("app:{}.sig", digest.replace(':', "-")));
    workspace.ok(&["copy", &tag(&one), &tag(&two)]);
    let said = workspace.fails(5, &["verify-signature", &name("app:2"), "--key", &public]);
    assert!(said.err.contains(&format!("it is of {one}")), "{said:?}");
}

#[test]
fn a_build_signs_what_it_pushes_and_copies_take_signatures_along() {
    if !ready() {
        return;
    }
    let (registry, workspace) = (Registry::start(Access::Open), Workspace::new());
    let (private, public) = keys(&workspace, "key", &["ED25519"]);
    let platforms = ["--platform=linux/amd64,linux/arm64", "--sign", &private];
    let digest = image(&registry, &workspace, "app:1", &platforms);
    let name = |path: &str| format!("docker://{}", registry.name(path));
    assert!(python_accepts(&public, &fetched(&registry, &workspace, "app", &digest)[0]));
    let verify = |place: &str| workspace.run(&["verify-signature", place, "--key", &public]).status.code();
    assert_eq!(verify(&name("app:1")), Some(0));
    // The index was signed, and no manifest below it; --recursive signs those, too.
    let arm = workspace.ok(&["digest", "--platform=linux/arm64", &name("app:1")]).out;
    let arm = format!("{}@{}", name("app"), arm.trim());
    assert_eq!(verify(&arm), Some(5));
    assert_eq!(workspace.ok(&["sign", "-r", &name("app:1"), "--key", &private]).out.lines().count(), 3);
    assert_eq!(verify(&arm), Some(0));

    let layout = format!("oci:{}:x", workspace.path().join("layout").display());
    for (from, to) in [
        (name("app:1"), layout.clone()),
        (layout, "store:other:1".to_owned()),
        ("store:other:1".to_owned(), name("third:1")),
    ] {
        workspace.ok(&["copy", "--referrers", &from, &to]);
        assert_eq!(verify(&to), Some(0), "{to}");
        workspace.ok(&["rm", "-f", "other:2"]);
        workspace.ok(&["copy", &from, "store:other:2"]);
    }
    assert_eq!(verify(&format!("{}@{}", name("third"), arm.rsplit('@').next().unwrap())), Some(0));
    let archive = format!("oci-archive:{}", workspace.path().join("a.tar").display());
    let said = workspace.fails(2, &["copy", "--referrers", &name("app:1"), &archive]);
    assert!(said.err.contains("no room for signatures"), "{said:?}");
}

#[test]
fn signatures_may_refer_to_the_image_in_every_place_that_can_hold_them() {
    if !ready() {
        return;
    }
    let workspace = Workspace::new();
    let (private, public) = keys(&workspace, "key", P256);
    workspace.file("Dockerfile", "FROM scratch\nCOPY a /a\n");
    workspace.file("a", "a\n");
    // Never packed so far: it is packed for the signature, and keeps that manifest.
    workspace.build(&["-t", "app:1"]);
    workspace.ok(&["sign", "store:app:1", "--form=referrer", "--key", &private]);
    let digest = workspace.ok(&["digest", "store:app:1"]).out;
    workspace.ok(&["verify-signature", "app:1", "--key", &public]);
    let found = workspace.ok(&["discover", "store:app:1"]).out;
    assert!(found.contains("application/vnd.dev.cosign.artifact.sig.v1+json"), "{found}");
    let layout = format!("oci:{}:x", workspace.path().join("layout").display());
    workspace.ok(&["copy", "store:app:1", &layout]);
    workspace.fails(5, &["verify-signature", &layout, "--key", &public]);
    workspace.ok(&["copy", "--referrers", "store:app:1", &layout]);
    workspace.ok(&["verify-signature", &layout, "--key", &public]);
    assert_eq!(workspace.ok(&["digest", &layout]).out, digest);
}

#[test]
fn keys_and_places_that_cannot_sign_are_refused_by_name() {
    if !has("openssl") {
        return;
    }
    let workspace = Workspace::new();
    workspace.file("Dockerfile", "FROM scratch\nCOPY a /a\n");
    workspace.file("a", "a\n");
    workspace.build(&["-t", "app:1"]);
    let (good, public) = keys(&workspace, "good", P256);
    let (short, _) = keys(&workspace, "rsa", &["RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    let (p384, _) = keys(&workspace, "p384", &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"]);
    let sealed = workspace.path().join("sealed.key").display().to_string();
    openssl(&[
        "pkcs8",
        "-topk8",
        "-in",
        &good,
        "-out",
        &sealed,
        "-passout",
        "pass:x",
        "-v1",
        "PBE-SHA1-3DES",
    ]);
    let old = workspace.path().join("old.key").display().to_string();
    openssl(&["rsa", "-traditional", "-aes128", "-in", &short, "-out", &old, "-passout", "pass:x"]);
    for (code, place, key, said) in [
        (5, "store:app:1", short.as_str(), "an RSA key of 1024 bits"),
        (5, "store:app:1", &p384, "ECDSA on P-384"),
        (5, "store:app:1", &sealed, "none of PBES2"),
        (5, "store:app:1", &old, "an old form"),
        (5, "store:app:1", &public, "a private key"),
        (5, "store:app:1", "absent", "No such file"),
        (2, "store:app:1", "awskms:///x", "awskms://"),
        (2, "store:app:1", "env://ABSENT", "ABSENT"),
        (2, "app:1", &good, "say where"),
        (5, "dir:x", &good, "no signature can be added"),
        (5, "store:app:2", &good, "no image app:2"),
    ] {
        let found = workspace.fails(code, &["sign", place, "--key", key]);
        assert!(found.err.contains(said), "{place} {key}: {found:?}");
    }
    let context = workspace.context().display().to_string();
    let found = workspace.fails(2, &["build", "--sign", &good, "-t", "app:2", &context]);
    assert!(found.err.contains("no output pushes"), "{found:?}");
    workspace.fails(5, &["digest", "store:app:2"]);
}
