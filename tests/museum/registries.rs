//! Registries that want credentials for somebody else, or send us where they cannot go themselves.

use defence::Defence;
use oci::{Compression, Descriptor, Digest, MediaType, Reference};
use registry_client::{BlobSource, Client, ClientOptions, Credential, Credentials, RetryPolicy, Secret};
use tokio::io::AsyncReadExt;

use crate::exhibit::{Exhibit, Loot};
use crate::servers::{Reply, Request, Server, reply};

pub const EXHIBITS: &[Exhibit] = &[
    Exhibit::outside("redirect-takes-credentials", &[Defence::CredentialsAtHome], |_| run(redirect())),
    Exhibit::outside("upload-location-takes-credentials", &[Defence::CredentialsAtHome], |_| run(upload())),
    Exhibit::outside("redirect-to-forbidden-address", &[Defence::AddressesJudged], |_| run(forbidden())),
    Exhibit::outside(
        "token-server-at-forbidden-address",
        &[Defence::AddressesJudged, Defence::RealmsNear],
        |_| run(realm()),
    ),
    Exhibit::outside("manifest-of-another-digest", &[Defence::DocumentsVerified], |_| run(other_manifest())),
    Exhibit::outside("manifest-without-end", &[Defence::AnswersBounded], |_| run(endless_manifest())),
];

fn run(attack: impl Future<Output = Loot>) -> Loot {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(attack)
}

/// A client that knows the password of one host.
fn client(host: &str) -> Client {
    let user = Credential::Basic { username: "me".to_owned(), password: Secret::new("hunter2") };
    let retry = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
    let credentials = Credentials::anonymous().with(host, user);
    Client::new(ClientOptions { credentials, retry, ..ClientOptions::default() }).unwrap()
}

fn reference(server: &Server) -> Reference {
    format!("{}/a:1", server.address).parse().unwrap()
}

fn blob(bytes: &'static [u8]) -> Descriptor {
    Descriptor::new(MediaType::OciLayer(Compression::Gzip), Digest::sha256(bytes), bytes.len() as u64)
}

/// The password, where a server was shown it.
fn shown_to(server: &Server) -> Loot {
    server.requests().iter().find_map(|request| request.header("authorization").map(str::to_owned))
}

/// A registry that wants a password, and then answers so.
async fn registry(then: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| match request.header("authorization") {
        None => reply(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        Some(_) => then(request),
    })
    .await
}

async fn redirect() -> Loot {
    let other = Server::start(|_| reply(200).body("x")).await;
    let target = format!("http://{}/blob", other.address);
    let home = registry(move |_| reply(307).header("Location", target.clone())).await;
    let name = reference(&home);
    let mut text = Vec::new();
    if let Ok(mut body) = client(&home.address.to_string()).blob(name.repository(), &blob(b"x")).await {
        let _ = body.read_to_end(&mut text).await;
    }
    assert!(!other.requests().is_empty(), "the redirect is followed");
    shown_to(&other)
}

async fn upload() -> Loot {
    let other = Server::start(|_| reply(201)).await;
    let target = format!("http://{}/upload", other.address);
    let home = registry(move |request| match request.method.as_str() {
        "POST" => reply(202).header("Location", target.clone()),
        _ => reply(404),
    })
    .await;
    let (name, source) = (reference(&home), BlobSource::bytes(bytes::Bytes::from_static(b"x")));
    let _ = client(&home.address.to_string()).push_blob(name.repository(), &blob(b"x"), &source, &[]).await;
    assert!(!other.requests().is_empty(), "the location is used");
    shown_to(&other)
}

/// 0.0.0.0 stands for what nobody may send us to, as the addresses where clouds keep secrets: on Linux it leads
/// to this machine.
async fn forbidden() -> Loot {
    let other = Server::start(|_| reply(200).body("x")).await;
    let target = format!("http://0.0.0.0:{}/secrets", other.address.port());
    let home = registry(move |_| reply(307).header("Location", target.clone())).await;
    let name = reference(&home);
    let _ = client(&home.address.to_string()).blob(name.repository(), &blob(b"x")).await;
    (!other.requests().is_empty()).then(|| "a request to a forbidden address".to_owned())
}

async fn realm() -> Loot {
    let other = Server::start(|_| reply(200).body(r#"{"token":"t"}"#)).await;
    let port = other.address.port();
    let home = Server::start(move |_| {
        let challenge = format!("Bearer realm=\"http://0.0.0.0:{port}/token\",service=\"s\"");
        reply(401).header("WWW-Authenticate", challenge)
    })
    .await;
    let _ = client(&home.address.to_string()).resolve(&reference(&home)).await;
    shown_to(&other)
}

const MANIFEST: &str = r#"{"schemaVersion":2,"layers":[],"config":{
    "mediaType":"application/vnd.oci.image.config.v1+json","size":2,
    "digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}"#;

fn manifest(body: impl Into<bytes::Bytes>) -> Reply {
    reply(200).header("Content-Type", MediaType::OciManifest.as_str()).body(body)
}

async fn other_manifest() -> Loot {
    let home = Server::start(|_| manifest(MANIFEST)).await;
    let name: Reference = format!("{}/a@{}", home.address, Digest::sha256("other")).parse().unwrap();
    let found = client("nobody").image_document(&name).await;
    found.is_ok().then(|| "a manifest of another digest".to_owned())
}

async fn endless_manifest() -> Loot {
    let long = MANIFEST.to_owned() + &" ".repeat(16 << 20);
    let home = Server::start(move |_| manifest(long.clone())).await;
    let found = client("nobody").image_document(&reference(&home)).await;
    found.is_ok().then(|| "a manifest of 16 MiB".to_owned())
}
