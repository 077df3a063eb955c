//! What the distribution-spec asks of clients, as far as no other test here shows it.

mod support;

use bytes::Bytes;
use oci::{Algorithm, Descriptor, Digest, Document, Index, Manifest, MediaType, Reference};
use registry_client::{BlobSource, Client, PushedBlob, RegistryError};
use support::fake::Fake;
use support::server::{Fate, Reply, Request, Server, reply};
use support::{client, image, layer, noise, push, reference};

const SIZE: usize = 1_000_000;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

async fn send(client: &Client, name: &Reference, blob: &Descriptor, bytes: &Bytes) -> PushedBlob {
    let source = BlobSource::bytes(bytes.clone());
    client.push_blob(name.repository(), blob, &source, &[]).await.expect("sent")
}

/// A registry that moves an upload with every piece, and takes at most so much in one.
fn moving(absolute: bool) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let state = std::sync::Mutex::new((0_usize, 0_usize));
    move |request| {
        let mut state = state.lock().expect("unpoisoned");
        let own = format!("/v2/a/blobs/uploads/at-{}", state.0);
        match request.method.as_str() {
            "HEAD" => return reply(404),
            "POST" | "PATCH" => {}
            "PUT" if request.path() == own => return reply(201),
            _ => return reply(400),
        }
        if request.method == "PATCH" {
            if request.path() != own {
                return reply(404).body(r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#);
            }
            state.1 += request.body.len();
        }
        state.0 += 1;
        let host = request.header("host").filter(|_| absolute).map(|host| format!("http://{host}"));
        let next = format!("{}/v2/a/blobs/uploads/at-{}", host.unwrap_or_default(), state.0);
        reply(202).header("Location", next).header("Range", format!("0-{}", state.1.saturating_sub(1)))
    }
}

#[tokio::test]
async fn pieces_say_what_they_are_and_follow_the_location_of_the_last_answer() {
    for absolute in [false, true] {
        let too_large = |request: &Request| {
            let length = request.header("content-length").and_then(|text| text.parse::<usize>().ok());
            match length.is_some_and(|length| length > 400_000) && request.method == "PATCH" {
                true => Fate::Early(reply(413)),
                false => Fate::Answer,
            }
        };
        let server = Server::with_fates(too_large, {
            let answer = moving(absolute);
            move |request| match (request.method.as_str(), request.path()) {
                (_, "/v2/") => reply(200),
                // Where it stands after the refusal.
                ("GET", path) => reply(204).header("Location", path).header("Range", "0-0"),
                _ => answer(request),
            }
        })
        .await;
        let (name, bytes) = (reference(&format!("{}/a", server.address)), noise(1, SIZE));
        assert_eq!(send(&client(), &name, &layer(&bytes), &bytes).await, PushedBlob::Uploaded);
        let pieces: Vec<Request> = server
            .requests()
            .into_iter()
            .filter(|request| request.method == "PATCH" && !request.body.is_empty())
            .collect();
        assert!(pieces.len() > 2, "{}", pieces.len());
        let mut at = 0;
        for piece in pieces {
            let range = format!("{at}-{}", at + piece.body.len() - 1);
            assert_eq!(piece.header("content-range"), Some(&*range));
            assert_eq!(piece.header("content-type"), Some("application/octet-stream"));
            at += piece.body.len();
        }
        assert_eq!(at, SIZE);
    }
}

#[tokio::test]
async fn the_registry_is_told_of_another_hash_function() {
    let (server, _) = Fake::start(|request| match request.method.as_str() {
        "PUT" => Some(reply(201)),
        _ => None,
    })
    .await;
    let (name, bytes) = (reference(&format!("{}/a", server.address)), noise(1, 1000));
    for (algorithm, expected) in [(Algorithm::Sha256, ""), (Algorithm::Sha512, "?digest-algorithm=sha512")] {
        let blob = Descriptor { digest: Digest::of(algorithm, &bytes), ..layer(&bytes) };
        send(&client(), &name, &blob, &bytes).await;
        let last = server.seen().into_iter().rfind(|line| line.starts_with("POST"));
        assert_eq!(last, Some(format!("POST /v2/a/blobs/uploads/{expected}")));
    }
}

#[tokio::test]
async fn a_refused_mount_goes_on_in_its_session_and_others_are_closed() {
    let (server, fake) = Fake::start(|_| None).await;
    let host = server.address.to_string();
    let (name, bytes) = (reference(&format!("{host}/a")), noise(1, SIZE));
    let from = ["b", "c"].map(|path| reference(&format!("{host}/{path}")).repository().clone());
    let source = BlobSource::bytes(bytes.clone());
    let pushed = client().push_blob(name.repository(), &layer(&bytes), &source, &from).await;
    assert_eq!(pushed.expect("sent"), PushedBlob::Uploaded);
    assert_eq!((server.count("POST"), server.count("DELETE")), (2, 1), "{:?}", server.seen());
    fake.put_blob("c", &bytes);
    let name = reference(&format!("{host}/d"));
    let pushed = client().push_blob(name.repository(), &layer(&bytes), &source, &from).await;
    assert_eq!(pushed.expect("mounted"), PushedBlob::Mounted);
}

