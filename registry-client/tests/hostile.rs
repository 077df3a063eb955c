//! Registries that cut, lie, throttle and wander.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use oci::{Digest, MediaType, Platform};
use registry_client::{BlobSource, Client, ClientOptions, Hosts, PushedBlob, RegistryError, RetryPolicy};
use support::fake::{Fake, blob_server, ranged};
use support::server::{Reply, Server, reply};
use support::{client, image, layer, noise, options, push, read_blob, reference};

#[tokio::test]
async fn transfers_go_on_where_they_broke() {
    let bytes = noise(1, 500_000);
    let server = blob_server(&bytes, |n, request, bytes| match n {
        0 => reply(200).body(bytes.clone()).cut(100_000),
        1 => reply(503),
        2 | 3 => ranged(request, bytes).cut(150_000),
        _ => ranged(request, bytes),
    })
    .await;
    let name = reference(&format!("{}/a", server.address));
    assert!(read_blob(&client(), &name, &layer(&bytes)).await.expect("whole") == bytes);
    let starts: Vec<String> =
        server.requests().iter().filter_map(|r| r.header("range").map(str::to_owned)).collect();
    assert_eq!(starts, ["bytes=100000-", "bytes=100000-", "bytes=250000-", "bytes=400000-"]);
}

#[tokio::test]
async fn a_server_that_ignores_ranges_starts_again() {
    let bytes = noise(2, 200_000);
    let server = blob_server(&bytes, |n, _, bytes| match n {
        0 | 1 => reply(200).body(bytes.clone()).cut(60_000 * (n + 1)),
        _ => reply(200).body(bytes.clone()),
    })
    .await;
    let name = reference(&format!("{}/a", server.address));
    assert!(read_blob(&client(), &name, &layer(&bytes)).await.expect("whole") == bytes);
}

#[tokio::test]
async fn without_progress_it_ends() {
    let bytes = noise(3, 1000);
    let server = blob_server(&bytes, |_, request, bytes| ranged(request, bytes).cut(0)).await;
    let name = reference(&format!("{}/a", server.address));
    read_blob(&client(), &name, &layer(&bytes)).await.expect_err("never whole");
    assert_eq!(server.count("GET"), 4);
}

#[tokio::test]
async fn other_bytes_are_refused() {
    let bytes = noise(4, 100_000);
    let check = async |what: &str, answer: fn(&Bytes) -> Reply| {
        let server = blob_server(&bytes, move |_, _, bytes| answer(bytes)).await;
        let name = reference(&format!("{}/a", server.address));
        let error = read_blob(&client(), &name, &layer(&bytes)).await.expect_err(what);
        assert!(error.contains(&server.address.to_string()) && error.contains("sha256:"), "{what}: {error}");
        assert_eq!(server.count("GET"), 1, "{what}: lies are not asked for twice");
    };
    check("a flipped bit", |bytes| {
        let mut other = bytes.to_vec();
        other[70_000] ^= 1;
        reply(200).body(other)
    })
    .await;
    check("a byte too many", |bytes| reply(200).body([&bytes[..], b"x"].concat())).await;
    check("a byte too few", |bytes| reply(200).body(bytes.slice(1..))).await;
    check("more without an end", |bytes| Reply {
        endless: true,
        ..reply(200).body([&bytes[..], b"more"].concat())
    })
    .await;
    check("a part that was not asked for", |bytes| {
        reply(206).header("Content-Range", "bytes 0-9/10").body(bytes.clone())
    })
    .await;
}

#[tokio::test]
async fn another_range_is_refused() {
    let bytes = noise(5, 100_000);
    let server = blob_server(&bytes, |n, _, bytes| match n {
        0 => reply(200).body(bytes.clone()).cut(50_000),
        _ => reply(206).header("Content-Range", "bytes 0-49999/100000").body(bytes.slice(..50_000)),
    })
    .await;
    let name = reference(&format!("{}/a", server.address));
    let error = read_blob(&client(), &name, &layer(&bytes)).await.expect_err("another range");
    assert!(error.contains("range"), "{error}");
}

