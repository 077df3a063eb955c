//! Large blobs that come in several ranges at once.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use oci::Hasher;
use registry_client::{Client, ClientOptions, HadBytes, SplitPolicy};
use support::fake::{blob_server, ranged};
use support::server::{Reply, Request, Server, reply};
use support::{layer, noise, options, read_blob, reference};
use tokio::io::AsyncReadExt;

const PIECE: u64 = 50_000;
const SIZE: usize = 1_000_000;

fn splitting() -> Client {
    let split = SplitPolicy { from: 100_000, piece: PIECE, at_once: 4, in_all: 4 };
    Client::new(ClientOptions { split, ..options() }).expect("a client")
}

fn starts(server: &Server) -> Vec<u64> {
    let start = |range: &str| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok();
    let mut starts: Vec<u64> =
        server.requests().iter().filter_map(|request| start(request.header("range")?)).collect();
    starts.sort_unstable();
    starts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_ranges_are_under_way_at_once_and_arrive_in_order() {
    let bytes = noise(1, SIZE);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, seen) = (now.clone(), most.clone());
    let server = blob_server(&bytes, move |_, request, bytes| {
        seen.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        inside.fetch_sub(1, Ordering::SeqCst);
        ranged(request, bytes)
    })
    .await;
    let (client, name) = (splitting(), reference(&format!("{}/a", server.address)));
    assert!(read_blob(&client, &name, &layer(&bytes)).await.expect("whole") == bytes);
    let expected: Vec<u64> = (0..SIZE as u64).step_by(PIECE as usize).collect();
    assert_eq!(starts(&server), expected, "each piece once");
    assert!((2..=4).contains(&most.load(Ordering::SeqCst)), "{} at once", most.load(Ordering::SeqCst));
    // Lanes are given back: the next blob is split as well.
    assert!(read_blob(&client, &name, &layer(&bytes)).await.expect("whole") == bytes);
    assert_eq!(starts(&server).len(), 2 * expected.len());
}

#[tokio::test]
async fn small_blobs_and_servers_without_ranges_get_one_request() {
    for (size, ranges, requests) in [(99_999, true, 1), (SIZE, false, 1)] {
        let bytes = noise(2, size);
        let server = blob_server(&bytes, move |_, request, bytes| match ranges {
            true => ranged(request, bytes),
            false => reply(200).body(bytes.clone()),
        })
        .await;
        let name = reference(&format!("{}/a", server.address));
        assert!(read_blob(&splitting(), &name, &layer(&bytes)).await.expect("whole") == bytes);
        assert_eq!(server.count("GET"), requests, "{size}");
    }
}

#[tokio::test]
async fn a_piece_that_breaks_goes_on_where_it_was() {
    let bytes = noise(3, SIZE);
    let server = blob_server(&bytes, |n, request, bytes| match n % 3 {
        1 => ranged(request, bytes).cut(20_000),
        _ => ranged(request, bytes),
    })
    .await;
    let name = reference(&format!("{}/a", server.address));
    assert!(read_blob(&splitting(), &name, &layer(&bytes)).await.expect("whole") == bytes);
    assert!(starts(&server).iter().any(|start| start % PIECE == 20_000), "{:?}", starts(&server));
}

#[tokio::test]
async fn pieces_of_other_bytes_are_refused() {
    let bytes = noise(4, SIZE);
    for lie in [
        (|request, bytes| {
            let mut other = bytes.to_vec();
            other[600_000] ^= 1;
            ranged(request, &other.into())
        }) as fn(&Request, &Bytes) -> Reply,
        |request, bytes| match request.header("range") {
            Some("bytes=500000-549999") => reply(206)
                .header("Content-Range", format!("bytes 0-49999/{SIZE}"))
                .body(bytes.slice(..PIECE as usize)),
            _ => ranged(request, bytes),
        },
        |request, bytes| match request.header("range") {
            Some("bytes=500000-549999") => reply(404),
            _ => ranged(request, bytes),
        },
    ] {
        let server = blob_server(&bytes, move |_, request, bytes| lie(request, bytes)).await;
        let name = reference(&format!("{}/a", server.address));
        let error = read_blob(&splitting(), &name, &layer(&bytes)).await.expect_err("a lie");
        assert!(error.contains("sha256:"), "{error}");
    }
}

#[tokio::test]
async fn what_is_there_already_is_left_out() {
    let bytes = noise(5, SIZE);
    let server = blob_server(&bytes, |_, request, bytes| ranged(request, bytes)).await;
    let (name, blob) = (reference(&format!("{}/a", server.address)), layer(&bytes));
    let mut hasher = Hasher::new(blob.digest.algorithm());
    hasher.update(&bytes[..123_456]);
    let had = HadBytes { hasher, length: 123_456 };
    let mut rest = Vec::new();
    let reader = splitting().rest_of_blob(name.repository(), &blob, had).await;
    reader.expect("opened").read_to_end(&mut rest).await.expect("the rest");
    assert!(rest == bytes[123_456..]);
    assert_eq!(starts(&server).first(), Some(&123_456));
}
