//! Attestations: what they say, and where others find them.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::debian::debian;
use crate::support::layout::{LayoutDir, layout, sha256};
use crate::support::registry::{Access, Registry};
use crate::support::schemas::Schemas;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

const SCRATCH: &str = "FROM scratch\nARG TOKEN\nLABEL a=b\nCOPY Dockerfile /\n";

fn out(workspace: &Workspace) -> LayoutDir {
    layout(&workspace.path().join("out"))
}

fn build(workspace: &Workspace, more: &str, words: &[&str]) -> LayoutDir {
    let path = workspace.path().join("out");
    drop(std::fs::remove_dir_all(&path));
    let output = format!("type=oci,tar=false,dest={}{more}", path.display());
    workspace.build(&[&["-t", "app:1", "-o", &output], words].concat());
    out(workspace)
}

/// The statements of an attestation manifest, by predicate type.
fn statements(layout: &LayoutDir, manifest: &Value) -> Vec<(String, Value)> {
    let layers = manifest["layers"].as_array().unwrap();
    let one = |layer: &Value| {
        assert_eq!(layer["mediaType"], "application/vnd.in-toto+json");
        let statement = layout.json(layer);
        let kind = statement["predicateType"].as_str().unwrap().to_owned();
        assert_eq!(layer["annotations"]["in-toto.io/predicate-type"], kind.as_str());
        (kind, statement)
    };
    layers.iter().map(one).collect()
}

#[test]
fn an_image_stays_a_plain_manifest_and_its_attestations_refer_to_it() {
    let workspace = Workspace::with(SCRATCH);
    let plain = build(&workspace, "", &[]).index()["manifests"][0]["digest"].clone();
    let layout = build(&workspace, "", &["--provenance", "--sbom"]);
    let entries = layout.index()["manifests"].as_array().unwrap().clone();
    assert_eq!(entries[0]["digest"], plain, "the image is the same with and without");
    assert_eq!(entries[1]["artifactType"], "application/vnd.docker.attestation.manifest.v1+json");
    let manifest = layout.json(&entries[1]);
    assert_eq!(manifest["subject"]["digest"], plain);
    let found = statements(&layout, &manifest);
    let kinds: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["https://spdx.dev/Document", "https://slsa.dev/provenance/v1"]);
    let subject = &found[0].1["subject"][0];
    assert!(subject["name"].as_str().unwrap().starts_with("pkg:docker/app@1?platform=linux%2F"), "{subject}");
    assert_eq!(format!("sha256:{}", subject["digest"]["sha256"].as_str().unwrap()), plain.as_str().unwrap());
    if let Some(schemas) = Schemas::find() {
        schemas.validate("image-spec/image-manifest-schema.json", &layout.path(&entries[1]));
        schemas.validate("image-spec/image-index-schema.json", &layout.0.join("index.json"));
    }
}

#[test]
fn an_index_holds_attestations_as_buildkit_writes_them() {
    let workspace = Workspace::with(SCRATCH);
    let both = ["--platform", "linux/amd64,linux/arm64", "--provenance=mode=max"];
    for (more, words) in [("", &both[..]), (",attestation-inline=true,oci-artifact=true", &["--provenance"])]
    {
        let layout = build(&workspace, more, words);
        let index = layout.top();
        let entries = index["manifests"].as_array().unwrap();
        let (images, attestations) = entries.split_at(entries.len() / 2);
        for (image, attestation) in images.iter().zip(attestations) {
            assert_eq!(attestation["platform"]["os"], "unknown");
            assert_eq!(attestation["annotations"]["vnd.docker.reference.type"], "attestation-manifest");
            assert_eq!(attestation["annotations"]["vnd.docker.reference.digest"], image["digest"]);
            let manifest = layout.json(attestation);
            assert_eq!(manifest["subject"].is_null(), more.is_empty());
            assert_eq!(statements(&layout, &manifest).len(), 1);
            let config = layout.json(&manifest["config"]);
            if more.is_empty() {
                assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
            }
        }
    }
}

