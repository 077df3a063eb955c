//! Pushing and pulling under seeded faults, killed and restarted at random; and registries that answer
//! anything at all. `RBUILD_CHAOS_SEEDS` sets how many runs there are, `RBUILD_HOSTILE_REPLIES` how many
//! answers; tests/long-runs sets both high.

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use oci::{DiffId, Digest, Document, ImageConfig, Manifest, MediaType, Platform, Reference, RootFs};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use registry_client::{
    Access, BlobSource, Client, ClientOptions, Credential, Credentials, RetryPolicy, Secret,
};
use support::fake::Fake;
use support::server::{Fate, Reply, Request, Server, reply};
use support::{layer, noise, read_blob, reference};

/// How many are wanted.
#[allow(clippy::disallowed_methods, reason = "a long run is asked for from outside")]
fn wanted(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Patient, but with short waits.
fn patient(credentials: Credentials, notes: Option<std::path::PathBuf>) -> Client {
    let retry = RetryPolicy {
        attempts: 16,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(20),
        budget: Duration::from_secs(120),
    };
    let options = ClientOptions {
        retry,
        credentials,
        upload_notes: notes,
        idle_timeout: Duration::from_millis(400),
        connect_timeout: Duration::from_secs(1),
        ..ClientOptions::default()
    };
    Client::new(options).expect("a client")
}

struct Image {
    layers: Vec<Bytes>,
    config: Document<ImageConfig>,
    manifest: Document<Manifest>,
}

fn image(seed: u64, random: &mut StdRng) -> Image {
    let sizes = (0..4).map(|_| random.random_range(50_000..700_000));
    let layers: Vec<Bytes> = sizes.enumerate().map(|(n, size)| noise(seed * 8 + n as u64, size)).collect();
    let config = ImageConfig {
        architecture: Platform::host().architecture,
        os: "linux".to_owned(),
        rootfs: RootFs {
            diff_ids: layers.iter().map(|bytes| DiffId(Digest::sha256(bytes))).collect(),
            ..RootFs::default()
        },
        ..ImageConfig::default()
    };
    let config = Document::create(MediaType::OciConfig, config);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OciManifest),
        config: config.descriptor().clone(),
        layers: layers.iter().map(layer).collect(),
        annotations: Default::default(),
        other: Default::default(),
    };
    Image { layers, config, manifest: Document::create(MediaType::OciManifest, manifest) }
}

async fn push(client: &Client, name: &Reference, image: &Image) {
    let blobs = image.layers.iter().map(|bytes| (layer(bytes), bytes.clone()));
    let blobs = blobs.chain([(image.config.descriptor().clone(), image.config.raw().clone())]);
    let pushes = blobs.map(|(descriptor, bytes)| async move {
        client.push_blob(name.repository(), &descriptor, &BlobSource::bytes(bytes), &[]).await
    });
    for pushed in futures::future::join_all(pushes).await {
        pushed.expect("a blob is pushed");
    }
    client
        .push_manifest(name, &MediaType::OciManifest, image.manifest.raw().clone())
        .await
        .expect("the manifest is pushed");
}

async fn pull(client: &Client, name: &Reference, image: &Image) {
    let found = client.fetch_image(name, &Platform::host()).await.expect("it is there");
    assert_eq!(found.manifest.raw(), image.manifest.raw());
    let layers = &found.manifest.parsed().layers;
    let reads = layers.iter().map(|descriptor| read_blob(client, name, descriptor));
    for (bytes, expected) in futures::future::join_all(reads).await.into_iter().zip(&image.layers) {
        assert!(bytes.expect("a layer is pulled") == *expected, "another layer");
    }
}

/// The dice of one run.
struct Dice {
    random: Mutex<StdRng>,
    /// Requests that the present token still serves for.
    token: AtomicUsize,
    tokens: AtomicUsize,
}

impl Dice {
    fn roll<T>(&self, roll: impl FnOnce(&mut StdRng) -> T) -> T {
        roll(&mut self.random.lock().expect("unpoisoned"))
    }

