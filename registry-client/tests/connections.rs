//! Client certificates, proxies and IPv6: how a registry is reached.

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use registry_client::{Client, ClientOptions, Credential, Credentials, Hosts, Proxies, Secret};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use support::fake::Fake;
use support::server::Server;
use support::{image, layer, options, push, read_blob, reference};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Certificates of an authority, made anew in a directory.
struct Authority {
    dir: tempfile::TempDir,
}

impl Authority {
    /// `None`, said aloud, where openssl is not installed.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let authority = Self { dir };
        let (key, certificate) = (authority.path("ca.key"), authority.path("ca.crt"));
        let extensions = ["basicConstraints=critical,CA:true"];
        let made =
            support::own_certificate("/CN=authority", &extensions, Path::new(&key), Path::new(&certificate));
        if !made {
            support::skipped("openssl is not installed");
        }
        made.then_some(authority)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Makes `NAME.cert` and `NAME.key`, good for an alternative name.
    fn vouch(&self, name: &str, alternative: &str) -> (PathBuf, PathBuf) {
        let path = |end: &str| self.path(&format!("{name}.{end}"));
        std::fs::write(path("ext"), format!("subjectAltName={alternative}\n")).expect("written");
        assert!(self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=one",
            "-keyout",
            &path("key"),
            "-out",
            &path("csr"),
        ]));
        assert!(self.openssl(&[
            "x509",
            "-req",
            "-in",
            &path("csr"),
            "-CA",
            &self.path("ca.crt"),
            "-CAkey",
            &self.path("ca.key"),
            "-CAcreateserial",
            "-days",
            "30",
            "-extfile",
            &path("ext"),
            "-out",
            &path("cert"),
        ]));
        (path("cert").into(), path("key").into())
    }

    fn openssl(&self, words: &[&str]) -> bool {
        Command::new("openssl").args(words).output().is_ok_and(|output| output.status.success())
    }

    /// What a server shows; where `clients` vouches for it, only clients with a certificate come in.
    fn acceptor(&self, alternative: &str, clients: Option<&Self>) -> TlsAcceptor {
        let (certificate, key) = self.vouch("server", alternative);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(chain(Path::new(&authority.path("ca.crt"))));
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::from_pem_file(key).expect("a key");
        let config = builder.with_single_cert(chain(&certificate), key).expect("a configuration");
        TlsAcceptor::from(Arc::new(config))
    }
}

fn chain(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).expect("a file").map(|one| one.expect("a certificate")).collect()
}

/// Passes connections on, out of TLS where there is an acceptor; its address.
async fn forward(listen: &str, tls: Option<TlsAcceptor>, to: SocketAddr) -> Option<SocketAddr> {
    let listener = TcpListener::bind(listen).await.ok()?;
    let address = listener.local_addr().ok()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => both(stream, to).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            both(stream, to).await;
                        }
                    }
                }
            });
        }
    });
    Some(address)
}

async fn both(mut one: impl AsyncRead + AsyncWrite + Unpin, to: SocketAddr) {
    if let Ok(mut other) = TcpStream::connect(to).await {
        let _ = tokio::io::copy_bidirectional(&mut one, &mut other).await;
    }
}

async fn registry() -> (Server, Arc<Fake>) {
    Fake::start(|_| None).await
}

#[tokio::test]
async fn a_client_certificate_opens_the_door_and_only_the_right_one() {
    let (Some(own), Some(stranger)) = (Authority::new(), Authority::new()) else { return };
    let (server, _fake) = registry().await;
    let tls = own.acceptor("IP:127.0.0.1", Some(&own));
    let address = forward("127.0.0.1:0", Some(tls), server.address).await.expect("a port");
    let (name, image) = (reference(&format!("{address}/a")), image(3, 200_000));
    let with = |client: Option<&Authority>| {
        let certs = tempfile::tempdir().expect("a directory");
        let folder = certs.path().join(address.to_string());
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::copy(own.path("ca.crt"), folder.join("ca.crt")).expect("copied");
        if let Some(authority) = client {
            let (certificate, key) = authority.vouch("client", "DNS:client");
            std::fs::copy(certificate, folder.join("client.cert")).expect("copied");
            std::fs::copy(key, folder.join("client.key")).expect("copied");
        }
        let hosts = Hosts::default().with_directory(certs.path());
        (Client::new(ClientOptions { hosts, ..options() }).expect("a client"), certs)
    };
    let (client, _certs) = with(Some(&own));
    push(&client, &name, &image).await;
    assert!(read_blob(&client, &name, &layer(&image.layer)).await.expect("whole") == image.layer);
    let seen = server.seen().len();
    for other in [None, Some(&stranger)] {
        let (client, _certs) = with(other);
        let error = client.resolve(&name).await.expect_err("the door stays shut").to_string();
        assert!(error.to_lowercase().contains("certificate"), "{error}");
    }
    assert_eq!(server.seen().len(), seen, "nothing came through");
}