#[test]
fn provenance_says_what_was_used_and_keeps_secrets() {
    let workspace = Workspace::with(SCRATCH);
    let given = ["--build-arg", "TOKEN=https://me:hidden@host/", "--secret", "id=key,src=secret-file"];
    std::fs::write(workspace.path().join("secret-file"), "very secret").unwrap();
    let provenance = |fields: &str| {
        let words = [&["--provenance"][..], &[]].concat();
        let option = format!("{}={fields}", words[0]);
        let layout = build(&workspace, "", &[&[option.as_str()][..], &given].concat());
        let entry = layout.index()["manifests"][1].clone();
        let statement = statements(&layout, &layout.json(&entry)).remove(0).1;
        let text = statement.to_string();
        assert!(!text.contains("hidden") && !text.contains("very secret"), "{text}");
        (statement, entry)
    };
    let (min, _) = provenance("mode=min");
    assert!(!min.to_string().contains("TOKEN") && !min.to_string().contains("\"key\""), "{min}");
    assert!(min["predicate"]["runDetails"]["metadata"]["startedOn"].is_string());
    let (max, _) = provenance("mode=max,builder-id=https://ci.example/1");
    let request = &max["predicate"]["buildDefinition"]["externalParameters"]["request"];
    assert_eq!(request["args"]["build-arg:TOKEN"], "https://xxxxx@host/");
    assert_eq!(request["secrets"][0]["id"], "key");
    assert_eq!(max["predicate"]["runDetails"]["builder"]["id"], "https://ci.example/1");
    let steps = &max["predicate"]["buildDefinition"]["internalParameters"]["buildConfig"]["steps"];
    assert!(steps.to_string().contains("COPY Dockerfile /"), "{steps}");
    let (old, _) = provenance("mode=max,version=v0.2");
    assert_eq!(old["predicateType"], "https://slsa.dev/provenance/v0.2");
    assert_eq!(old["predicate"]["invocation"]["configSource"]["entryPoint"], "Dockerfile");
    let again = || {
        let layout =
            build(&workspace, "", &["--reproducible", "--provenance=mode=max,reproducible=true", "--sbom"]);
        layout.index()["manifests"][1]["digest"].clone()
    };
    assert_eq!(again(), again());
}

#[test]
fn trees_have_their_attestations_as_files() {
    let workspace = Workspace::with(SCRATCH);
    let dir = workspace.path().join("files");
    let words = ["--provenance", "--sbom", "--platform", "linux/amd64,linux/arm64", "-o"];
    workspace.build(&[&words[..], &[dir.to_str().unwrap()]].concat());
    let text = std::fs::read(dir.join("linux_arm64/provenance.json")).unwrap();
    let statement: Value = serde_json::from_slice(&text).unwrap();
    let dockerfile = std::fs::read(dir.join("linux_arm64/Dockerfile")).unwrap();
    let hex = statement["subject"][0]["digest"]["sha256"].as_str().unwrap();
    assert_eq!(format!("sha256:{hex}"), sha256(&dockerfile));
    assert!(dir.join("linux_amd64/sbom.spdx.json").exists());
    workspace.file("Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n");
    let merged = workspace.path().join("merged");
    let output = format!("type=local,platform-split=false,attestation-prefix=x-,dest={}", merged.display());
    let attest = ["--attest", "type=provenance,filename=p.json", "-o", &output];
    workspace.build(&[&words[2..4], &attest].concat());
    assert!(merged.join("x-p.linux_arm64.json").exists());
}