#[tokio::test]
async fn throttling_is_waited_out_within_reason() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let (server, fake) = Fake::start(move |request| {
        let early = request.path() != "/v2/" && counted.fetch_add(1, Ordering::SeqCst) < 2;
        early.then(|| {
            reply(429)
                .header("Retry-After", "0")
                .body(r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#)
        })
    })
    .await;
    let image = image(1, 10);
    fake.put_manifest("a", "latest", image.manifest.descriptor().media_type.as_str(), image.manifest.raw());
    let name = reference(&format!("{}/a", server.address));
    assert_eq!(client().resolve(&name).await.expect("in the end"), *image.manifest.descriptor());

    let (server, _) = Fake::start(|_| {
        Some(
            reply(429)
                .header("Retry-After", "3600")
                .body(r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#),
        )
    })
    .await;
    let name = reference(&format!("{}/a", server.address));
    let error = client().image_document(&name).await.expect_err("an hour is too long");
    assert!(
        matches!(&error, RegistryError::Throttled(refusal) if refusal.retry_after.is_some_and(|wait| wait.as_secs() == 3600)),
        "{error}"
    );
    assert!(error.to_string().contains("slow down"));
    assert_eq!(server.count("GET"), 1);
}

#[tokio::test]
async fn documents_that_lie_are_refused() {
    let good = image(1, 10).manifest;
    let check = async |what: &str, kind: &'static str, body: Bytes, digest: Option<String>| {
        let server = Server::start(move |request| match request.path().contains("/manifests/") {
            true => {
                let answer = reply(200).header("Content-Type", kind).body(body.clone());
                match &digest {
                    Some(digest) => answer.header("Docker-Content-Digest", digest.clone()),
                    None => answer,
                }
            }
            false => reply(200),
        })
        .await;
        let name = reference(&format!("{}/a", server.address));
        client().fetch_image(&name, &Platform::host()).await.expect_err(what).to_string()
    };
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let other = Some(Digest::sha256("other").to_string());
    assert!(check("another digest", MANIFEST, good.raw().clone(), other).await.contains("was asked for"));
    assert!(check("announced as an index", INDEX, good.raw().clone(), None).await.contains("announced"));
    let both = r#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#;
    assert!(check("both at once", MANIFEST, text(both), None).await.contains("both"));
    assert!(
        check(
            "schema 1",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            text(r#"{"schemaVersion":1}"#),
            None
        )
        .await
        .contains("schema 1")
    );
    assert!(check("no JSON", MANIFEST, text("<html>"), None).await.contains("sha256:"));
    assert!(
        check("too long", MANIFEST, Bytes::from(vec![b' '; (4 << 20) + 1]), None).await.contains("longer")
    );
}

#[tokio::test]
async fn a_pinned_name_gets_its_digest_or_nothing() {
    let image = image(1, 10);
    let kind = image.manifest.descriptor().media_type.to_string();
    let raw = image.manifest.raw().clone();
    let wanted = Digest::sha256("wanted");
    let lie = wanted.to_string();
    let server = Server::start(move |_| {
        reply(200)
            .header("Content-Type", kind.as_str())
            .header("Docker-Content-Digest", lie.as_str())
            .body(raw.clone())
    })
    .await;
    let name = reference(&format!("{}/a", server.address)).with_digest(wanted);
    let error = client().image_document(&name).await.expect_err("not what was asked for");
    assert!(matches!(error, RegistryError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn redirects_end_and_stay_http() {
    let looping = Server::start(|request| match request.path() {
        "/v2/" => reply(200),
        _ => reply(302).header("Location", request.target.clone()),
    })
    .await;
    let name = reference(&format!("{}/a", looping.address));
    let error = client().image_document(&name).await.expect_err("no end");
    assert!(error.to_string().contains("redirects without end"), "{error}");
    let file = Server::start(|request| match request.path() {
        "/v2/" => reply(200),
        _ => reply(302).header("Location", "file:///etc/passwd"),
    })
    .await;
    let name = reference(&format!("{}/a", file.address));
    let error = client().image_document(&name).await.expect_err("no file");
    assert!(error.to_string().contains("file://"), "{error}");
}

#[tokio::test]
async fn an_upload_whose_end_fails_is_ended_again_and_not_sent_again() {
    let failures = AtomicUsize::new(0);
    let (server, fake) = Fake::start(move |request| {
        let failing = request.method == "PUT"
            && request.path().contains("/uploads/")
            && failures.fetch_add(1, Ordering::SeqCst) < 2;
        failing.then(|| reply(502))
    })
    .await;
    let name = reference(&format!("{}/a", server.address));
    push(&client(), &name, &image(1, 400_000)).await;
    assert_eq!(fake.blobs.lock().expect("unpoisoned").len(), 2);
    assert_eq!(server.count("POST"), 2, "{:?}", server.seen());
    assert_eq!(server.count("PATCH"), 1, "{:?}", server.seen());
}

#[tokio::test]
async fn a_source_that_is_not_its_descriptor_is_told() {
    let (server, _) = Fake::start(|_| None).await;
    let name = reference(&format!("{}/a", server.address));
    let bytes = noise(1, 1000);
    for (wrong, part) in [(noise(1, 900), "shorter"), (noise(1, 1100), "longer")] {
        let source = BlobSource::bytes(wrong);
        let error =
            client().push_blob(name.repository(), &layer(&bytes), &source, &[]).await.expect_err(part);
        assert!(
            matches!(&error, RegistryError::Source { .. }) && error.to_string().contains(part),
            "{error}"
        );
    }
    let source = BlobSource::bytes(noise(2, 1000));
    let error =
        client().push_blob(name.repository(), &layer(&bytes), &source, &[]).await.expect_err("other bytes");
    assert!(error.to_string().contains("DIGEST_INVALID"), "{error}");
    let source = BlobSource::file("/no/such/file");
    let error =
        client().push_blob(name.repository(), &layer(&bytes), &source, &[]).await.expect_err("no file");
    assert!(matches!(error, RegistryError::Source { .. }), "{error}");
    let present =
        client().push_blob(name.repository(), &layer(&bytes), &BlobSource::bytes(bytes.clone()), &[]).await;
    assert_eq!(present.expect("sent"), PushedBlob::Uploaded);
}

#[tokio::test]
async fn mirrors_are_tried_in_order_and_may_fail_in_any_way() {
    let image = image(1, 5000);
    let absent = Server::start(|_| reply(404)).await;
    let broken = Server::start(|_| reply(500)).await;
    let liar = Server::start(|request| match request.path() {
        "/v2/" => reply(200),
        _ => reply(200).header("Content-Type", MediaType::OciManifest.as_str()).body("{}"),
    })
    .await;
    let (last, fake) = Fake::start(|_| None).await;
    for path in ["hub/library/alpine", "other"] {
        fake.put_blob(path, &image.layer);
        fake.put_blob(path, image.config.raw());
        fake.put_manifest(
            path,
            "latest",
            image.manifest.descriptor().media_type.as_str(),
            image.manifest.raw(),
        );
    }
    let mirror = |server: &Server| format!("[[registry.mirror]]\nlocation = \"{}/m\"\n", server.address);
    let dead = "[[registry.mirror]]\nlocation = \"127.0.0.1:1\"\n";
    let conf = format!(
        "[[registry]]\nprefix = \"docker.io\"\nlocation = \"{}/hub\"\n{dead}{}{}{}",
        last.address,
        mirror(&absent),
        mirror(&broken),
        mirror(&liar)
    );
    let hosts = Hosts::parse(std::path::Path::new("registries.conf"), &conf).expect("a good file");
    let client = Client::new(ClientOptions { hosts, ..options() }).expect("a client");
    let found =
        client.fetch_image(&reference("alpine"), &Platform::host()).await.expect("the last one has it");
    assert_eq!(found.manifest.raw(), image.manifest.raw());
    assert!(
        read_blob(&client, &reference("alpine"), &layer(&image.layer)).await.expect("whole") == image.layer
    );
    assert!(
        absent.seen().contains(&"GET /v2/m/library/alpine/manifests/latest".to_owned()),
        "{:?}",
        absent.seen()
    );
    assert!(broken.count("GET") > 1 && liar.count("GET") > 0);
}

#[tokio::test]
async fn pages_of_tags() {
    let (server, _) = Fake::start(|request| {
        let (tags, next) =
            match request.query().remove("last").unwrap_or_default().first().map(String::as_str) {
                None => (r#"["a","b"]"#, Some("</v2/x/tags/list?last=b&n=2>; rel=\"next\"")),
                Some("b") => (r#"["c"]"#, Some("</v2/x/tags/list?last=c>; rel=next")),
                Some(_) => ("null", None),
            };
        let page = reply(200).body(format!(r#"{{"name":"x","tags":{tags}}}"#));
        request.path().ends_with("/tags/list").then(|| match next {
            Some(next) => page.header("Link", next),
            None => page,
        })
    })
    .await;
    let name = reference(&format!("{}/x", server.address));
    assert_eq!(client().tags(name.repository()).await.expect("tags"), ["a", "b", "c"]);
}

#[tokio::test]
async fn urls_are_fetched_as_they_are() {
    use tokio::io::AsyncReadExt;
    let server = Server::start(|request| match request.path() {
        "/file" if request.header("if-none-match") == Some("\"1\"") => reply(304),
        "/file" => reply(200)
            .header("ETag", "\"1\"")
            .header("Last-Modified", "Mon, 23 Nov 2026 00:00:00 GMT")
            .body("content"),
        "/moved" => reply(301).header("Location", "/file"),
        _ => reply(404),
    })
    .await;
    let url =
        |path: &str| registry_client::Url::parse(&format!("http://{}{path}", server.address)).expect("a URL");
    let client = client();
    let mut answer = client.get_url(&url("/moved"), &[]).await.expect("an answer");
    let mut text = String::new();
    answer.read_to_string(&mut text).await.expect("a body");
    assert_eq!(
        (answer.status(), text.as_str(), answer.url().path(), answer.header("etag")),
        (200, "content", "/file", Some("\"1\""))
    );
    let answer = client.get_url(&url("/file"), &[("If-None-Match", "\"1\"")]).await.expect("an answer");
    assert_eq!(answer.status(), 304);
    assert_eq!(client.get_url(&url("/no"), &[]).await.expect("an answer").status(), 404);
}

#[tokio::test]
async fn a_silent_peer_is_left() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let name = reference(&format!("{}/a", listener.local_addr().expect("an address")));
    let retry = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
    let impatient = ClientOptions { idle_timeout: std::time::Duration::from_millis(200), retry, ..options() };
    let error = Client::new(impatient).expect("a client").resolve(&name).await.expect_err("nobody speaks");
    assert!(matches!(error, RegistryError::Network { .. }), "{error}");
}

#[tokio::test]
async fn a_slow_source_is_no_silent_peer() {
    let (server, fake) = Fake::start(|_| None).await;
    let name = reference(&format!("{}/a", server.address));
    let bytes = noise(1, 1000);
    let slow = bytes.clone();
    let source = BlobSource::new(move || {
        let reader: registry_client::BoxedRead = Box::new(std::io::Cursor::new(slow.clone()));
        Box::pin(async move {
            tokio::time::sleep(std::time::Duration::from_millis(600)).await;
            Ok(reader)
        })
    });
    let quick = ClientOptions { idle_timeout: std::time::Duration::from_millis(300), ..options() };
    let client = Client::new(quick).expect("a client");
    client.push_blob(name.repository(), &layer(&bytes), &source, &[]).await.expect("sent in the end");
    assert_eq!(server.count("PUT"), 1);
    assert_eq!(fake.blobs.lock().expect("unpoisoned").len(), 1);
}
