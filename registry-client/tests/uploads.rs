//! Uploads that break, are refused for their size, vanish, or outlive the process that began them.

mod support;

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use registry_client::{BlobSource, Client, ClientOptions, PushedBlob, RegistryError};
use support::docker_registry::{DockerRegistry, Setup};
use support::fake::Fake;
use support::server::{Fate, Reply, Request, Server, reply};
use support::{client, layer, noise, options, read_blob, reference};

const SIZE: usize = 2_000_000;

async fn send(client: &Client, host: &str, bytes: &Bytes) -> Result<PushedBlob, RegistryError> {
    let name = reference(&format!("{host}/a"));
    client.push_blob(name.repository(), &layer(bytes), &BlobSource::bytes(bytes.clone()), &[]).await
}

/// Sends a blob to a registry where the n-th PATCH meets a fate; bytes that came, and the requests.
async fn sent(
    fate: impl Fn(usize, &Request) -> Fate + Send + Sync + 'static,
    before: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
) -> (Server, usize) {
    let count = AtomicUsize::new(0);
    let fates = move |request: &Request| match request.method.as_str() {
        "PATCH" => fate(count.fetch_add(1, Ordering::SeqCst), request),
        _ => Fate::Answer,
    };
    let (server, fake) = Fake::default().serve_with(fates, before).await;
    let bytes = noise(1, SIZE);
    send(&client(), &server.address.to_string(), &bytes).await.expect("sent in the end");
    assert_eq!(fake.blobs.lock().expect("unpoisoned").values().next(), Some(&bytes));
    let came = server.requests().iter().map(|request| request.body.len()).sum();
    (server, came)
}

fn ranges(server: &Server) -> Vec<String> {
    let patches = server.requests().into_iter().filter(|request| request.method == "PATCH");
    patches.map(|request| request.header("content-range").unwrap_or("all").to_owned()).collect()
}

#[tokio::test]
async fn a_broken_upload_goes_on_where_the_registry_stands() {
    let (server, came) = sent(
        |n, _| match n {
            0 => Fate::Break(700_000),
            1 => Fate::Break(0),
            2 => Fate::Mute,
            _ => Fate::Answer,
        },
        |_| None,
    )
    .await;
    assert_eq!(came, SIZE, "not one byte twice");
    assert_eq!(ranges(&server)[..2], ["all", "700000-1999999"]);
    assert_eq!(server.count("POST"), 1);
}

#[tokio::test]
async fn a_limit_of_size_is_found_and_remembered() {
    let limit = 300_000;
    let fate = move |_: usize, request: &Request| {
        let length: usize = request.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        if length > limit { Fate::Early(reply(413)) } else { Fate::Answer }
    };
    let count = AtomicUsize::new(0);
    let fates = move |request: &Request| match request.method.as_str() {
        "PATCH" => fate(count.fetch_add(1, Ordering::SeqCst), request),
        _ => Fate::Answer,
    };
    let (server, _) = Fake::default().serve_with(fates, |_| None).await;
    let client = client();
    for seed in [1, 2] {
        send(&client, &server.address.to_string(), &noise(seed, SIZE)).await.expect("sent");
    }
    let came: usize = server.requests().iter().map(|request| request.body.len()).sum();
    assert_eq!(came, 2 * SIZE);
    let refused = ranges(&server).iter().filter(|range| *range == "all").count();
    assert_eq!(refused, 1, "{:?}", ranges(&server));
}

#[tokio::test]
async fn a_limit_below_all_reason_is_told() {
    let fates = |request: &Request| match request.method.as_str() {
        "PATCH" | "PUT" => Fate::Early(reply(413)),
        _ => Fate::Answer,
    };
    let (server, _) = Fake::default().serve_with(fates, |_| None).await;
    let error = send(&client(), &server.address.to_string(), &noise(1, SIZE)).await.expect_err("too large");
    assert!(error.to_string().contains("413"), "{error}");
    assert!(error.to_string().contains("client_max_body_size"), "what has to be changed: {error}");
}

