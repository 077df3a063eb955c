//! What outputs can be told.

use serde_json::Value;

use crate::support::has;
use crate::support::layout::layout;
use crate::support::registry::{Access, Registry};
use crate::support::schemas::Schemas;
use crate::support::workspace::Workspace;

const BOTH: [&str; 2] = ["--platform", "linux/amd64,linux/arm64"];

fn named<'a>(index: &'a Value, architecture: &str) -> &'a Value {
    let all = index["manifests"].as_array().unwrap();
    all.iter().find(|entry| entry["platform"]["architecture"] == architecture).unwrap()
}

#[test]
fn annotations_stand_where_they_were_asked_for_and_documents_follow_their_schemas() {
    let workspace = Workspace::with("FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH/\n");
    let out = workspace.path().join("layout");
    let output = format!(
        "type=oci,tar=false,dest={},annotation.all=1,annotation-manifest[linux/arm64].arm=2,\
         annotation-index-descriptor.top=3",
        out.display()
    );
    let more = ["--annotation", "index,manifest-descriptor[linux/amd64]:both=4", "-t", "app:1"];
    workspace.build(&[&BOTH[..], &["-o", &output], &more].concat());
    let layout = layout(&out);
    let entry = &layout.index()["manifests"][0];
    assert_eq!(entry["annotations"]["top"], "3");
    assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "1");
    let index = layout.json(entry);
    assert_eq!(index["annotations"]["both"], "4");
    assert_eq!(named(&index, "amd64")["annotations"]["both"], "4");
    assert_eq!(named(&index, "arm64")["annotations"], Value::Null);
    let manifest = |architecture| layout.json(named(&index, architecture));
    assert_eq!(manifest("amd64")["annotations"], serde_json::json!({"all": "1"}));
    assert_eq!(manifest("arm64")["annotations"], serde_json::json!({"all": "1", "arm": "2"}));

    let Some(schemas) = Schemas::find() else { return };
    schemas.validate("image-spec/image-index-schema.json", &out.join("index.json"));
    schemas.validate("image-spec/image-layout-schema.json", &out.join("oci-layout"));
    schemas.validate("image-spec/image-index-schema.json", &layout.path(entry));
    for architecture in ["amd64", "arm64"] {
        let entry = named(&index, architecture);
        schemas.validate("image-spec/image-manifest-schema.json", &layout.path(entry));
        let config = &layout.json(entry)["config"];
        schemas.validate("image-spec/config-schema.json", &layout.path(config));
    }
}

#[test]
fn what_no_document_can_hold_is_refused_before_anything_runs() {
    let workspace = Workspace::with("FROM scratch\nCOPY Dockerfile /\nCOPY missing /\n");
    let context = workspace.context();
    let context = context.to_str().unwrap();
    for (words, expected) in [
        (&["-o", "type=oci,dest=o,annotation-index.a=b"][..], "an image for one platform has none"),
        (&["--annotation", "manifest[linux/s390x]:a=b"][..], "linux/s390x is not built"),
        (&["--annotation", "a=b", "-o", "type=oci,dest=o,oci-mediatypes=false"][..], "oci-mediatypes=true"),
        (&["--platform", "linux/amd64,linux/arm64", "-o", "type=docker,dest=o"][..], "one platform"),
        (&["-o", "type=local,dest=o,mode=delete"][..], "--allow buildx.local.delete"),
        (&["-o", "type=oci,dest=o,colour=blue"][..], "\"colour\""),
        (&["-o", "type=tar,dest=-", "-o", "type=oci,dest=-"][..], "standard output"),
    ] {
        let said = workspace.fails(2, &[&["build", context], words].concat());
        assert!(said.err.contains(expected), "{words:?}: {said:?}");
    }
    assert!(!workspace.path().join("o").exists());
}

#[test]
fn a_name_by_digest_stands_for_the_same_image() {
    let workspace = Workspace::with("FROM scratch\nCOPY Dockerfile /\n");
    workspace.build(&["-t", "app:1", "-o", "type=image,name-canonical=true,dangling-name-prefix=left/over"]);
    let digest = workspace.ok(&["digest", "store:app:1"]).out;
    for name in [format!("app@{}", digest.trim()), format!("left/over@{}", digest.trim())] {
        assert_eq!(workspace.ok(&["digest", &format!("store:{name}")]).out, digest, "{name}");
    }
    let only = "type=image,dangling-name-prefix=other,danging-name-empty-only=true";
    workspace.build(&["-t", "app:2", "-o", only]);
    let images = workspace.ok(&["images"]).out;
    assert!(images.contains("left/over") && !images.contains("other"), "{images}");
    workspace.build(&["-o", only]);
    assert!(workspace.ok(&["images"]).out.contains("other"));
}

