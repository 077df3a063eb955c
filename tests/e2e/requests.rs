//! How much a registry is asked.

use serde_json::Value;

use crate::support::http::Http;
use crate::support::workspace::Workspace;

/// Puts an image for two platforms behind `base:1`, with a file of that content; its digest.
fn publish(http: &Http, content: &str) -> String {
    let made = Workspace::new();
    made.file("Dockerfile", "FROM scratch\nCOPY a /a\n");
    made.file("a", content);
    let layout = made.path().join("layout");
    let output = format!("type=oci,tar=false,dest={}", layout.display());
    made.build(&["-o", &output, "--platform", "linux/amd64,linux/arm64"]);
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let blob = |digest: &str| std::fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap();
    let top = &index["manifests"][0];
    let digest = top["digest"].as_str().unwrap().to_owned();
    let put = |name: &str, entry: &Value| {
        let (kind, digest) = (entry["mediaType"].as_str().unwrap(), entry["digest"].as_str().unwrap());
        let headers = [format!("Content-Type: {kind}"), format!("Docker-Content-Digest: {digest}")];
        http.put(
            &format!("/v2/base/manifests/{name}"),
            blob(digest),
            &headers.each_ref().map(String::as_str),
        );
    };
    put("1", top);
    put(&digest, top);
    let parts: Value = serde_json::from_slice(&blob(&digest)).unwrap();
    for entry in parts["manifests"].as_array().unwrap() {
        let part = entry["digest"].as_str().unwrap();
        put(part, entry);
        let manifest: Value = serde_json::from_slice(&blob(part)).unwrap();
        for one in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
            let name = one["digest"].as_str().unwrap();
            http.put(&format!("/v2/base/blobs/{name}"), blob(name), &[]);
        }
    }
    digest
}

#[test]
fn a_warm_tag_costs_one_head_and_a_warm_digest_nothing() {
    let http = Http::start();
    let digest = publish(&http, "one\n");
    let base = format!("{}/base", http.url("").trim_start_matches("http://"));
    let workspace = Workspace::new();
    workspace.file("b", "b\n");
    let head = ["HEAD /v2/base/manifests/1".to_owned()];
    let build = |from: &str, platforms: &str| {
        // Two stages from one base ask once.
        workspace.file(
            "Dockerfile",
            format!("FROM {from} AS one\nCOPY b /b\nFROM {from}\nCOPY --from=one /b /c\n"),
        );
        http.requests();
        workspace.build(&["--platform", platforms]);
        http.requests()
    };
    let tagged = format!("{base}:1");
    let cold = build(&tagged, "linux/amd64,linux/arm64");
    assert!(cold.contains(&head[0]) && cold.len() > 5, "{cold:?}");
    assert_eq!(build(&tagged, "linux/amd64,linux/arm64"), head);
    assert_eq!(build(&tagged, "linux/amd64"), head);
    assert_eq!(build(&format!("{base}@{digest}"), "linux/amd64"), [""; 0]);
    workspace.ok(&["pull", "--platform", "linux/amd64", &tagged]);
    assert_eq!(http.requests(), head, "a pull of what is there");

    // The tag moves: what is new is fetched, by its digest.
    let moved = publish(&http, "two\n");
    workspace.ok(&["rm", &tagged]);
    let asked = build(&tagged, "linux/amd64");
    assert_eq!(asked[..2], [head[0].clone(), format!("GET /v2/base/manifests/{moved}")], "{asked:?}");
    assert!(asked[2..].iter().all(|line| line.starts_with("GET /v2/base/")), "{asked:?}");
    assert_eq!(build(&tagged, "linux/amd64"), head);
}

#[test]
fn newer_images_are_taken_and_stored_ones_where_a_registry_does_not_answer() {
    let http = Http::start();
    publish(&http, "one\n");
    let base = format!("{}/base:1", http.url("").trim_start_matches("http://"));
    let workspace = Workspace::new();
    workspace.file("Dockerfile", format!("FROM {base}\nLABEL a=b\n"));
    workspace.ok(&["pull", &base]);
    let id = |words: &[&str]| {
        let file = workspace.path().join("id");
        let mut all = vec!["--iidfile", file.to_str().unwrap()];
        all.extend(words);
        let said = workspace.build(&all);
        (std::fs::read_to_string(&file).unwrap(), said)
    };
    let (one, _) = id(&[]);
    publish(&http, "two\n");
    http.requests();
    assert_eq!(id(&[]).0, one, "what is stored serves");
    assert_eq!(http.requests(), [""; 0]);
    let (two, said) = id(&["--pull=newer"]);
    assert_ne!(two, one, "{said:?}");
    drop(http);
    let (kept, said) = id(&["--pull=newer"]);
    assert_eq!(kept, one, "{said:?}");
    assert!(said.err.contains("the image of the store is taken"), "{said:?}");
    let context = workspace.context();
    let asked = ["build", "--progress=plain", "--pull", context.to_str().unwrap()];
    assert_ne!(workspace.run(&asked).status.code(), Some(0), "--pull insists");
}

#[test]
fn what_a_registry_remarks_is_shown_once() {
    let http = Http::start();
    let manifest = "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\
         \"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",\"size\":2},\"layers\":[]}";
    let headers = [
        "Content-Type: application/vnd.oci.image.manifest.v1+json",
        "Warning: 299 - \"this tag goes away\"",
        "Warning: 299 - \"so does this repository\"",
    ];
    http.put("/v2/base/manifests/1", manifest, &headers);
    http.put(
        "/v2/base/blobs/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "{}",
        &headers[1..],
    );
    let host = http.url("").trim_start_matches("http://").to_owned();
    let workspace = Workspace::new();
    let output =
        workspace.rbuild().args(["inspect", "--raw", &format!("docker://{host}/base:1")]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        text,
        format!("warning: {host}: this tag goes away\nwarning: {host}: so does this repository\n")
    );
}

#[test]
fn limits_of_a_registry_are_shown() {
    let http = Http::start();
    let host = http.url("").trim_start_matches("http://").to_owned();
    let limits =
        ["RateLimit-Limit: 100;w=21600", "RateLimit-Remaining: 76;w=21600", "Docker-RateLimit-Source: me"];
    http.put("/v2/base/manifests/1", "{}", &limits);
    http.put("/v2/base/manifests/2", "{}", &[]);
    let workspace = Workspace::new();
    let said = workspace.ok(&["registry", "limits", &format!("docker://{host}/base:1")]).out;
    assert_eq!(said, format!("registry   {host}\nlimit      100 in 6 h\nremaining  76\ncounted    me\n"));
    let said = workspace.ok(&["registry", "limits", "--format=json", &format!("{host}/base:1")]).out;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["limit"], &said["windowSeconds"], &said["remaining"]),
        (&100.into(), &21600.into(), &76.into())
    );
    let said = workspace.ok(&["registry", "limits", &format!("{host}/base:2")]).out;
    assert_eq!(said, format!("{host} tells no limit of pulls\n"));
    let said = workspace.fails(3, &["registry", "limits", &format!("{host}/base:3")]);
    assert!(said.err.contains("not found"), "{said:?}");
    assert!(http.requests().iter().all(|line| line.starts_with("HEAD ")), "nothing is pulled");
}