/// A proxy that leads all names to one place; what it was asked, heads whole.
async fn proxy(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(tunnel(stream, to, noted.clone()));
        }
    });
    (address, asked)
}

/// CONNECT becomes a tunnel; other requests are passed on with their absolute target cut.
async fn tunnel(stream: TcpStream, to: SocketAddr, asked: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while stream.read_line(&mut head).await.is_ok_and(|count| count > 0) && !head.ends_with("\r\n\r\n") {}
    asked.lock().expect("unpoisoned").push(head.clone());
    let Ok(mut other) = TcpStream::connect(to).await else { return };
    if head.starts_with("CONNECT ") {
        let _ = stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await;
    } else {
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let path = target.splitn(4, '/').nth(3).unwrap_or_default();
        let _ = other.write_all(head.replacen(&target, &format!("/{path}"), 1).as_bytes()).await;
    }
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
}

#[tokio::test]
async fn a_proxy_tunnels_tls_and_sees_no_secret() {
    let Some(authority) = Authority::new() else { return };
    let (server, _fake) = registry().await;
    let tls = authority.acceptor("DNS:registry.example", None);
    let address = forward("127.0.0.1:0", Some(tls), server.address).await.expect("a port");
    let (proxy, asked) = proxy(address).await;
    let (name, image) = (reference("registry.example/a"), image(4, 200_000));
    let login = Credential::Basic { username: "me".to_owned(), password: Secret::new("hidden") };
    let with = |proxies: Proxies| {
        let credentials = Credentials::anonymous().with("registry.example", login.clone());
        let ca_bundles = vec![authority.path("ca.crt").into()];
        Client::new(ClientOptions { proxies, credentials, ca_bundles, ..options() }).expect("a client")
    };
    let url = format!("http://user:word@{proxy}");
    let client = with(Proxies { https: Some(url.clone()), ..Proxies::default() });
    push(&client, &name, &image).await;
    assert!(read_blob(&client, &name, &layer(&image.layer)).await.expect("whole") == image.layer);
    let heads = asked.lock().expect("unpoisoned").clone();
    assert!(!heads.is_empty());
    for head in heads {
        assert!(head.starts_with("CONNECT registry.example:443 "), "{head}");
        // user:word, for the proxy; nothing of what is for the registry
        assert!(head.to_lowercase().contains("proxy-authorization: basic dxnlcjp3b3jk"), "{head}");
        assert!(!head.contains("hidden") && !head.to_lowercase().contains("\nauthorization:"), "{head}");
    }
    let all = Client::new(ClientOptions {
        proxies: Proxies {
            all: Some(url.clone()),
            none: Some("other.example".to_owned()),
            ..Proxies::default()
        },
        ca_bundles: vec![authority.path("ca.crt").into()],
        ..options()
    });
    all.expect("a client").resolve(&name).await.expect("through the proxy for everything");

    // What NO_PROXY names is asked directly: there is no such host.
    asked.lock().expect("unpoisoned").clear();
    let none = Some("10.0.0.0/8,.registry.example,registry.example".to_owned());
    let direct = with(Proxies { https: Some(url), none, ..Proxies::default() });
    direct.resolve(&name).await.expect_err("nobody has that name");
    assert!(asked.lock().expect("unpoisoned").is_empty(), "the proxy was not asked");
}

/// A SOCKS5 proxy that leads all places to one; what it was asked for, and as whom.
async fn socks(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let noted = noted.clone();
            tokio::spawn(async move { greet(stream, to, &noted).await });
        }
    });
    (address, asked)
}