#[tokio::test]
async fn the_least_piece_of_a_registry_is_kept() {
    let too_long = |n: usize, request: &Request| {
        let length: usize = request.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        if n == 0 && length > 1_000_000 { Fate::Early(reply(413)) } else { Fate::Answer }
    };
    let count = AtomicUsize::new(0);
    let fates = move |request: &Request| match request.method.as_str() {
        "PATCH" => too_long(count.fetch_add(1, Ordering::SeqCst), request),
        _ => Fate::Answer,
    };
    let (server, fake) =
        Fake { least_piece: Some(600_000), ..Fake::default() }.serve_with(fates, |_| None).await;
    send(&client(), &server.address.to_string(), &noise(1, SIZE)).await.expect("sent");
    assert_eq!(ranges(&server), ["all", "0-999999", "1000000-1999999"]);
    assert_eq!(fake.blobs.lock().expect("unpoisoned").len(), 1);
    let always = |request: &Request| match request.method.as_str() {
        "PATCH" => Fate::Early(reply(413)),
        _ => Fate::Answer,
    };
    let (server, _) =
        Fake { least_piece: Some(600_000), ..Fake::default() }.serve_with(always, |_| None).await;
    send(&client(), &server.address.to_string(), &noise(1, SIZE)).await.expect_err("neither less nor more");
    assert_eq!(ranges(&server), ["all", "0-999999"]);
}

#[tokio::test]
async fn what_the_registry_has_counts_not_what_was_sent() {
    // the second half of a request is lost, though it was accepted
    let lost = AtomicUsize::new(0);
    let (server, fake) = Fake::start(move |request| {
        let first = request.method == "PATCH" && lost.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| reply(416).header("Range", "0-0"))
    })
    .await;
    let bytes = noise(1, SIZE);
    send(&client(), &server.address.to_string(), &bytes).await.expect("sent");
    assert_eq!(fake.blobs.lock().expect("unpoisoned").values().next(), Some(&bytes));
    assert_eq!((server.count("POST"), server.count("GET")), (1, 1), "{:?}", server.seen());
}

