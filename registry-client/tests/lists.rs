//! Lists, what refers to what, deletion, and parts of blobs.

mod support;

use bytes::Bytes;
use oci::{Descriptor, Digest, Document, Manifest, MediaType, Reference};
use registry_client::{Client, HadBytes, RegistryError};
use support::docker_registry::{DockerRegistry, Setup};
use support::fake::Fake;
use support::server::{Server, reply};
use support::{client, image, layer, noise, push, reference};
use tokio::io::AsyncReadExt;

/// Names in pages, by `last` alone.
fn page(names: &[String], request: &support::server::Request, key: &str) -> support::server::Reply {
    let query = request.query();
    let first = |key: &str| query.get(key).and_then(|values| values.first()).cloned();
    let count: usize = first("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let after = first("last").and_then(|last| names.iter().position(|name| *name == last));
    let page: Vec<&String> = names.iter().skip(after.map_or(0, |at| at + 1)).take(count).collect();
    reply(200).body(serde_json::json!({ key: page }).to_string())
}

#[tokio::test]
async fn full_pages_without_a_link_are_followed_by_name() {
    let names: Vec<String> = (0..2500).map(|n| format!("t{n:04}")).collect();
    let served = names.clone();
    let server = Server::start(move |request| match request.path() {
        "/v2/x/tags/list" => page(&served, request, "tags"),
        "/v2/_catalog" => page(&served, request, "repositories"),
        // knows no `last`
        "/v2/deaf/tags/list" => reply(200).body(serde_json::json!({"tags": &served[..1000]}).to_string()),
        "/v2/loop/tags/list" => {
            reply(200).header("Link", format!("<{}>; rel=next", request.target)).body(r#"{"tags":["a"]}"#)
        }
        _ => reply(200),
    })
    .await;
    let (client, host) = (client(), server.address.to_string());
    let list = async |path: &str| client.tags(reference(&format!("{host}/{path}")).repository()).await;
    assert_eq!(list("x").await.expect("tags"), names);
    assert_eq!(client.catalog(&host).await.expect("repositories"), names);
    assert_eq!(list("deaf").await.expect("tags").len(), 1000);
    let error = list("loop").await.expect_err("no end").to_string();
    assert!(error.contains("without end"), "{error}");
    assert_eq!(server.count("GET /v2/x/"), 3);
}

/// An artifact about an image.
fn artifact(subject: &Descriptor, kind: &str, content: &Bytes) -> Document<Manifest> {
    let empty = Bytes::from_static(b"{}");
    let mut other = serde_json::Map::new();
    other.insert("artifactType".to_owned(), kind.into());
    other.insert("subject".to_owned(), serde_json::to_value(subject).expect("JSON"));
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OciManifest),
        config: Descriptor::new(MediaType::OciEmpty, Digest::sha256(&empty), 2),
        layers: vec![layer(content)],
        annotations: [("note".to_owned(), "kept".to_owned())].into(),
        other,
    };
    Document::create(MediaType::OciManifest, manifest)
}

async fn attach(client: &Client, to: &Reference, subject: &Descriptor, kind: &str, seed: u64) -> Descriptor {
    let content = noise(seed, 100);
    for bytes in [content.clone(), Bytes::from_static(b"{}")] {
        let source = registry_client::BlobSource::bytes(bytes.clone());
        client.push_blob(to.repository(), &layer(&bytes), &source, &[]).await.expect("pushed");
    }
    let document = artifact(subject, kind, &content);
    let name = to.repository().with_digest(document.descriptor().digest.clone());
    client.push_manifest(&name, &MediaType::OciManifest, document.raw().clone()).await.expect("attached");
    document.descriptor().clone()
}

/// Attaches, lists, filters, deletes.
async fn referrers_work(host: &str) -> Vec<String> {
    let (client, name, image) = (client(), reference(&format!("{host}/app:v1")), image(1, 100));
    push(&client, &name, &image).await;
    let subject = image.manifest.descriptor();
    let list = async |kind: Option<&str>| {
        let found = client.referrers(name.repository(), &subject.digest, kind).await.expect("a list");
        assert!(found.iter().all(|entry| entry.annotations.get("note").is_some_and(|note| note == "kept")));
        let mut digests: Vec<String> = found.iter().map(|entry| entry.digest.to_string()).collect();
        digests.sort();
        digests
    };
    assert!(list(None).await.is_empty());
    let mut all = Vec::new();
    for (seed, kind) in [(1, "application/x.sbom"), (2, "application/x.sig"), (3, "application/x.sbom")] {
        all.push((kind, attach(&client, &name, subject, kind, seed).await));
    }
    // twice is once
    attach(&client, &name, subject, "application/x.sig", 2).await;
    let expected = |kind: Option<&str>| {
        let fits = all.iter().filter(|(own, _)| kind.is_none_or(|kind| kind == *own));
        let mut digests: Vec<String> = fits.map(|(_, entry)| entry.digest.to_string()).collect();
        digests.sort();
        digests
    };
    for kind in [None, Some("application/x.sbom"), Some("application/x.sig"), Some("application/x.none")] {
        assert_eq!(list(kind).await, expected(kind), "{kind:?}");
    }
    let (_, gone) = all.remove(0);
    client.delete_manifest(&name.with_digest(gone.digest)).await.expect("deleted");
    let expected: Vec<String> = {
        let mut digests: Vec<String> = all.iter().map(|(_, entry)| entry.digest.to_string()).collect();
        digests.sort();
        digests
    };
    assert_eq!(list(None).await, expected);
    client.tags(name.repository()).await.unwrap_or_default()
}

