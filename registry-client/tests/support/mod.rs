//! Servers on loopback, and images to move about.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod docker_registry;
pub mod fake;
pub mod server;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use oci::{
    Compression, Descriptor, DiffId, Digest, Document, ImageConfig, Manifest, MediaType, Reference, RootFs,
};
use registry_client::{BlobSource, Client, ClientOptions, RetryPolicy};
use tokio::io::AsyncReadExt;

/// Says that a test did not run, and why; in CI that is a failure.
#[allow(clippy::print_stderr, clippy::disallowed_methods, reason = "a test tells who runs it")]
pub fn skipped(reason: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}");
    eprintln!("skipped: {reason}");
}

/// Makes a key and a certificate that it signs itself. Whether openssl is there and did it.
pub fn own_certificate(subject: &str, extensions: &[&str], key: &Path, certificate: &Path) -> bool {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    command.args(["-days", "30", "-subj", subject]);
    for extension in extensions {
        command.args(["-addext", extension]);
    }
    let made = command.arg("-keyout").arg(key).arg("-out").arg(certificate).output();
    made.is_ok_and(|output| output.status.success())
}

/// Quick retries.
pub fn options() -> ClientOptions {
    let retry = RetryPolicy {
        attempts: 4,
        first_wait: Duration::from_millis(2),
        longest_wait: Duration::from_secs(2),
        budget: Duration::from_secs(60),
    };
    ClientOptions { retry, idle_timeout: Duration::from_secs(5), ..ClientOptions::default() }
}

pub fn client() -> Client {
    Client::new(options()).expect("a client")
}

pub fn reference(text: &str) -> Reference {
    text.parse().expect("a good name")
}

/// Bytes that do not repeat soon.
pub fn noise(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub fn layer(bytes: &Bytes) -> Descriptor {
    Descriptor::new(MediaType::OciLayer(Compression::Gzip), Digest::sha256(bytes), bytes.len() as u64)
}

/// An image of one layer. The layer is no real tar: nobody here unpacks it.
pub struct Image {
    pub layer: Bytes,
    pub config: Document<ImageConfig>,
    pub manifest: Document<Manifest>,
}

pub fn image(seed: u64, layer_size: usize) -> Image {
    let bytes = noise(seed, layer_size);
    let config = ImageConfig {
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        rootfs: RootFs { diff_ids: vec![DiffId(Digest::sha256(&bytes))], ..RootFs::default() },
        ..ImageConfig::default()
    };
    let config = Document::create(MediaType::OciConfig, config);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OciManifest),
        config: config.descriptor().clone(),
        layers: vec![layer(&bytes)],
        annotations: Default::default(),
        other: Default::default(),
    };
    Image { layer: bytes, config, manifest: Document::create(MediaType::OciManifest, manifest) }
}

/// Pushes layer, config and manifest.
pub async fn push(client: &Client, name: &Reference, image: &Image) {
    let repository = name.repository();
    let source = BlobSource::bytes(image.layer.clone());
    client.push_blob(repository, &layer(&image.layer), &source, &[]).await.expect("the layer is pushed");
    let source = BlobSource::bytes(image.config.raw().clone());
    client
        .push_blob(repository, image.config.descriptor(), &source, &[])
        .await
        .expect("the config is pushed");
    let raw = image.manifest.raw().clone();
    client.push_manifest(name, &MediaType::OciManifest, raw).await.expect("the manifest is pushed");
}

/// A whole blob, or how it failed.
pub async fn read_blob(
    client: &Client,
    name: &Reference,
    descriptor: &Descriptor,
) -> Result<Vec<u8>, String> {
    let mut reader = client.blob(name.repository(), descriptor).await.map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.map_err(|error| error.to_string())?;
    Ok(bytes)
}