#[test]
fn attestations_are_pushed_and_found_by_others() {
    if !(has("docker-registry") && has("skopeo")) {
        return;
    }
    let registry = Registry::start(Access::Open);
    let name = registry.name("app:1");
    let workspace = Workspace::with(SCRATCH);
    workspace.build(&["-t", &name, "--push", "--provenance", "--sbom"]);
    let found = workspace.ok(&["discover", &format!("docker://{name}")]).out;
    assert!(found.contains("attestation.manifest"), "{found}");
    let found = workspace.ok(&["discover", &format!("store:{name}")]).out;
    assert!(found.contains("attestation.manifest"), "{found}");
    let inline = registry.name("inline:1");
    workspace.build(&["-t", &inline, "-o", "type=registry,attestation-inline=true", "--provenance"]);
    let copied = Command::new("skopeo")
        .args(["copy", "--all", "--src-tls-verify=false", &format!("docker://{inline}")])
        .arg(format!("oci:{}:1", workspace.path().join("copy").display()))
        .output()
        .unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let index = layout(&workspace.path().join("copy")).top();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    // The store's image is whole: it goes elsewhere with its attestations.
    let elsewhere = registry.name("elsewhere:1");
    workspace.ok(&["push", &inline, &elsewhere]);
    assert_eq!(
        workspace.ok(&["digest", &format!("docker://{elsewhere}")]).out,
        workspace.ok(&["digest", &format!("docker://{inline}")]).out
    );
}

#[test]
fn what_cannot_hold_attestations_is_refused() {
    let workspace = Workspace::with(SCRATCH);
    let context = workspace.context();
    let context = context.to_str().unwrap();
    for (words, expected) in [
        (["--sbom", "-o", "type=docker,dest=o"], "docker archive"),
        (["--sbom", "-o", "type=oci,dest=o,oci-mediatypes=false"], "oci-mediatypes=true"),
        (["--sbom=generator=A B", "-o", "type=oci,dest=o"], "generator=A B"),
        (["--provenance=mode=most", "-o", "type=oci,dest=o"], "mode=most"),
    ] {
        let said = workspace.fails(2, &[&["build", context][..], &words].concat());
        assert!(said.err.contains(expected), "{words:?}: {said:?}");
    }
}