#[tokio::test]
async fn referrers_by_the_api() {
    let (server, fake) = Fake { knows_referrers: true, ..Fake::default() }.serve(|_| None).await;
    referrers_work(&server.address.to_string()).await;
    let manifests = fake.manifests.lock().expect("unpoisoned");
    assert!(!manifests.keys().any(|(_, name)| name.starts_with("sha256-")), "no tag is made");
}

#[tokio::test]
async fn referrers_by_a_tag_where_there_is_no_api() {
    let (server, _) = Fake::start(|_| None).await;
    referrers_work(&server.address.to_string()).await;
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let tags = referrers_work(&registry.host()).await;
    let subject = image(1, 100).manifest.descriptor().digest.to_string().replace(':', "-");
    assert!(tags.contains(&subject), "{tags:?}");
}

#[tokio::test]
async fn who_writes_an_index_at_the_same_time_does_not_win() {
    let (server, _) = Fake::start(|_| None).await;
    let (client, name) = (client(), reference(&format!("{}/app", server.address)));
    let subject = image(1, 10).manifest.descriptor().clone();
    let attaching = (0..4).map(|seed| attach(&client, &name, &subject, "application/x.a", seed));
    futures::future::join_all(attaching).await;
    let found = client.referrers(name.repository(), &subject.digest, None).await.expect("a list");
    assert_eq!(found.len(), 4);
}

#[tokio::test]
async fn a_tag_goes_and_its_manifest_stays() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let (client, name, image) = (client(), reference(&format!("{}/app:one", registry.host())), image(1, 10));
    push(&client, &name, &image).await;
    let other = name.with_tag("two").expect("a tag");
    client
        .push_manifest(&other, &MediaType::OciManifest, image.manifest.raw().clone())
        .await
        .expect("pushed");
    client.delete_tag(&name).await.expect("deleted");
    assert!(matches!(client.resolve(&name).await, Err(RegistryError::NotFound(_))));
    assert_eq!(client.resolve(&other).await.expect("it stays"), *image.manifest.descriptor());
    assert_eq!(client.tags(name.repository()).await.expect("tags"), ["two"]);
    let error = client.delete_tag(&name).await.expect_err("gone");
    assert!(matches!(error, RegistryError::NotFound(_)), "{error}");
    assert_eq!(client.catalog(&registry.host()).await.expect("a catalog"), ["app"]);
}

#[tokio::test]
async fn parts_of_blobs() {
    let (server, fake) = Fake::start(|_| None).await;
    let (client, bytes) = (client(), noise(1, 100_000));
    fake.put_blob("a", &bytes);
    let mut hosts = vec![server.address.to_string()];
    let registry = DockerRegistry::start(&Setup::default());
    if let Some(registry) = &registry {
        let there = reference(&format!("{}/a", registry.host()));
        let source = registry_client::BlobSource::bytes(bytes.clone());
        client.push_blob(there.repository(), &layer(&bytes), &source, &[]).await.expect("pushed");
        hosts.push(registry.host());
    }
    // ignores ranges
    let whole = bytes.clone();
    let deaf = Server::start(move |_| reply(200).body(whole.clone())).await;
    hosts.push(deaf.address.to_string());
    for host in hosts {
        let name = reference(&format!("{host}/a"));
        for range in [0..0, 0..1, 0..100_000, 5..70_000, 99_999..100_000, 60_000..200_000, 100_000..100_001] {
            let mut part = Vec::new();
            let mut reader =
                client.blob_range(name.repository(), &layer(&bytes), range.clone()).await.expect("it opens");
            reader.read_to_end(&mut part).await.expect("it is read");
            let end = usize::try_from(range.end).expect("small").min(bytes.len());
            let start = usize::try_from(range.start).expect("small").min(end);
            assert!(part == bytes[start..end], "{host} {range:?}");
        }
    }
}

#[tokio::test]
async fn a_blob_goes_on_after_the_bytes_that_are_there() {
    let (server, fake) = Fake::start(|_| None).await;
    let (client, name, bytes) = (client(), reference(&format!("{}/a", server.address)), noise(1, 100_000));
    fake.put_blob("a", &bytes);
    let rest = async |had: &[u8]| {
        let mut hasher = oci::Hasher::new(oci::Algorithm::Sha256);
        hasher.update(had);
        let had = HadBytes { hasher, length: had.len() as u64 };
        let mut reader =
            client.rest_of_blob(name.repository(), &layer(&bytes), had).await.map_err(|e| e.to_string())?;
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(rest)
    };
    for had in [0, 1, 70_000, 99_999, 100_000] {
        assert!(rest(&bytes[..had]).await.expect("the rest") == bytes[had..], "{had}");
    }
    assert_eq!(
        server
            .requests()
            .iter()
            .filter(|request| request.method == "GET" && request.target != "/v2/")
            .count(),
        4
    );
    for wrong in [noise(2, 5000), noise(2, 100_000)] {
        let error = rest(&wrong).await.expect_err("other bytes");
        assert!(error.contains("its content is"), "{error}");
    }
    rest(&noise(2, 100_001)).await.expect_err("too many");
}
