//! Challenges, tokens, helpers, and where secrets do not go.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use registry_client::{
    AuthFile, BlobSource, Client, ClientOptions, Credential, Credentials, HelperOutput, HelperRunner,
    PushedBlob, RegistryError, Secret,
};
use support::fake::Fake;
use support::server::{Reply, Request, Server, reply};
use support::{image, layer, options, push, read_blob, reference};

fn client(credentials: Credentials) -> Client {
    Client::new(ClientOptions { credentials, ..options() }).expect("a client")
}

fn user(name: &str, password: &str) -> Credential {
    Credential::Basic { username: name.to_owned(), password: Secret::new(password) }
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}")))
}

/// Refuses whoever does not show the header.
fn demands(request: &Request, header: &str, challenge: &str) -> Option<Reply> {
    let shown = request.header("authorization") == Some(header);
    let refusal = r#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}"#;
    (!shown && request.path() != "/v2/")
        .then(|| reply(401).header("WWW-Authenticate", challenge).body(refusal))
}

/// A registry whose tokens come from itself. A token is the scopes it is for, so that wrong ones are
/// seen; `who` is the header the token server wants, if any.
async fn with_tokens(who: Option<String>) -> (Server, Arc<Fake>) {
    Fake::start(move |request| {
        if request.path() == "/token" {
            if who.is_some() && request.header("authorization") != who.as_deref() {
                return Some(reply(401).body(r#"{"details":"incorrect username or password"}"#));
            }
            let scopes = request.query().remove("scope").unwrap_or_default().join(" ");
            return Some(reply(200).body(format!(r#"{{"token":"{}","expires_in":300}}"#, token(&scopes))));
        }
        let (_, rest) = request.path().split_once("/v2/")?;
        let repository =
            ["/blobs/", "/manifests/"].iter().find_map(|part| rest.split_once(part))?.0.to_owned();
        let needed = if matches!(request.method.as_str(), "GET" | "HEAD") { "pull" } else { "pull,push" };
        let scope = format!("repository:{repository}:{needed}");
        let shown = request.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
        let granted = shown.is_some_and(|shown| {
            opened(shown)
                .iter()
                .any(|one| one == &scope || *one == format!("repository:{repository}:pull,push"))
        });
        let host = request.header("host").unwrap_or_default();
        let challenge = format!(r#"Bearer realm="http://{host}/token",service="fake",scope="{scope}""#);
        (!granted).then(|| reply(401).header("WWW-Authenticate", challenge))
    })
    .await
}

fn token(scopes: &str) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(scopes)
}

fn opened(token: &str) -> Vec<String> {
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    String::from_utf8_lossy(&bytes).split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn anonymous_tokens_are_fetched_once_per_scope() {
    let (server, fake) = with_tokens(None).await;
    let name = reference(&format!("{}/a/b", server.address));
    let image = image(1, 9000);
    fake.put_blob("a/b", &image.layer);
    fake.put_blob("a/b", image.config.raw());
    fake.put_manifest("a/b", "latest", image.manifest.descriptor().media_type.as_str(), image.manifest.raw());
    let client = client(Credentials::anonymous());
    client.fetch_image(&name, &oci::Platform::host()).await.expect("public");
    let reads = (0..8).map(|_| read_blob(&client, &name, &image.manifest.parsed().layers[0]));
    for bytes in futures::future::join_all(reads).await {
        assert!(bytes.expect("whole") == image.layer);
    }
    assert_eq!(server.count("GET /token"), 1, "{:?}", server.seen());
    assert!(
        server.seen().iter().any(|line| line == "GET /token?service=fake&scope=repository%3Aa%2Fb%3Apull"),
        "{:?}",
        server.seen()
    );
}

#[tokio::test]
async fn passwords_go_to_the_token_server_only() {
    let (server, _) = with_tokens(Some(basic("me", "secret"))).await;
    let name = reference(&format!("{}/a/b", server.address));
    let client = client(Credentials::anonymous().with(&server.address.to_string(), user("me", "secret")));
    push(&client, &name, &image(2, 1000)).await;
    for request in server.requests() {
        let shown = request.header("authorization").unwrap_or_default();
        assert_eq!(shown.starts_with("Basic "), request.path() == "/token", "{request:?}");
    }
    assert_eq!(server.count("GET /token"), 1, "{:?}", server.seen());
}

#[tokio::test]
async fn the_token_servers_reason_is_told() {
    let (server, _) = with_tokens(Some(basic("me", "secret"))).await;
    let name = reference(&format!("{}/a/b", server.address));
    let client = client(Credentials::anonymous().with(&server.address.to_string(), user("me", "wrong")));
    let error = client.resolve(&name).await.expect_err("refused");
    assert!(
        matches!(error, RegistryError::Denied(_))
            && error.to_string().contains("incorrect username or password"),
        "{error}"
    );
    assert!(!format!("{error:?} {client:?}").contains("wrong"));
}

#[tokio::test]
async fn mounting_asks_for_both_repositories_and_survives_a_refusal() {
    let (server, fake) = with_tokens(None).await;
    let [to, from] = ["to", "from"].map(|path| reference(&format!("{}/{path}", server.address)));
    let bytes = support::noise(1, 100);
    fake.put_blob("from", &bytes);
    let (client, source) = (client(Credentials::anonymous()), BlobSource::bytes(bytes.clone()));
    let mounted =
        client.push_blob(to.repository(), &layer(&bytes), &source, &[from.repository().clone()]).await;
    assert_eq!(mounted.expect("mounted"), PushedBlob::Mounted);
    assert!(
        server.seen().iter().any(|line| line.contains("from%3Apull&") && line.contains("to%3Apull%2Cpush")),
        "{:?}",
        server.seen()
    );

    let (server, _) = Fake::start(|request| request.target.contains("mount=").then(|| reply(403))).await;
    let [to, from] = ["to", "from"].map(|path| reference(&format!("{}/{path}", server.address)));
    let sent = client.push_blob(to.repository(), &layer(&bytes), &source, &[from.repository().clone()]).await;
    assert_eq!(sent.expect("sent"), PushedBlob::Uploaded);
}

#[tokio::test]
async fn identity_tokens_are_traded_by_post() {
    let (server, _) = Fake::start(|request| {
        if request.path() == "/oauth" {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let good = request.method == "POST"
                && form.contains("grant_type=refresh_token")
                && form.contains("refresh_token=id%2Ftoken")
                && form.contains("service=fake");
            return Some(if good { reply(200).body(r#"{"access_token":"T"}"#) } else { reply(400) });
        }
        let host = request.header("host").unwrap_or_default();
        demands(request, "Bearer T", &format!(r#"Bearer realm="http://{host}/oauth",service="fake""#))
    })
    .await;
    let name = reference(&format!("{}/a", server.address));
    let credentials = Credentials::anonymous()
        .with(&server.address.to_string(), Credential::Identity(Secret::new("id/token")));
    push(&client(credentials), &name, &image(3, 100)).await;
}

#[tokio::test]
async fn a_token_that_ends_midway_is_renewed() {
    let count = Arc::new(AtomicUsize::new(0));
    let served = count.clone();
    let (server, fake) = Fake::start(move |request| {
        if request.path() == "/token" {
            return Some(
                reply(200).body(format!(r#"{{"token":"T{}"}}"#, served.fetch_add(1, Ordering::SeqCst) + 1)),
            );
        }
        // every token serves but once: it is spent when the next is out, or when a blob was read with it
        let current = format!("Bearer T{}", served.load(Ordering::SeqCst));
        let spent = served.load(Ordering::SeqCst) == 1 && request.path().contains("/blobs/");
        let header = if spent { "nothing" } else { &current };
        let host = request.header("host").unwrap_or_default();
        demands(request, header, &format!(r#"Bearer realm="http://{host}/token""#))
    })
    .await;
    let name = reference(&format!("{}/a", server.address));
    let image = image(4, 1000);
    fake.put_blob("a", &image.layer);
    fake.put_manifest("a", "latest", image.manifest.descriptor().media_type.as_str(), image.manifest.raw());
    let client = client(Credentials::anonymous());
    client.resolve(&name).await.expect("there");
    assert!(read_blob(&client, &name, &layer(&image.layer)).await.expect("whole") == image.layer);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn secrets_do_not_cross_a_redirect() {
    let storage = Server::start(|_| reply(200).body("0123456789")).await;
    let elsewhere = storage.address;
    let (server, _) = Fake::start(move |request| {
        demands(request, &basic("me", "secret"), "Basic realm=\"x\"").or_else(|| {
            let to = format!("http://{elsewhere}/bucket/object?signature=abc");
            request.path().contains("/blobs/").then(|| reply(307).header("Location", to))
        })
    })
    .await;
    let name = reference(&format!("{}/a", server.address));
    let client = client(Credentials::anonymous().with(&server.address.to_string(), user("me", "secret")));
    let descriptor = layer(&bytes::Bytes::from_static(b"0123456789"));
    assert_eq!(read_blob(&client, &name, &descriptor).await.expect("whole"), b"0123456789");
    let stored = storage.requests();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].header("authorization"), None);
    assert_eq!(stored[0].target, "/bucket/object?signature=abc");
}

#[tokio::test]
async fn secrets_do_not_follow_an_upload_elsewhere() {
    let storage = Server::start(|_| reply(201)).await;
    let elsewhere = storage.address;
    let (server, _) = Fake::start(move |request| {
        demands(request, &basic("me", "secret"), "Basic").or_else(|| {
            let to = format!("http://{elsewhere}/up?token=1");
            (request.method == "POST").then(|| reply(202).header("Location", to))
        })
    })
    .await;
    let name = reference(&format!("{}/a", server.address));
    let client = client(Credentials::anonymous().with(&server.address.to_string(), user("me", "secret")));
    let bytes = support::noise(1, 300_000);
    let source = BlobSource::bytes(bytes.clone());
    client.push_blob(name.repository(), &layer(&bytes), &source, &[]).await.expect("sent");
    let stored = storage.requests();
    assert!(stored.len() == 1 && stored[0].header("authorization").is_none() && stored[0].body == bytes);
    assert!(stored[0].target.starts_with("/up?token=1&digest=sha256%3A"), "{}", stored[0].target);
}

#[tokio::test]
async fn a_foreign_realm_gets_nothing() {
    for realm in ["http://example.com/token", "ftp://127.0.0.1/", "http://me:pw@127.0.0.1/"] {
        let (server, _) =
            Fake::start(move |request| demands(request, "x", &format!("Bearer realm=\"{realm}\""))).await;
        let name = reference(&format!("{}/a", server.address));
        let client = client(Credentials::anonymous().with(&server.address.to_string(), user("me", "secret")));
        let error = client.resolve(&name).await.expect_err("not trusted");
        assert!(matches!(error, RegistryError::LogIn { .. }), "{error}");
        assert!(!error.to_string().contains("pw"), "{error}");
    }
}

/// The credential a configuration yields, seen from the registry's side.
async fn shown(
    host_in_file: impl Fn(&str) -> String,
    path: &str,
    runner: Option<HelperRunner>,
) -> Option<String> {
    let (server, _) = Fake::start(|request| demands(request, "never", "Basic")).await;
    let host = server.address.to_string();
    let file =
        AuthFile::parse(Path::new("config.json"), host_in_file(&host).as_bytes()).expect("a good file");
    let mut credentials = Credentials::anonymous().with_file(file);
    if let Some(runner) = runner {
        credentials = credentials.with_helpers(runner);
    }
    let name = reference(&format!("{host}/{path}"));
    client(credentials).resolve(&name).await.expect_err("nothing is good enough");
    server.requests().iter().find_map(|request| request.header("authorization").map(str::to_owned))
}

#[tokio::test]
async fn keys_of_auth_files() {
    let auth = |name: &str| base64::engine::general_purpose::STANDARD.encode(format!("{name}:p:w"));
    for form in ["HOST", "https://HOST", "http://HOST/", "https://HOST/v1/", "HOST/v2/"] {
        let file = |host: &str| {
            format!(
                r#"{{"auths":{{"{}":{{"auth":"{}"}}}},"HttpHeaders":{{}}}}"#,
                form.replace("HOST", host),
                auth("u")
            )
        };
        assert_eq!(shown(file, "org/app", None).await, Some(basic("u", "p:w")), "{form}");
    }
    let longest = |host: &str| {
        format!(
            r#"{{"auths":{{"{host}":{{"auth":"{}"}},"{host}/org":{{"auth":"{}"}},"{host}/org/app/x":{{"auth":"{}"}}}}}}"#,
            auth("a"),
            auth("b"),
            auth("c")
        )
    };
    assert_eq!(shown(longest, "org/app", None).await, Some(basic("b", "p:w")));
    assert_eq!(shown(longest, "organic/app", None).await, Some(basic("a", "p:w")));
    assert_eq!(shown(|host| format!(r#"{{"auths":{{"{host}":{{}}}}}}"#), "a", None).await, None);
    assert_eq!(
        shown(|host| format!(r#"{{"auths":{{"{host}":{{"username":"u","password":"p"}}}}}}"#), "a", None)
            .await,
        Some(basic("u", "p"))
    );
    assert_eq!(
        shown(|host| format!(r#"{{"auths":{{"{host}":{{"registrytoken":"R"}}}}}}"#), "a", None).await,
        Some("Bearer R".to_owned())
    );
}

fn helper(code: i32, stdout: &'static str) -> HelperRunner {
    Arc::new(move |name, verb, server| {
        assert_eq!((name.program().as_str(), verb), ("docker-credential-test.me", "get"));
        assert!(server.starts_with(b"127.0.0.1:"));
        Ok(HelperOutput { code, stdout: stdout.into(), stderr: Vec::new() })
    })
}

#[tokio::test]
async fn helpers() {
    let store = |_: &str| r#"{"credsStore":"test.me"}"#.to_owned();
    let one = |host: &str| format!(r#"{{"credsStore":"other","credHelpers":{{"{host}":"test.me"}}}}"#);
    let found = r#"{"ServerURL":"x","Username":"u","Secret":"p"}"#;
    assert_eq!(shown(store, "a", Some(helper(0, found))).await, Some(basic("u", "p")));
    assert_eq!(shown(one, "a", Some(helper(0, found))).await, Some(basic("u", "p")));
    assert_eq!(shown(store, "a", Some(helper(1, "credentials not found in native keychain"))).await, None);
    let hub =
        AuthFile::parse(Path::new("c"), br#"{"credsStore":"../evil"}"#).expect_err("refused").to_string();
    assert!(hub.contains("names no credential helper"), "{hub}");
}

#[test]
fn bad_files_do_not_leak() {
    let check = |text: &str, part: &str| {
        let error = AuthFile::parse(Path::new("c.json"), text.as_bytes()).expect_err(text);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(part) && !shown.contains("hunter2"), "{shown}");
    };
    check(r#"{"auths":{"h":{"auth":"hunter2!"}}}"#, "base64");
    check(r#"{"auths":{"h":"hunter2"}}"#, "line 1");
    let file = AuthFile::parse(Path::new("c"), br#"{"auths":{"h":{"username":"u","password":"hunter2"}}}"#)
        .expect("good");
    assert!(!format!("{file:?}").contains("hunter2"));
    assert!(AuthFile::parse(Path::new("c"), b" \n").is_ok());
}
