//! What transfers cost in memory, in a process of their own: the registry is another.

mod support;

use std::io::Write as _;

use oci::{Compression, Descriptor, Hasher, MediaType};
use registry_client::{BlobSource, Client, ClientOptions, SplitPolicy};
use support::docker_registry::{DockerRegistry, Setup};
use support::{noise, options, reference};
use tokio::io::AsyncReadExt as _;

const LAYERS: u64 = 8;
const MEBIBYTES: usize = 32;
const LIMIT: u64 = 96 << 10;

/// A layer in a file, made piece by piece.
fn layer(folder: &std::path::Path, number: u64) -> (Descriptor, BlobSource) {
    let path = folder.join(format!("layer{number}"));
    let mut file = std::fs::File::create(&path).expect("made");
    let (piece, mut hasher) = (noise(number, 1 << 20), Hasher::new(oci::Algorithm::Sha256));
    for _ in 0..MEBIBYTES {
        file.write_all(&piece).expect("written");
        hasher.update(&piece);
    }
    let kind = MediaType::OciLayer(Compression::Gzip);
    (Descriptor::new(kind, hasher.finish(), (MEBIBYTES << 20) as u64), BlobSource::file(path))
}

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

async fn read(client: &Client, name: &oci::Reference, blob: &Descriptor) -> u64 {
    let mut reader = client.blob(name.repository(), blob).await.expect("it opens");
    let (mut buffer, mut got) = (vec![0; 64 << 10], 0);
    loop {
        match reader.read(&mut buffer).await.expect("it is read") {
            0 => return got,
            count => got += count as u64,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_layers_at_once_fit_into_little_memory() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let folder = tempfile::tempdir().expect("a directory");
    // Large enough for several ranges at once.
    let split = SplitPolicy { from: 16 << 20, ..SplitPolicy::default() };
    let client = Client::new(ClientOptions { split, ..options() }).expect("a client");
    let name = reference(&format!("{}/large", registry.host()));
    let layers: Vec<_> = (0..LAYERS).map(|number| layer(folder.path(), number)).collect();
    let pushes = layers.iter().map(|(blob, source)| client.push_blob(name.repository(), blob, source, &[]));
    for pushed in futures::future::join_all(pushes).await {
        pushed.expect("pushed");
    }
    let reads = layers.iter().map(|(blob, _)| read(&client, &name, blob));
    for (got, (blob, _)) in futures::future::join_all(reads).await.into_iter().zip(&layers) {
        assert_eq!(got, blob.size);
    }
    let peak = peak();
    println!("{peak} KiB at the peak");
    assert!(peak < LIMIT, "{peak} KiB at the peak");
}