/// RFC 1928 and 1929, as far as a client of ours goes.
async fn greet(mut stream: TcpStream, to: SocketAddr, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut methods = vec![0; usize::from(u16::from_be_bytes([0, second(&mut stream).await?]))];
    stream.read_exact(&mut methods).await?;
    let mut who = String::new();
    if methods.contains(&2) {
        stream.write_all(&[5, 2]).await?;
        stream.read_u8().await?;
        who = format!("{}:{}@", text(&mut stream).await?, text(&mut stream).await?);
        stream.write_all(&[1, 0]).await?;
    } else {
        stream.write_all(&[5, 0]).await?;
    }
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let host = match head[3] {
        1 => std::net::Ipv4Addr::from_bits(stream.read_u32().await?).to_string(),
        3 => text(&mut stream).await?,
        other => format!("kind {other}"),
    };
    let port = stream.read_u16().await?;
    asked.lock().expect("unpoisoned").push(format!("{who}{host}:{port}"));
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    both(stream, to).await;
    Ok(())
}

async fn second(stream: &mut TcpStream) -> std::io::Result<u8> {
    stream.read_u8().await?;
    stream.read_u8().await
}

/// A text behind its length.
async fn text(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test]
async fn socks_proxies_carry_tls_and_plain_http() {
    let Some(authority) = Authority::new() else { return };
    let (server, _fake) = registry().await;
    let image = image(7, 200_000);
    let tls = authority.acceptor("DNS:registry.example", None);
    let by_tls = forward("127.0.0.1:0", Some(tls), server.address).await.expect("a port");
    let (by_tls, by_tls_asked) = socks(by_tls).await;
    let (plain, plain_asked) = socks(server.address).await;
    let hosts = Hosts::default().verifying_at("10.9.8.7:5000", registry_client::Verify::Never);
    for (proxies, name, expected) in [
        (
            Proxies { https: Some(format!("socks5h://me:s%20d@{by_tls}")), ..Proxies::default() },
            "registry.example/a",
            "me:s d@registry.example:443",
        ),
        (
            Proxies { all: Some(format!("socks5h://{by_tls}")), ..Proxies::default() },
            "registry.example/a",
            "registry.example:443",
        ),
        // Here we look names up; addresses are what they are.
        (
            Proxies { all: Some(format!("socks5://{plain}")), ..Proxies::default() },
            "10.9.8.7:5000/a",
            "10.9.8.7:5000",
        ),
    ] {
        let ca_bundles = vec![authority.path("ca.crt").into()];
        let client = ClientOptions { proxies, ca_bundles, hosts: hosts.clone(), ..options() };
        let client = Client::new(client).expect("a client");
        let name = reference(name);
        push(&client, &name, &image).await;
        assert!(read_blob(&client, &name, &layer(&image.layer)).await.expect("whole") == image.layer);
        let asked: Vec<String> = [&by_tls_asked, &plain_asked]
            .iter()
            .flat_map(|log| std::mem::take(&mut *log.lock().expect("unpoisoned")))
            .collect();
        assert!(!asked.is_empty() && asked.iter().all(|one| one == expected), "{asked:?}");
    }
}

#[tokio::test]
async fn loopback_is_never_asked_by_a_proxy() {
    let (server, _fake) = registry().await;
    let (proxy, asked) = proxy(server.address).await;
    let proxies = Proxies { all: Some(format!("http://{proxy}")), ..Proxies::default() };
    let client = Client::new(ClientOptions { proxies, ..options() }).expect("a client");
    let (name, image) = (reference(&format!("{}/a", server.address)), image(5, 1000));
    push(&client, &name, &image).await;
    assert!(asked.lock().expect("unpoisoned").is_empty());
}

#[tokio::test]
async fn a_registry_by_its_ipv6_address() {
    let (server, _fake) = registry().await;
    let Some(plain) = forward("[::1]:0", None, server.address).await else {
        return support::skipped("IPv6 on loopback");
    };
    let client = support::client();
    let name = reference(&format!("[::1]:{}/a/b", plain.port()));
    let one = image(6, 200_000);
    push(&client, &name, &one).await;
    assert!(read_blob(&client, &name, &layer(&one.layer)).await.expect("whole") == one.layer);
    assert_eq!(client.resolve(&name).await.expect("there"), *one.manifest.descriptor());

    let Some(authority) = Authority::new() else { return };
    let tls = authority.acceptor("IP:::1", None);
    let by_tls = forward("[::1]:0", Some(tls), server.address).await.expect("a port");
    let ca_bundles = vec![authority.path("ca.crt").into()];
    let client = Client::new(ClientOptions { ca_bundles, ..options() }).expect("a client");
    let name = reference(&format!("[::1]:{}/a/b", by_tls.port()));
    assert_eq!(client.resolve(&name).await.expect("by TLS"), *one.manifest.descriptor());
}