#[test]
fn deleting_leaves_what_was_built_and_nothing_else() {
    let workspace = Workspace::with("FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH/\n");
    let out = workspace.path().join("out");
    std::fs::create_dir_all(out.join("old/deep")).unwrap();
    std::fs::write(out.join("old/deep/file"), "").unwrap();
    let delete = format!("type=local,dest={},mode=delete", out.display());
    let allow = ["--allow", "buildx.local.delete"];
    let files = || {
        let found = std::process::Command::new("find").args([".", "-type", "f"]).current_dir(&out).output();
        let mut lines: Vec<String> =
            String::from_utf8(found.unwrap().stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    workspace.build(&[&BOTH[..], &["-o", &delete], &allow].concat());
    assert_eq!(files(), ["./linux_amd64/amd64/Dockerfile", "./linux_arm64/arm64/Dockerfile"]);
    let together = format!("{delete},platform-split=false");
    workspace.build(&[&BOTH[..], &["-o", &together], &allow].concat());
    assert_eq!(files(), ["./amd64/Dockerfile", "./arm64/Dockerfile"]);
    let one = format!("type=local,dest={},platform-split=true,mode=delete", out.display());
    workspace.build(&[&["--platform", "linux/arm64", "-o", &one][..], &allow].concat());
    assert_eq!(files(), ["./linux_arm64/arm64/Dockerfile"]);

    workspace.file("Dockerfile", "FROM scratch\nCOPY Dockerfile /same\n");
    let context = workspace.context();
    let words = [&["build", context.to_str().unwrap()][..], &BOTH, &["-o", &together], &allow].concat();
    let said = workspace.fails(2, &words);
    assert!(said.err.contains("/same") && said.err.contains("platform-split=true"), "{said:?}");
    assert_eq!(files(), ["./linux_arm64/arm64/Dockerfile"], "a refused output changes nothing");
}

#[test]
fn the_bytes_do_not_depend_on_how_many_processors_compress() {
    if !has("taskset") {
        return;
    }
    let mut text = Vec::new();
    for number in 0..400_000_u64 {
        text.extend_from_slice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_string().as_bytes());
    }
    for form in ["gzip", "zstd", "uncompressed"] {
        let mut seen = Vec::new();
        for processors in ["0", "0,1"] {
            // A store each, so that nothing was packed before.
            let workspace = Workspace::with("FROM scratch\nCOPY text /\n");
            workspace.file("text", &text);
            let out = workspace.path().join("out");
            let output = format!(
                "type=oci,tar=false,compression={form},rewrite-timestamp=true,source-date-epoch=1,dest={}",
                out.display()
            );
            let rbuild = workspace.rbuild();
            let done = std::process::Command::new("taskset")
                .args(["-c", processors])
                .arg(rbuild.get_program())
                .args(rbuild.get_args())
                .args(["build", "-q", "-o", &output])
                .arg(workspace.context())
                .env("HOME", workspace.path())
                .output()
                .unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            let layer = layout(&out).top()["layers"][0].clone();
            layout(&out).bytes(&layer);
            seen.push(layer["digest"].clone());
        }
        assert_eq!(seen[0], seen[1], "{form}");
    }
}

#[test]
fn a_registry_with_a_certificate_of_its_own_is_taken_where_the_output_says_so() {
    if !(has("openssl") && has("docker-registry")) {
        return;
    }
    let workspace = Workspace::with("FROM scratch\nCOPY Dockerfile /\n");
    let (key, certificate) = (workspace.path().join("key.pem"), workspace.path().join("cert.pem"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let registry = Registry::start(Access::Tls { certificate: &certificate, key: &key });
    let name = registry.name("app:1");
    let context = workspace.context();
    workspace.fails(3, &["build", "-t", &name, "--push", context.to_str().unwrap()]);
    workspace.build(&["-t", &name, "-o", "type=registry,registry.insecure=true"]);
}
