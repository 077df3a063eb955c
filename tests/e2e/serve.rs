//! `rbuild registry serve`: other people's clients, and requests as they go over the wire.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::copy::{raw, skopeo};
use crate::support::registry::own_certificate;
use crate::support::served::{Answer, Served};
use crate::support::workspace::{Said, Workspace};
use crate::support::{has, is_root};

const MANIFEST: &str = "Content-Type: application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "Content-Type: application/vnd.oci.image.index.v1+json";

/// A store with `app:1` for two platforms and `app:2` for one, never packed.
fn with_app() -> Workspace {
    let workspace = Workspace::with(
        "FROM scratch\nCOPY busybox /bin/busybox\nCOPY a /a\nCMD [\"/bin/busybox\", \"cat\", \"/a\"]\n",
    );
    workspace.file("a", "served\n");
    workspace.build(&["-t", "app:1", "--platform", "linux/amd64,linux/arm64"]);
    workspace.build(&["-t", "app:2"]);
    workspace
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let hex: String = sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The names of layers and config of a manifest.
fn blobs_of(manifest: &[u8]) -> Vec<String> {
    let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.chain([&manifest["config"]]).map(|one| one["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn other_tools_take_images_straight_out_of_the_store() {
    if !has("skopeo") || !has("buildah") || !is_root() {
        return;
    }
    let workspace = with_app();
    let server = Served::start(&workspace, &["--read-only"]);
    let at = |name: &str| workspace.path().join(name).display().to_string();
    for (tag, arguments) in [("1", &["--all"][..]), ("2", &[])] {
        let from = format!("docker://{}", server.name(&format!("app:{tag}")));
        let to = format!("oci:{}:{tag}", at("layout"));
        let more: Vec<&str> = ["copy", "--quiet", "--src-tls-verify=false"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        skopeo(&[&more[..], &[&from, &to]].concat());
        assert!(raw(&from) == raw(&to), "{tag}");
        workspace.ok(&["validate", &to]);
        // A store of its own gets the same.
        let other = Workspace::new();
        other.ok(&["copy", &from, "store:mine:1"]);
        let got = other.ok(&["inspect", "--raw", "store:mine:1"]).out;
        assert!(got.as_bytes() == raw(&to), "{tag}");
    }
    let (root, run) = (at("buildah"), at("run"));
    let storage = ["--root", &root, "--runroot", &run, "--storage-driver", "vfs"];
    let image = format!("docker://{}", server.name("app:2"));
    let pulled = Command::new("buildah")
        .args(storage)
        .args(["pull", "--quiet", "--tls-verify=false", &image])
        .output()
        .unwrap();
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
    let refused = workspace.fails(3, &["push", "app:2", &server.name("app:3")]);
    assert!(refused.err.contains("for reading alone"), "{refused:?}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_is_pushed_is_an_image_of_the_store() {
    if !has("skopeo") || !has("buildah") || !is_root() {
        return;
    }
    let (source, workspace) = (with_app(), Workspace::new());
    let server = Served::start(&workspace, &[]);
    let at = |name: &str| source.path().join(name).display().to_string();
    // By ourselves, all platforms; then by skopeo in Docker's types, and by buildah.
    source.ok(&["copy", "store:app:1", &format!("docker://{}", server.name("ours:1"))]);
    source.ok(&["copy", "store:app:2", &format!("oci:{}:2", at("layout"))]);
    let skopeos = format!("docker://{}", server.name("team/skopeos:1"));
    skopeo(&[
        "copy",
        "--quiet",
        "--format=v2s2",
        "--dest-tls-verify=false",
        &format!("oci:{}:2", at("layout")),
        &skopeos,
    ]);
    let (root, run) = (at("buildah"), at("run"));
    let storage = ["--root", &root, "--runroot", &run, "--storage-driver", "vfs"];
    let buildah = |words: &[&str]| {
        let output = Command::new("buildah").args(storage).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    buildah(&["pull", "--quiet", "--tls-verify=false", &skopeos]);
    let buildahs = format!("docker://{}", server.name("registry.example/buildahs:1"));
    buildah(&["push", "--quiet", "--tls-verify=false", &server.name("team/skopeos:1"), &buildahs]);

    let listed = workspace.ok(&["images"]).out;
    for name in ["ours", "team/skopeos", "registry.example/buildahs"] {
        assert!(listed.contains(name), "{name}: {listed}");
        let name = format!("{name}:1");
        assert_eq!(workspace.ok(&["run", &name]).out, "served\n", "{name}");
        workspace.ok(&["validate", &format!("store:{name}")]);
    }
    assert!(listed.contains("linux/arm64") && !listed.contains("sha256:"), "parts have no names: {listed}");
    let index = workspace.ok(&["inspect", "--raw", "store:ours:1"]).out;
    assert!(index.as_bytes() == raw(&format!("docker://{}", server.name("ours:1"))));
    // It is a base like any.
    workspace.file("Dockerfile", "FROM ours:1\nRUN [\"/bin/busybox\", \"cat\", \"/a\"]\n");
    workspace.build(&["-t", "built"]);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn documents_blobs_and_lists_are_the_specs() {
    let workspace = with_app();
    let server = Served::start(&workspace, &[]);
    let get = |target: &str| server.ask("GET", target, &[], b"");
    assert_eq!(get("/v2/").header("docker-distribution-api-version"), "registry/2.0");

    let manifest = get("/v2/app/manifests/2");
    let digest = manifest.header("docker-content-digest").to_owned();
    assert_eq!((manifest.status, &digest), (200, &sha256(&manifest.body)));
    let head = server.ask("HEAD", &format!("/v2/app/manifests/{digest}"), &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, &*manifest.body.len().to_string()));
    assert!(head.body.is_empty());
    // A digest is of the repositories whose names lead to it.
    assert_eq!(get(&format!("/v2/other/manifests/{digest}")).code(), "MANIFEST_UNKNOWN");
    let index = get("/v2/app/manifests/1");
    let entries = index.json()["manifests"].clone();
    for entry in entries.as_array().unwrap() {
        let target = format!("/v2/app/manifests/{}", entry["digest"].as_str().unwrap());
        assert_eq!(get(&target).status, 200, "{target}");
    }
    // containerd's way to ask a mirror
    assert_eq!(get("/v2/library/app/manifests/2?ns=docker.io").header("docker-content-digest"), digest);

    for blob in blobs_of(&manifest.body) {
        let target = format!("/v2/app/blobs/{blob}");
        let whole = get(&target);
        assert_eq!(sha256(&whole.body), blob);
        let size = whole.body.len();
        for (range, status, from, to) in [
            ("bytes=0-0", 206, 0, 1),
            ("bytes=10-", 206, 10, size),
            ("bytes=-7", 206, size - 7, size),
            ("bytes=5-99999999", 206, 5, size),
            ("bytes=0-1,3-4", 200, 0, size),
            ("lines=1-2", 200, 0, size),
        ] {
            let part = server.ask("GET", &target, &[&format!("Range: {range}")], b"");
            assert_eq!((part.status, &part.body[..]), (status, &whole.body[from..to]), "{range}");
            if status == 206 {
                assert_eq!(part.header("content-range"), format!("bytes {from}-{}/{size}", to - 1));
            }
        }
        let behind = server.ask("GET", &target, &[&format!("Range: bytes={size}-")], b"");
        assert_eq!((behind.status, behind.header("content-range")), (416, &*format!("bytes */{size}")));
        let head = server.ask("HEAD", &target, &[], b"");
        assert_eq!(
            (head.status, head.header("content-length"), head.body.len()),
            (200, &*size.to_string(), 0)
        );
    }

    for name in ["b", "c", "registry.example/d"] {
        workspace.ok(&["tag", "app:2", &format!("{name}:x")]);
    }
    assert_eq!(get("/v2/app/tags/list").json(), json!({"name": "app", "tags": ["1", "2"]}));
    let pages = |first: &str, key: &str| {
        let (mut names, mut next) = (Vec::new(), Some(first.to_owned()));
        while let Some(target) = next {
            let page = get(&target);
            names.extend(
                page.json()[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()),
            );
            let link = page.header("link").to_owned();
            next = link.strip_prefix('<').and_then(|link| Some(link.split_once('>')?.0.to_owned()));
            assert!(names.len() < 10);
        }
        names
    };
    assert_eq!(pages("/v2/_catalog?n=1", "repositories"), ["app", "b", "c", "registry.example/d"]);
    assert_eq!(pages("/v2/app/tags/list?n=1", "tags"), ["1", "2"]);
    assert_eq!(get("/v2/app/tags/list?n=5&last=1").json()["tags"], json!(["2"]));
    assert_eq!(server.stop(), Some(0));
}

/// Puts a blob by one POST.
fn put_blob(server: &Served, bytes: &[u8]) -> String {
    let digest = sha256(bytes);
    let put = server.ask("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], bytes);
    assert_eq!((put.status, put.header("docker-content-digest")), (201, &*digest));
    digest
}

#[test]
fn uploads_come_in_pieces_and_go_on_where_they_broke() {
    let workspace = Workspace::new();
    let server = Served::start(&workspace, &[]);
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = sha256(&bytes);
    let begun = server.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    let place = begun.header("location").to_owned();
    assert_eq!((begun.status, begun.header("range")), (202, "0-0"));
    let first = server.ask("PATCH", &place, &["Content-Range: 0-999"], &bytes[..1000]);
    assert_eq!((first.status, first.header("range")), (202, "0-999"));
    let wrong = server.ask("PATCH", &place, &["Content-Range: 5000-5999"], &bytes[5000..6000]);
    assert_eq!(
        (wrong.status, wrong.code(), wrong.header("range")),
        (416, "BLOB_UPLOAD_INVALID".to_owned(), "0-999")
    );

    // A connection that breaks in the middle of a piece: what came stays.
    let mut broken = server.connect();
    let head = format!("PATCH {place} HTTP/1.1\r\nHost: {}\r\nContent-Length: 300000\r\n\r\n", server.host());
    broken.write_all(&[head.as_bytes(), &bytes[1000..201_000]].concat()).unwrap();
    drop(broken);
    let at = 201_000;
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.ask("GET", &place, &[], b"").header("range") != format!("0-{}", at - 1) {
        assert!(Instant::now() < deadline, "what came before the break stays");
    }
    assert_eq!(server.ask("GET", &place.replace("/v2/a/", "/v2/b/"), &[], b"").code(), "BLOB_UPLOAD_UNKNOWN");
    let end = server.ask("PUT", &format!("{place}?digest={digest}"), &[], &bytes[at..]);
    assert_eq!((end.status, end.header("docker-content-digest")), (201, &*digest));
    assert!(server.ask("GET", end.header("location"), &[], b"").body == bytes);
    assert_eq!(server.ask("GET", &place, &[], b"").code(), "BLOB_UPLOAD_UNKNOWN", "it is over");

    let mounted = server.ask("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), &[], b"");
    assert_eq!((mounted.status, mounted.header("location")), (201, &*format!("/v2/b/blobs/{digest}")));
    let absent = format!("/v2/b/blobs/uploads/?mount={}&from=a", sha256(b"absent"));
    assert_eq!(server.ask("POST", &absent, &[], b"").status, 202, "nothing to mount: an upload");
    let given_up = server.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(server.ask("DELETE", given_up.header("location"), &[], b"").status, 204);
    assert_eq!(server.stop(), Some(0));
    let left: Vec<_> = std::fs::read_dir(workspace.store().join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "unfinished uploads leave nothing behind: {left:?}");
}

#[test]
fn manifests_tags_and_referrers_come_and_go() {
    let workspace = Workspace::new();
    let server = Served::start(&workspace, &[]);
    let config = put_blob(&server, b"{}");
    let empty = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2});
    let artifact = |kind: &str, more: serde_json::Value| {
        let mut manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": kind, "config": empty, "layers": [empty]});
        manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        manifest.to_string().into_bytes()
    };
    let put = |target: &str, kind: &str, bytes: &[u8]| server.ask("PUT", target, &[kind], bytes);
    let subject = artifact("example/subject", json!({}));
    let digest = sha256(&subject);
    let tagged = put("/v2/a/manifests/one", MANIFEST, &subject);
    assert_eq!((tagged.status, tagged.header("docker-content-digest")), (201, &*digest));
    assert_eq!(put("/v2/a/manifests/two", MANIFEST, &subject).status, 201);

    let descriptor = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": subject.len()});
    for kind in ["example/sbom", "example/signature"] {
        let referrer = artifact(kind, json!({"subject": descriptor, "annotations": {"of": kind}}));
        let done = put(&format!("/v2/a/manifests/{}", sha256(&referrer)), MANIFEST, &referrer);
        assert_eq!((done.status, done.header("oci-subject")), (201, &*digest));
    }
    let all = server.ask("GET", &format!("/v2/a/referrers/{digest}"), &[], b"");
    assert_eq!((all.status, all.json()["manifests"].as_array().unwrap().len()), (200, 2));
    let some = server.ask("GET", &format!("/v2/a/referrers/{digest}?artifactType=example/sbom"), &[], b"");
    assert_eq!(some.header("oci-filters-applied"), "artifactType");
    let entries = some.json()["manifests"].clone();
    assert_eq!(
        (entries[0]["artifactType"].as_str(), entries[0]["annotations"]["of"].as_str(), entries[1].is_null()),
        (Some("example/sbom"), Some("example/sbom"), true)
    );
    let none = server.ask("GET", &format!("/v2/b/referrers/{digest}"), &[], b"");
    assert_eq!((none.status, none.json()["manifests"].clone()), (200, json!([])));

    // An index of two, whose parts cannot be taken from under it.
    let part = artifact("example/part", json!({"subject": descriptor}));
    assert_eq!(put(&format!("/v2/c/manifests/{}", sha256(&part)), MANIFEST, &part).status, 201);
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": sha256(&part), "size": part.len()}]});
    let index = index.to_string().into_bytes();
    assert_eq!(put("/v2/c/manifests/all", INDEX, &index).status, 201);
    let referring = server.ask("GET", &format!("/v2/c/referrers/{digest}"), &[], b"");
    assert_eq!(referring.json()["manifests"][0]["digest"], json!(sha256(&part)), "inside an index, too");
    let part = format!("/v2/c/manifests/{}", sha256(&part));
    assert_eq!(server.ask("GET", &part, &[], b"").status, 200);
    assert_eq!(server.ask("DELETE", &part, &[], b"").code(), "DENIED");
    let index = format!("/v2/c/manifests/{}", sha256(&index));
    assert_eq!(server.ask("DELETE", &index, &[], b"").status, 202);
    assert_eq!(server.ask("GET", &part, &[], b"").code(), "MANIFEST_UNKNOWN");

    let delete = |target: &str| server.ask("DELETE", target, &[], b"");
    assert_eq!(delete("/v2/a/manifests/one").status, 202);
    assert_eq!(delete("/v2/a/manifests/one").code(), "MANIFEST_UNKNOWN");
    assert_eq!(server.ask("GET", "/v2/a/tags/list", &[], b"").json()["tags"], json!(["two"]));
    let pinned = format!("/v2/a/manifests/{digest}");
    assert_eq!(server.ask("GET", &pinned, &[], b"").status, 200, "another tag has it");
    assert_eq!(delete(&pinned).status, 202);
    assert_eq!(server.ask("GET", &pinned, &[], b"").status, 404);
    assert_eq!(server.ask("GET", "/v2/a/manifests/two", &[], b"").status, 404);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_cannot_be_unpacked_is_kept_as_it_came() {
    let workspace = Workspace::new();
    let server = Served::start(&workspace, &[]);
    let layer = put_blob(&server, b"no archive");
    let config = json!({"architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [sha256(b"something else")]}});
    let config = config.to_string();
    put_blob(&server, config.as_bytes());
    let image = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": sha256(config.as_bytes()), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 10}]});
    let image = image.to_string().into_bytes();
    let put = server.ask("PUT", "/v2/a/manifests/1", &[MANIFEST], &image);
    assert_eq!((put.status, put.header("docker-content-digest")), (201, &*sha256(&image)));
    let remark = put.header("warning");
    assert!(remark.starts_with("299 - \"") && remark.contains("kept") && remark.contains(&layer), "{remark}");
    let got = server.ask("GET", "/v2/a/manifests/1", &[], b"");
    assert!(got.status == 200 && got.body == image);
    assert_eq!(server.ask("GET", "/v2/a/tags/list", &[], b"").json()["tags"], json!(["1"]));
    // It can be copied, and says so where it is asked to run.
    workspace.ok(&["copy", "store:a:1", &format!("oci:{}:1", workspace.path().join("layout").display())]);
    let refused = workspace.rbuild().args(["run", "a:1"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(125), "{refused:?}");
    assert_eq!(server.ask("DELETE", "/v2/a/manifests/1", &[], b"").status, 202);
    assert_eq!(server.stop(), Some(0));
}

/// Method, target, headers, body; status and code.
type Case<'a> = (&'a str, String, &'a [&'a str], Vec<u8>, u16, &'a str);

#[test]
fn hostile_requests_are_refused_with_the_specs_codes() {
    let workspace = Workspace::new();
    let server = Served::start(&workspace, &[]);
    let (config, layer) = (put_blob(&server, b"{}"), put_blob(&server, b"no archive"));
    let (absent, hex) = (sha256(b"absent"), "0".repeat(64));
    let blob =
        |kind: &str, digest: &str, size: u64| json!({"mediaType": kind, "digest": digest, "size": size});
    let image = |config: serde_json::Value, layer: serde_json::Value| {
        json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string().into_bytes()
    };
    const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    let own = format!("/v2/a/manifests/{}", sha256(b"something else"));
    let nested = "[".repeat(100_000);
    let large = vec![b' '; (4 << 20) + 1];
    let cases: Vec<Case> = vec![
        ("GET", "/".into(), &[], vec![], 404, "NAME_UNKNOWN"),
        ("GET", "/v2/A/tags/list".into(), &[], vec![], 400, "NAME_INVALID"),
        ("GET", "/v2/../../etc/passwd/manifests/x".into(), &[], vec![], 400, "NAME_INVALID"),
        ("GET", "/v2/a%2f..%2fb/manifests/x".into(), &[], vec![], 400, "NAME_INVALID"),
        ("GET", format!("/v2/{}/manifests/x", "a/".repeat(200) + "a"), &[], vec![], 400, "NAME_INVALID"),
        ("GET", "/v2/a/tags/list".into(), &[], vec![], 404, "NAME_UNKNOWN"),
        ("GET", "/v2/a/manifests/x".into(), &[], vec![], 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/a/manifests/sha256:..%2f..%2fx".into(), &[], vec![], 400, "DIGEST_INVALID"),
        ("GET", "/v2/a/blobs/sha256:../../../etc/passwd".into(), &[], vec![], 400, "DIGEST_INVALID"),
        ("GET", format!("/v2/a/blobs/md5:{hex}"), &[], vec![], 400, "DIGEST_INVALID"),
        ("GET", format!("/v2/a/blobs/{absent}"), &[], vec![], 404, "BLOB_UNKNOWN"),
        ("DELETE", format!("/v2/a/blobs/{layer}"), &[], vec![], 405, "UNSUPPORTED"),
        ("POST", "/v2/a/manifests/x".into(), &[], vec![], 405, "UNSUPPORTED"),
        ("PUT", "/v2/a/tags/list".into(), &[], vec![], 405, "UNSUPPORTED"),
        ("GET", "/v2/a/blobs/uploads/".into(), &[], vec![], 405, "UNSUPPORTED"),
        ("PATCH", "/v2/a/blobs/uploads/x".into(), &[], b"x".to_vec(), 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PUT", "/v2/a/blobs/uploads/x".into(), &[], vec![], 400, "DIGEST_INVALID"),
        ("POST", format!("/v2/a/blobs/uploads/?digest={absent}"), &[], b"x".to_vec(), 400, "DIGEST_INVALID"),
        ("POST", "/v2/a/blobs/uploads/?mount=x&from=b".into(), &[], vec![], 400, "DIGEST_INVALID"),
        ("PUT", "/v2/a/manifests/x".into(), &[MANIFEST], vec![], 400, "MANIFEST_INVALID"),
        (
            "PUT",
            "/v2/a/manifests/x".into(),
            &[MANIFEST],
            nested.clone().into_bytes(),
            400,
            "MANIFEST_INVALID",
        ),
        ("PUT", "/v2/a/manifests/x".into(), &[MANIFEST], large, 413, "MANIFEST_INVALID"),
        (
            "PUT",
            "/v2/a/manifests/x".into(),
            &[INDEX],
            image(blob(CONFIG, &config, 2), blob(LAYER, &layer, 10)),
            400,
            "MANIFEST_INVALID",
        ),
        (
            "PUT",
            own,
            &[MANIFEST],
            image(blob(CONFIG, &config, 2), blob(LAYER, &layer, 10)),
            400,
            "DIGEST_INVALID",
        ),
        (
            "PUT",
            "/v2/a/manifests/.x".into(),
            &[MANIFEST],
            image(blob(CONFIG, &config, 2), blob(LAYER, &layer, 10)),
            400,
            "MANIFEST_INVALID",
        ),
        (
            "PUT",
            "/v2/a/manifests/x".into(),
            &[MANIFEST],
            image(blob(CONFIG, &config, 2), blob(LAYER, &absent, 10)),
            404,
            "MANIFEST_BLOB_UNKNOWN",
        ),
        (
            "PUT",
            "/v2/a/manifests/x".into(),
            &[MANIFEST],
            image(blob(CONFIG, &config, 2), blob(LAYER, &layer, 11)),
            404,
            "MANIFEST_BLOB_UNKNOWN",
        ),
        ("GET", "/v2/".into(), &["Host: rebound.example:5000"], vec![], 403, "DENIED"),
        ("POST", "/v2/a/blobs/uploads/".into(), &["Origin: https://page.example"], vec![], 403, "DENIED"),
    ];
    for (method, target, headers, body, status, code) in &cases {
        let answer = server.ask(method, target, headers, body);
        assert_eq!(
            (answer.status, &*answer.code()),
            (*status, *code),
            "{method} {target}: {}",
            String::from_utf8_lossy(&answer.body)
        );
    }
    // The blob that was called a layer is still what it was.
    assert_eq!(server.ask("GET", &format!("/v2/a/blobs/{layer}"), &[], b"").body, b"no archive");
    // What is no HTTP at all costs its own connection.
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"GET\r\n\r\n",
        &[b'a'; 100_000],
        b"PUT /v2/ HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ] {
        let mut stream = server.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut rest);
    }
    assert_eq!(server.ask("GET", "/v2/", &[], b"").status, 200);
    assert_eq!(server.stop(), Some(0));
    assert!(workspace.ok(&["images"]).out.lines().count() <= 1, "nothing got a name");
}

#[test]
fn tls_and_passwords_let_in_who_knows_them() {
    if !has("skopeo") || !has("openssl") {
        return;
    }
    let workspace = with_app();
    let at = |name: &str| workspace.path().join(name).display().to_string();
    let (certificate, _) = own_certificate(workspace.path());
    std::fs::write(at("htpasswd"), "user:$2b$05$vcYM4D9N3ucDkf3g76PUiOLG/gseSv8P7Ig5KfQNavQxb5Cl.aKH.\n")
        .unwrap();
    let server = Served::start(
        &workspace,
        &["--tls-cert", &at("cert.pem"), "--tls-key", &at("key.pem"), "--htpasswd", &at("htpasswd")],
    );
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let from = format!("docker://{}", server.name("app:1"));
    let certificates = at("certs");
    std::fs::create_dir(&certificates).unwrap();
    std::fs::copy(&certificate, format!("{certificates}/ca.crt")).unwrap();
    let trusting = ["inspect", "--raw", "--cert-dir", &certificates];
    let refused = Command::new("skopeo").args(trusting).arg(&from).output().unwrap();
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("unauthorized"),
        "{refused:?}"
    );
    let index = skopeo(&[&trusting[..], &["--creds", "user:secret", &from]].concat());

    let other = Workspace::new();
    let own =
        |words: &[&str]| other.rbuild().env("SSL_CERT_FILE", &certificate).args(words).output().unwrap();
    let said = Said::from(own(&["copy", &from, "store:mine:1"]));
    assert!(said.code == Some(3) && said.err.contains("name and password"), "{said:?}");
    for (password, code) in [("user:wrong", 3), ("nobody:secret", 3), ("user:secret", 0)] {
        other.log_in(server.host(), Some(password));
        assert_eq!(own(&["copy", &from, "store:mine:1"]).status.code(), Some(code), "{password}");
    }
    assert!(own(&["inspect", "--raw", "store:mine:1"]).stdout == index);
    assert_eq!(
        own(&["copy", "store:mine:1", &format!("docker://{}", server.name("back:1"))]).status.code(),
        Some(0)
    );
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_is_asked_for_ends_before_the_server_does() {
    let workspace = with_app();
    let server = Served::start(&workspace, &[]);
    // A request of which the last bytes come after the server was told to stop.
    let bytes = b"the last bytes come late";
    let mut stream = server.connect();
    let head = format!(
        "POST /v2/a/blobs/uploads/?digest={} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
        sha256(bytes),
        server.host(),
        bytes.len()
    );
    stream.write_all(&[head.as_bytes(), &bytes[..10]].concat()).unwrap();
    // It is under way once its first bytes are on disk.
    let under_way = || {
        let leases = std::fs::read_dir(workspace.store().join("tmp")).unwrap().flatten();
        let files = leases.flat_map(|lease| std::fs::read_dir(lease.path()).into_iter().flatten().flatten());
        files.filter_map(|file| file.metadata().ok()).any(|metadata| metadata.len() == 10)
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while !under_way() {
        assert!(Instant::now() < deadline, "the first bytes come in");
        std::thread::sleep(Duration::from_millis(10));
    }
    server.terminate();
    stream.write_all(&bytes[10..]).unwrap();
    assert_eq!(Answer::read(&mut stream).status, 201);
    assert_eq!(server.stop(), Some(0));
    assert!(
        std::fs::read(workspace.store().join("blobs").join(sha256(bytes).replace(':', "/"))).unwrap()
            == bytes
    );
}

#[test]
fn settings_that_leave_the_door_open_are_refused() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path().join("plain"), "user:secret\n").unwrap();
    for (words, reason) in [
        (&["--listen", "0.0.0.0:0"][..], "needs a certificate and passwords"),
        (&["--listen", "127.0.0.1:0", "--htpasswd", "plain"], "line 1"),
        (&["--listen", "127.0.0.1:0", "--tls-cert", "plain"], "--tls-key"),
        (&["--listen", "127.0.0.1:0", "--tls-cert", "plain", "--tls-key", "plain"], "no certificate"),
        (&["--listen", "nowhere"], "invalid value"),
    ] {
        let said = workspace.fails(2, &[&["registry", "serve"], words].concat());
        assert!(said.err.contains(reason) && !said.err.contains("secret"), "{words:?}: {said:?}");
    }
}