#[tokio::test]
async fn an_upload_of_other_bytes_is_cancelled() {
    let (server, _) = Fake::start(|_| None).await;
    let (name, bytes) = (reference(&format!("{}/a", server.address)), noise(1, SIZE));
    let other = BlobSource::bytes(noise(2, SIZE));
    let error =
        client().push_blob(name.repository(), &layer(&bytes), &other, &[]).await.expect_err("refused");
    assert!(!matches!(error, RegistryError::NotFound(_)), "{error}");
    assert_eq!((server.count("POST"), server.count("DELETE")), (1, 1), "{:?}", server.seen());
}

/// A manifest about an image.
fn about(subject: &Descriptor) -> Document<Manifest> {
    let empty = Descriptor::new(MediaType::OciEmpty, Digest::sha256(b"{}"), 2);
    let mut other = serde_json::Map::new();
    other.insert("subject".to_owned(), serde_json::to_value(subject).expect("JSON"));
    other.insert("artifactType".to_owned(), "application/x.a".into());
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OciManifest),
        config: empty.clone(),
        layers: vec![empty],
        annotations: Default::default(),
        other,
    };
    Document::create(MediaType::OciManifest, manifest)
}

#[tokio::test]
async fn what_stands_under_the_tag_of_referrers_and_is_no_list_is_left_alone() {
    let (server, fake) = Fake::start(|_| None).await;
    let name = reference(&format!("{}/a", server.address));
    let image = image(1, 100);
    push(&client(), &name.with_tag("1").expect("a tag"), &image).await;
    let subject = image.manifest.descriptor().clone();
    let tag = subject.digest.to_string().replace(':', "-");
    let referrer = about(&subject);
    let there =
        |name: &str| fake.manifests.lock().expect("unpoisoned")[&("a".to_owned(), name.to_owned())].clone();
    let no_index = Bytes::from_static(br#"{"schemaVersion":2,"manifests":7}"#);
    for (kind, bytes) in [(MediaType::OciManifest.as_str(), image.manifest.raw()), (INDEX, &no_index)] {
        fake.put_manifest("a", &tag, kind, bytes);
        let found = client().referrers(name.repository(), &subject.digest, None).await;
        assert_eq!(found.expect("an answer"), [], "nothing is known to refer to it");
        let to = name.repository().with_digest(referrer.descriptor().digest.clone());
        let error = client()
            .push_manifest(&to, &MediaType::OciManifest, referrer.raw().clone())
            .await
            .expect_err("it is told");
        assert!(error.to_string().contains(&tag), "{error}");
        assert_eq!(there(&tag).1, *bytes);
    }
}

#[tokio::test]
async fn a_filter_counts_whether_the_registry_applied_it_or_not() {
    let entry = |kind: &str, seed: u64| {
        let mut entry = image(seed, 10).manifest.descriptor().clone();
        entry.other.insert("artifactType".to_owned(), kind.into());
        entry
    };
    let (wanted, other) = (entry("application/x.a+b", 1), entry("application/x.c", 2));
    for applied in [false, true] {
        let (all, some) = (vec![wanted.clone(), other.clone()], vec![wanted.clone()]);
        let server = Server::start(move |request| {
            let index = |entries: &Vec<Descriptor>| {
                let index = Document::create(MediaType::OciIndex, Index::of(entries.clone()));
                reply(200).header("Content-Type", INDEX).body(index.raw().clone())
            };
            match request.query().get("artifactType").and_then(|kinds| kinds.first()) {
                Some(kind) if applied && kind == "application/x.a+b" => {
                    index(&some).header("OCI-Filters-Applied", "artifactType")
                }
                Some(_) | None => index(&all),
            }
        })
        .await;
        let name = reference(&format!("{}/a", server.address));
        let subject = Digest::sha256(b"subject");
        let found = client().referrers(name.repository(), &subject, Some("application/x.a+b")).await;
        assert_eq!(found.expect("a list"), std::slice::from_ref(&wanted), "{applied}");
    }
}

#[tokio::test]
async fn parameters_of_content_types_are_read_over_and_none_are_sent() {
    let image = image(1, 100);
    let raw = image.manifest.raw().clone();
    let (server, _) = Fake::start(move |request| {
        let kind = format!("{}; charset=utf-8", MediaType::OciManifest.as_str());
        let answer = || reply(200).header("Content-Type", kind).body(raw.clone());
        // Without a digest, as before version 1.1.
        (request.method != "PUT" && request.path().contains("/manifests/")).then(answer)
    })
    .await;
    let name = reference(&format!("{}/a:1", server.address));
    push(&client(), &name, &image).await;
    assert_eq!(client().resolve(&name).await.expect("found"), *image.manifest.descriptor());
    let requests = server.requests();
    let put =
        requests.iter().find(|request| request.path().ends_with("/manifests/1") && request.method == "PUT");
    let kind = put.and_then(|put| put.header("content-type").map(str::to_owned));
    assert_eq!(kind.as_deref(), Some(MediaType::OciManifest.as_str()));
}