#[test]
fn the_list_of_software_is_that_of_dpkg() {
    if !(is_root() && has("debootstrap")) {
        return;
    }
    let workspace = Workspace::with(
        "FROM scratch\nADD debian.tar /\nCOPY programs/ /opt/\nRUN dpkg-query -W -f '${Package} ${Version}\\n' > /packages\n",
    );
    std::fs::hard_link(debian(), workspace.context().join("debian.tar"))
        .or_else(|_| std::fs::copy(debian(), workspace.context().join("debian.tar")).map(drop))
        .unwrap();
    workspace.file("programs/node_modules/left-pad/package.json", r#"{"name":"left-pad","version":"1.3.0"}"#);
    workspace
        .file("programs/six-1.16.dist-info/METADATA", "Metadata-Version: 2.1\nName: six\nVersion: 1.16\n");
    workspace.file("programs/Cargo.lock", "[[package]]\nname = \"libc\"\nversion = \"0.2.1\"\n");
    let skopeo = std::path::Path::new("/usr/bin/skopeo");
    if skopeo.exists() {
        std::fs::copy(skopeo, workspace.context().join("programs/skopeo")).unwrap();
    }
    let dir = workspace.path().join("files");
    workspace.build(&["--sbom", "-o", dir.to_str().unwrap()]);
    let path = dir.join("sbom.spdx.json");
    let statement: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let document = workspace.path().join("document.json");
    std::fs::write(&document, statement["predicate"].to_string()).unwrap();
    if let Some(schemas) = Schemas::find() {
        schemas.validate("spdx-2.3-schema.json", &document);
    }
    let packages = statement["predicate"]["packages"].as_array().unwrap();
    let purls: Vec<&str> =
        packages.iter().filter_map(|one| one["externalRefs"][0]["referenceLocator"].as_str()).collect();
    let of_dpkg = packages.iter().filter(|one| {
        one["externalRefs"][0]["referenceLocator"]
            .as_str()
            .is_some_and(|purl| purl.starts_with("pkg:deb/debian/"))
    });
    let listed: BTreeSet<String> = of_dpkg
        .map(|one| format!("{} {}", one["name"].as_str().unwrap(), one["versionInfo"].as_str().unwrap()))
        .collect();
    let text = std::fs::read_to_string(dir.join("packages")).unwrap();
    let expected: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    assert!(expected.len() > 50, "{expected:?}");
    assert_eq!(listed, expected);
    for purl in ["pkg:npm/left-pad@1.3.0", "pkg:pypi/six@1.16", "pkg:cargo/libc@0.2.1"] {
        assert!(purls.contains(&purl), "{purl}");
    }
    if skopeo.exists() {
        // Debian builds it without modules; the compiler is always named.
        assert!(purls.iter().any(|purl| purl.starts_with("pkg:golang/stdlib@1.")), "{purls:?}");
    }
}

/// `BUILDKIT_SBOM_SCAN_CONTEXT` and `…_STAGE`: documents beside that of the image, one for each tree.
#[test]
fn stages_and_the_context_are_scanned_where_the_build_file_says_so() {
    const TEXT: &str = "ARG BUILDKIT_SBOM_SCAN_STAGE\n\
        FROM scratch AS quiet\nCOPY a/ /\n\
        FROM scratch AS tools\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nCOPY b/ /\n\
        FROM tools AS upon\nCOPY c/ /\n\
        FROM scratch AS unused\nARG BUILDKIT_SBOM_SCAN_STAGE=true\n\
        FROM scratch AS last\nARG BUILDKIT_SBOM_SCAN_CONTEXT=other,last\n\
        COPY --from=quiet / /\nCOPY --from=upon /c.lock /\n";
    let workspace = Workspace::with(TEXT);
    for name in ["a", "b", "c", "d"] {
        let lock = format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n");
        workspace.file(&format!("{name}/Cargo.lock"), lock);
    }
    workspace.file("c/c.lock", "");
    workspace.file(".dockerignore", "d\n");
    let scanned = |words: &[&str]| -> Vec<(String, Vec<String>)> {
        let dir = workspace.path().join("files");
        drop(std::fs::remove_dir_all(&dir));
        workspace.build(&[&["--sbom", "-o", dir.to_str().unwrap()], words].concat());
        let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let documents = files.iter().filter(|path| path.to_string_lossy().ends_with(".spdx.json"));
        let one = |path: &std::path::PathBuf| {
            let statement: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let packages = statement["predicate"]["packages"].as_array().unwrap();
            let names = packages.iter().skip(1).map(|one| one["name"].as_str().unwrap().to_owned());
            let file = path.file_name().unwrap().to_string_lossy();
            (file.trim_end_matches(".spdx.json").to_owned(), names.collect())
        };
        let mut all: Vec<_> = documents.map(one).collect();
        all.sort();
        all
    };
    let rows = |rows: &[(&str, &[&str])]| -> Vec<(String, Vec<String>)> {
        let one = |(file, names): &(&str, &[&str])| {
            ((*file).to_owned(), names.iter().map(|&name| name.to_owned()).collect())
        };
        rows.iter().map(one).collect()
    };
    // A stage built upon one that is scanned is, too; one that is not needed is not.
    let all: &[(&str, &[&str])] = &[
        ("sbom", &["a"]),
        ("sbom-context", &["a", "b", "c"]),
        ("sbom-tools", &["b"]),
        ("sbom-upon", &["c"]),
    ];
    assert_eq!(scanned(&[]), rows(all));
    // The caller's value counts for all stages that declare the argument, and by the global one for the others.
    let quiet: &[(&str, &[&str])] = &[("sbom", &["a"]), ("sbom-quiet", &["a"])];
    let arguments = ["BUILDKIT_SBOM_SCAN_STAGE=quiet,last", "BUILDKIT_SBOM_SCAN_CONTEXT=false"];
    assert_eq!(scanned(&["--build-arg", arguments[0], "--build-arg", arguments[1]]), rows(quiet));
    // Beside an image they are statements about it, and without --sbom nothing of it is built.
    let layout = build(&workspace, "", &["--sbom"]);
    let index = layout.index();
    let manifests = index["manifests"].as_array().unwrap();
    let attested = manifests.iter().find(|one| one["artifactType"].is_string());
    let found = attested.map(|one| statements(&layout, &layout.json(one)));
    let found = found.unwrap_or_default();
    assert_eq!(found.len(), 4, "{manifests:?}");
    assert!(found.iter().all(|(_, statement)| statement["subject"] == found[0].1["subject"]));
}
