//! Mirrors that stand for many registries.

mod support;

use std::path::Path;

use registry_client::{Client, ClientOptions, Hosts};
use support::fake::Fake;
use support::server::{Server, reply};
use support::{image, layer, options, push, read_blob, reference};

/// Settings in `HOST/hosts.toml` of a directory.
fn client(directory: &Path, host: &str, text: &str) -> Client {
    let folder = directory.join(host);
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("hosts.toml"), text).expect("written");
    let hosts = Hosts::default().with_directory(directory);
    Client::new(ClientOptions { hosts, ..options() }).expect("a client")
}

#[tokio::test]
async fn a_mirror_is_told_whose_it_is_and_nobody_else() {
    let (registry, fake) = Fake::start(|_| None).await;
    let storage_fake = fake.clone();
    let storage = Server::start(move |request| storage_fake.handle(request)).await;
    let (mirrored, elsewhere) = (fake.clone(), storage.address);
    let mirror = Server::start(move |request| match request.path().contains("/blobs/") {
        true => reply(307).header("Location", format!("http://{elsewhere}{}", request.path())),
        false => mirrored.handle(request),
    })
    .await;
    let directory = tempfile::tempdir().expect("a directory");
    let host = registry.address.to_string();
    let text = format!("server = \"http://{host}\"\n[host.\"http://{}\"]\n", mirror.address);
    let client = client(directory.path(), &host, &text);
    let (name, image) = (reference(&format!("{host}/a/b")), image(1, 100));
    push(&client, &name, &image).await;
    let pushed = registry.seen();
    client.image_document(&name).await.expect("there");
    assert!(read_blob(&client, &name, &layer(&image.layer)).await.expect("whole") == image.layer);
    let ns = format!("?ns={}", host.replace(':', "%3A"));
    assert_eq!(
        mirror.seen(),
        [
            format!("GET /v2/a/b/manifests/latest{ns}"),
            format!("GET /v2/a/b/blobs/{}{ns}", layer(&image.layer).digest)
        ]
    );
    assert!(pushed.iter().chain(&storage.seen()).all(|line| !line.contains("ns=")), "{pushed:?}");
    assert_eq!(registry.seen(), pushed, "it was not asked for what the mirror has");
}