    /// What harm comes to a request.
    fn fate(&self, request: &Request) -> Fate {
        if request.path() == "/v2/" || request.path() == "/token" {
            return Fate::Answer;
        }
        if let Some(refusal) = self.challenge(request) {
            return Fate::Early(refusal);
        }
        let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        self.roll(|random| match random.random_range(0..100) {
            0..4 => Fate::Break(random.random_range(0..=length)),
            4..6 => Fate::Mute,
            6..9 => Fate::Early(reply([500, 502, 503, 504][random.random_range(0..4)])),
            9..11 => Fate::Early(reply(429)),
            11..12 => Fate::Early(reply(429).header("Retry-After", "0")),
            12 if random.random_ratio(1, 4) => Fate::Stall,
            _ => Fate::Answer,
        })
    }

    /// Tokens serve for some requests only.
    fn challenge(&self, request: &Request) -> Option<Reply> {
        let good = format!("Bearer T{}", self.tokens.load(Ordering::SeqCst));
        let shown = request.header("authorization") == Some(&good);
        let spent = self.token.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let host = request.header("host").unwrap_or_default();
        let challenge = format!(r#"Bearer realm="http://{host}/token",service="s""#);
        (!shown || spent.is_err()).then(|| reply(401).header("WWW-Authenticate", challenge))
    }

    /// What comes in place of the registry's own answer.
    fn before(&self, request: &Request, fake: &Fake, lost: &AtomicUsize) -> Option<Reply> {
        if request.path() == "/token" {
            if request.header("authorization").is_none() {
                return Some(reply(401));
            }
            let number = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
            self.token.store(self.roll(|random| random.random_range(5..60)), Ordering::SeqCst);
            return Some(reply(200).body(format!(r#"{{"token":"T{number}","expires_in":300}}"#)));
        }
        let dice = self.roll(|random| random.random_range(0..200));
        if request.method == "PATCH" && dice == 0 {
            // the registry forgets the upload
            let name = request.path().rsplit('/').next().unwrap_or_default().to_owned();
            let gone = fake.uploads.lock().expect("unpoisoned").remove(&name);
            lost.fetch_add(gone.map_or(0, |had| had.len()) + request.body.len(), Ordering::SeqCst);
            return Some(reply(404).body(r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#));
        }
        if request.method != "GET" {
            return None;
        }
        let answer = fake.handle(request);
        let length = answer.body.len();
        match (answer.status, dice) {
            (200 | 206, 1..10) => Some(answer.cut(self.roll(|random| random.random_range(0..=length)))),
            (200 | 206, 10) => Some(Reply { stall: Some(length / 2), ..answer }),
            (200 | 206, 11..16) => Some(Reply { slow: Some(length / 8 + 1), ..answer }),
            (200 | 206, 16..26) => {
                // servers need not say these
                let mut bare = answer;
                bare.headers.retain(|(name, _)| name == "Content-Type" || name == "Content-Range");
                Some(bare)
            }
            (206, 26..30) => {
                // and may ignore ranges
                let mut whole = request.clone();
                whole.headers.remove("range");
                Some(fake.handle(&whole))
            }
            _ => Some(answer),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_finish_under_any_faults() {
    for seed in 0..wanted("RBUILD_CHAOS_SEEDS", 40) {
        let outcome = tokio::time::timeout(Duration::from_secs(60), tokio::spawn(run(seed))).await;
        assert!(matches!(outcome, Ok(Ok(()))), "seed {seed}: {outcome:?}");
    }
}

async fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let image = Arc::new(image(seed, &mut random));
    let dice = Arc::new(Dice {
        random: Mutex::new(StdRng::seed_from_u64(seed + 1_000_000)),
        token: AtomicUsize::new(0),
        tokens: AtomicUsize::new(0),
    });
    let lost = Arc::new(AtomicUsize::new(0));
    let (fates, answers, forgotten) = (dice.clone(), dice.clone(), lost.clone());
    let fake = Arc::new(Fake::default());
    let inner = fake.clone();
    let server = Server::with_fates(
        move |request| fates.fate(request),
        move |request| answers.before(request, &inner, &forgotten).unwrap_or_else(|| inner.handle(request)),
    )
    .await;
    let notes = tempfile::tempdir().expect("a directory");
    let host = server.address.to_string();
    let name = reference(&format!("{host}/a/b:v1"));
    let process = || {
        let known = Credential::Basic { username: "me".to_owned(), password: Secret::new("pw") };
        let credentials = Credentials::anonymous().with(&host, known);
        patient(credentials, Some(notes.path().to_owned()))
    };
    // killed a few times, then left to finish
    for _ in 0..random.random_range(0..3) {
        let (client, name, image) = (process(), name.clone(), image.clone());
        let pushing = tokio::spawn(async move { push(&client, &name, &image).await });
        tokio::time::sleep(Duration::from_millis(random.random_range(1..60))).await;
        pushing.abort();
        let _ = pushing.await;
    }
    push(&process(), &name, &image).await;
    pull(&process(), &name, &image).await;
    let bodies = server.requests().into_iter().filter(|request| request.path().contains("/uploads/"));
    let sent: usize = bodies.map(|request| request.body.len()).sum();
    let payload: usize = image.layers.iter().map(Bytes::len).sum();
    let lost = lost.load(Ordering::SeqCst);
    let seen = || {
        let all = server.requests();
        let lines = all.iter().filter(|request| !request.path().contains("token")).map(|request| {
            format!(
                "{} {} {} {:?}",
                request.method,
                request.target,
                request.body.len(),
                request.header("content-range")
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    assert!(sent <= payload * 11 / 10 + lost, "{sent} bytes for {payload}, {lost} forgotten\n{}", seen());
    let left = std::fs::read_dir(notes.path()).expect("readable").count();
    assert_eq!(left, 0, "notes are taken away");
}

const PASSWORD: &str = "hunter2-hunter2";

/// An address of this machine that is not loopback, if it has one. Nothing is sent.
fn outer_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
}

/// Some answer. `away` is where nothing secret may come.
fn anything(random: &mut StdRng, own: &str, away: &[String]) -> Reply {
    const STATUS: &[u16] =
        &[200, 200, 201, 202, 204, 206, 301, 302, 307, 308, 400, 401, 401, 401, 403, 404, 413, 416, 429, 500];
    let mut answer = reply(STATUS[random.random_range(0..STATUS.len())]);
    let place = |random: &mut StdRng| match random.random_range(0..8) {
        0 => format!("http://{own}/token"),
        1 => "/token".to_owned(),
        2 => "http://169.254.169.254/latest/meta-data".to_owned(),
        3 => "file:///etc/passwd".to_owned(),
        4 => format!("http://me:{PASSWORD}@{own}/x"),
        5 => "http://[".to_owned(),
        _ => away[random.random_range(0..away.len())].clone(),
    };
    for name in ["Location", "Link", "WWW-Authenticate", "Range", "Content-Range", "Docker-Content-Digest"] {
        if random.random_ratio(1, 3) {
            continue;
        }
        let value = match name {
            "Location" => place(random),
            "Link" => format!("<{}>; rel=\"next\"", place(random)),
            "WWW-Authenticate" => match random.random_range(0..4) {
                0 => "Basic realm=\"x\"".to_owned(),
                1 => "Bearer realm=\"".to_owned(),
                // a token server on loopback is one that a loopback registry may name
                _ => match place(random) {
                    realm if realm.contains("127.0.0.1") && !realm.contains(own) => "Bearer".to_owned(),
                    realm => format!("Bearer realm=\"{realm}\",service=\"s\",scope=\"repository:a:pull\""),
                },
            },
            "Range" => ["0-0", "0-18446744073709551615", "9-1", "-", "bytes=0-99"][random.random_range(0..5)]
                .to_owned(),
            "Content-Range" => {
                ["bytes 0-9/10", "bytes */0", "x", "bytes 5-/"][random.random_range(0..4)].to_owned()
            }
            _ => ["sha256:00", "sha512:", "x", ""][random.random_range(0..4)].to_owned(),
        };
        answer = answer.header(name, value);
    }
    let kinds = [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "text/html",
        "\u{7f}",
    ];
    if random.random_ratio(2, 3) {
        answer = answer.header("Content-Type", kinds[random.random_range(0..3)]);
    }
    let bodies = [
        r#"{"token":"T","access_token":"U","refresh_token":"R","expires_in":18446744073709551615}"#,
        r#"{"tags":["a"],"repositories":[null]}"#,
        r#"{"schemaVersion":2,"manifests":[],"layers":null}"#,
        r#"{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":18446744073709551615},"layers":[]}"#,
        r#"{"errors":[{"code":"\u001b[31m","message":null}]}"#,
        "[[[[[[[[[[[[",
        "\u{0}\u{ff}",
        "",
    ];
    answer = answer.body(bodies[random.random_range(0..bodies.len())]);
    match random.random_range(0..12) {
        0 => answer.header("Content-Length", "18446744073709551615"),
        1 => answer.header("Content-Length", "-1"),
        2 => answer.cut(random.random_range(0..4)),
        3 => Reply { endless: true, ..answer },
        4 => answer.header("OCI-Chunk-Min-Length", "18446744073709551615"),
        5 => answer.header("Retry-After", "18446744073709551615"),
        _ => answer,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_makes_it_tell_a_secret_or_panic() {
    let thief = Server::start(|_| reply(200).body(r#"{"token":"T"}"#)).await;
    let mut away = vec![format!("http://127.0.0.1:{}/steal", thief.address.port())];
    let outer = outer_address();
    if let Some(address) = outer {
        away.push(format!("http://{address}:{}/steal", thief.address.port()));
    }
    let answered = Arc::new(AtomicUsize::new(0));
    let most = wanted("RBUILD_HOSTILE_REPLIES", 600);
    let told = || answered.load(Ordering::SeqCst) as u64;
    for seed in (0..).take_while(|_| told() < most) {
        let outcome = tokio::spawn(hostile(seed, away.clone(), answered.clone()));
        let outcome = tokio::time::timeout(Duration::from_secs(60), outcome).await;
        assert!(matches!(outcome, Ok(Ok(()))), "seed {seed}: {outcome:?}");
    }
    let secret = base64::engine::general_purpose::STANDARD.encode(format!("me:{PASSWORD}"));
    for request in thief.requests() {
        let all = format!("{request:?}");
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let told = [PASSWORD, secret.as_str()].iter().any(|part| all.contains(part) || body.contains(part));
        assert!(!told && request.header("authorization").is_none(), "{request:?}");
    }
    println!("{} answers, {} requests led astray", answered.load(Ordering::SeqCst), thief.requests().len());
}

async fn hostile(seed: u64, away: Vec<String>, answered: Arc<AtomicUsize>) {
    let random = Mutex::new(StdRng::seed_from_u64(seed));
    let shown: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let server = Server::start(move |request| {
        answered.fetch_add(1, Ordering::SeqCst);
        let own = request.header("host").unwrap_or_default().to_owned();
        anything(&mut random.lock().expect("unpoisoned"), &own, &away)
    })
    .await;
    let host = server.address.to_string();
    let known = Credential::Basic { username: "me".to_owned(), password: Secret::new(PASSWORD) };
    let retry = RetryPolicy {
        attempts: 3,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(2),
        budget: Duration::from_secs(5),
    };
    let options = ClientOptions {
        retry,
        credentials: Credentials::anonymous().with(&host, known),
        idle_timeout: Duration::from_millis(200),
        connect_timeout: Duration::from_millis(300),
        ..ClientOptions::default()
    };
    let client = Client::new(options).expect("a client");
    let name = reference(&format!("{host}/a"));
    let (repository, bytes) = (name.repository(), noise(seed, 300_000));
    let note = |outcome: String| {
        shown.lock().expect("unpoisoned").insert(outcome);
    };
    note(format!("{:?}", client.resolve(&name).await));
    note(format!("{:?}", client.fetch_image(&name, &Platform::host()).await));
    note(format!("{:?}", read_blob(&client, &name, &layer(&bytes)).await));
    for size in [1000, 300_000] {
        let bytes = bytes.slice(..size);
        let from = [reference(&format!("{host}/b")).repository().clone()];
        let source = BlobSource::bytes(bytes.clone());
        note(format!("{:?}", client.push_blob(repository, &layer(&bytes), &source, &from).await));
    }
    let manifest = Bytes::from_static(br#"{"schemaVersion":2,"manifests":[]}"#);
    note(format!("{:?}", client.push_manifest(&name, &MediaType::OciIndex, manifest).await));
    note(format!("{:?}", client.tags(repository).await));
    note(format!("{:?}", client.catalog(&host).await));
    note(format!("{:?}", client.referrers(repository, &Digest::sha256("x"), Some("a/b")).await));
    note(format!("{:?}", client.delete_manifest(&name).await));
    note(format!("{:?}", client.delete_blob(repository, &Digest::sha256("x")).await));
    note(format!("{:?}", client.check_access(&name, Access::Push).await));
    let all = shown.lock().expect("unpoisoned").iter().cloned().collect::<Vec<_>>().join("\n");
    assert!(!all.contains(PASSWORD), "{all}");
}