#[tokio::test]
async fn a_vanished_upload_is_begun_anew() {
    let gone = AtomicUsize::new(0);
    let (server, fake) = Fake::start(move |request| {
        let first = request.method == "PATCH" && gone.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| reply(404).body(r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#))
    })
    .await;
    let bytes = noise(1, SIZE);
    send(&client(), &server.address.to_string(), &bytes).await.expect("sent");
    assert_eq!(fake.blobs.lock().expect("unpoisoned").values().next(), Some(&bytes));
    assert_eq!(server.count("POST"), 2);
    let (server, _) = Fake::start(|request| (request.method == "PATCH").then(|| reply(404))).await;
    send(&client(), &server.address.to_string(), &bytes).await.expect_err("not for ever");
    assert_eq!(server.count("POST"), 4);
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_left() {
    let stalled = AtomicUsize::new(0);
    let fates = move |request: &Request| match request.method.as_str() {
        "PATCH" if stalled.fetch_add(1, Ordering::SeqCst) == 0 => Fate::Stall,
        _ => Fate::Answer,
    };
    let (server, fake) = Fake::default().serve_with(fates, |_| None).await;
    let quick = ClientOptions {
        idle_timeout: Duration::from_millis(200),
        connect_timeout: Duration::from_millis(500),
        ..options()
    };
    // more than the sockets hold
    let bytes = noise(1, 20_000_000);
    let client = Client::new(quick).expect("a client");
    send(&client, &server.address.to_string(), &bytes).await.expect("sent in the end");
    assert_eq!(fake.blobs.lock().expect("unpoisoned").len(), 1);
}

#[tokio::test]
async fn another_process_goes_on_with_an_upload() {
    let top = tempfile::tempdir().expect("a directory");
    let broken = Arc::new(AtomicUsize::new(0));
    let count = broken.clone();
    let fates = move |request: &Request| match request.method.as_str() {
        "PATCH" if count.fetch_add(1, Ordering::SeqCst) == 0 => Fate::Break(1_500_000),
        // from then on nothing comes through, until the process is gone
        _ if (1..100).contains(&count.load(Ordering::SeqCst)) => Fate::Break(0),
        _ => Fate::Answer,
    };
    let (server, fake) = Fake::default().serve_with(fates, |_| None).await;
    let noting = || {
        let notes = Some(top.path().to_owned());
        Client::new(ClientOptions { upload_notes: notes, ..options() }).expect("a client")
    };
    let (bytes, host) = (noise(1, SIZE), server.address.to_string());
    send(&noting(), &host, &bytes).await.expect_err("it breaks");
    assert_eq!(std::fs::read_dir(top.path()).expect("readable").count(), 1);
    broken.store(100, Ordering::SeqCst);
    send(&noting(), &host, &bytes).await.expect("sent");
    assert_eq!(fake.blobs.lock().expect("unpoisoned").values().next(), Some(&bytes));
    assert_eq!(server.count("POST"), 1);
    let came: usize = server.requests().iter().map(|request| request.body.len()).sum();
    assert_eq!(came, SIZE);
    assert_eq!(std::fs::read_dir(top.path()).expect("readable").count(), 0, "notes go with the upload");
}

/// The request that ends an upload may be taken in when its process is gone already.
#[tokio::test]
async fn what_came_in_late_is_not_sent_again() {
    let top = tempfile::tempdir().expect("a directory");
    let noting = || {
        let notes = Some(top.path().to_owned());
        Client::new(ClientOptions { upload_notes: notes, ..options() }).expect("a client")
    };
    let bytes = noise(1, SIZE);
    let (closing, late) = (Arc::new(AtomicUsize::new(0)), Arc::new(OnceLock::<Arc<Fake>>::new()));
    let (count, place, whole) = (closing.clone(), late.clone(), bytes.clone());
    let fates = move |request: &Request| match request.method.as_str() {
        "PUT" if count.load(Ordering::SeqCst) == 0 => Fate::Early(reply(500)),
        _ => Fate::Answer,
    };
    let before = move |request: &Request| {
        let session = request.method == "GET" && request.path().contains("/uploads/");
        match place.get().filter(|_| session) {
            Some(fake) => {
                fake.put_blob("a", &whole);
                Some(reply(404).body(r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#))
            }
            None => None,
        }
    };
    let (server, fake) = Fake::default().serve_with(fates, before).await;
    let host = server.address.to_string();
    send(&noting(), &host, &bytes).await.expect_err("it is never ended");
    closing.store(1, Ordering::SeqCst);
    assert!(late.set(fake).is_ok());
    send(&noting(), &host, &bytes).await.expect("it is there");
    let came: usize = server.requests().iter().map(|request| request.body.len()).sum();
    assert_eq!((server.count("POST"), came), (1, SIZE));
    assert_eq!(std::fs::read_dir(top.path()).expect("readable").count(), 0, "notes go with the upload");
}

/// Passes bytes on to a server and breaks each of its first connections after so many.
fn breaking(target: String, after: Vec<usize>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let mut limits = after.into_iter();
        for client in listener.incoming().flatten() {
            let (limit, target) = (limits.next().unwrap_or(usize::MAX), target.clone());
            std::thread::spawn(move || pass_on(client, &target, limit));
        }
    });
    host
}

fn pass_on(mut client: std::net::TcpStream, target: &str, limit: usize) {
    let Ok(mut server) = std::net::TcpStream::connect(target) else { return };
    let (Ok(mut back), Ok(mut from)) = (client.try_clone(), server.try_clone()) else { return };
    let answers = std::thread::spawn(move || std::io::copy(&mut from, &mut back));
    let (mut left, mut buffer) = (limit, [0; 16384]);
    while left > 0 {
        let most = left.min(buffer.len());
        match client.read(&mut buffer[..most]) {
            Ok(0) | Err(_) => break,
            Ok(count) if server.write_all(&buffer[..count]).is_err() => break,
            Ok(count) => left -= count,
        }
    }
    let _ = (server.shutdown(std::net::Shutdown::Both), client.shutdown(std::net::Shutdown::Both));
    let _ = answers.join();
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_registry_takes_up_a_broken_upload() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    // the first connection asks for the scheme and more; all that upload break
    let host = breaking(registry.host(), vec![3_000_000, 2_000_000, 1_000_000, 4_000_000]);
    let bytes = noise(1, 12_000_000);
    send(&client(), &host, &bytes).await.expect("sent");
    let name = reference(&format!("{}/a", registry.host()));
    assert!(read_blob(&client(), &name, &layer(&bytes)).await.expect("whole") == bytes);
}
