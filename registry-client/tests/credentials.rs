//! Credentials kept, forgotten, explained; and token servers of the less usual kinds.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use registry_client::{
    Access, AuthFile, AuthStorage, Client, ClientOptions, Credential, CredentialSource, Credentials,
    HelperOutput, HelperRunner, KeptIn, LogInMethod, Secret,
};
use support::fake::Fake;
use support::server::{Request, Server, reply};
use support::{options, reference};

fn user(name: &str, password: &str) -> Credential {
    Credential::Basic { username: name.to_owned(), password: Secret::new(password) }
}

fn client(credentials: Credentials) -> Client {
    Client::new(ClientOptions { credentials, ..options() }).expect("a client")
}

/// What helpers were asked, and the one secret they know.
fn helper(known: bool) -> (HelperRunner, Arc<Mutex<Vec<String>>>) {
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = log.clone();
    let runner: HelperRunner = Arc::new(move |name, verb, input| {
        let line = format!("{} {verb} {}", name.program(), String::from_utf8_lossy(input));
        noted.lock().expect("unpoisoned").push(line);
        let answer: &[u8] = match (verb, known) {
            ("get", true) => br#"{"ServerURL":"x","Username":"u","Secret":"p"}"#,
            ("get", false) => b"credentials not found in native keychain",
            _ => b"",
        };
        let code = i32::from(verb == "get" && !known);
        Ok(HelperOutput { code, stdout: answer.to_vec(), stderr: Vec::new() })
    });
    (runner, log)
}

#[tokio::test]
async fn a_file_keeps_credentials_and_all_else_in_it() {
    let top = tempfile::tempdir().expect("a directory");
    let path = top.path().join("new/folder/config.json");
    let storage = AuthStorage::new(&path, None);
    let kept = storage.store("quay.io/org", &user("me", "p:w")).await.expect("kept");
    assert_eq!(kept, KeptIn::File(path.clone()));
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().expect("a folder"))), (0o600, 0o700));

    let old = r#"{"HttpHeaders":{"X":"y"},"auths":{"index.docker.io":{"auth":"b2xkOm9sZA=="},"other.example":{"auth":"YTpi"}},"psFormat":"z"}"#;
    std::fs::write(&path, old).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
    storage.store("docker.io", &Credential::Identity(Secret::new("idt"))).await.expect("kept");
    let value: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).expect("there")).expect("JSON");
    assert_eq!(
        value,
        serde_json::json!({"HttpHeaders": {"X": "y"}, "psFormat": "z", "auths": {
            "other.example": {"auth": "YTpi"},
            "https://index.docker.io/v1/": {"identitytoken": "idt"},
        }})
    );
    assert_eq!(mode(&path), 0o600);

    assert_eq!(
        storage.erase("https://registry-1.docker.io").await.expect("gone"),
        [KeptIn::File(path.clone())]
    );
    assert!(storage.erase("docker.io").await.expect("was gone").is_empty());
    assert!(std::fs::read_to_string(&path).expect("there").contains("other.example"));
    let names = std::fs::read_dir(path.parent().expect("a folder")).expect("readable").count();
    assert_eq!(names, 1, "no half file stays");

    let link = top.path().join("link.json");
    std::os::unix::fs::symlink(&path, &link).expect("linked");
    AuthStorage::new(&link, None).store("a.example", &user("a", "b")).await.expect("kept");
    assert!(link.is_symlink() && std::fs::read_to_string(&path).expect("there").contains("a.example"));
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_and_nothing_is_lost() {
    let top = tempfile::tempdir().expect("a directory");
    let path = top.path().join("config.json");
    let check = async |text: &str, registry: &str, credential: &Credential, part: &str| {
        std::fs::write(&path, text).expect("written");
        let error = AuthStorage::new(&path, None).store(registry, credential).await.expect_err(part);
        let error = format!("{error} {error:?}");
        assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), text);
    };
    let good = user("me", "hunter2");
    check("not JSON", "a.example", &good, "not understood").await;
    check(r#"{"credsStore":"x"}"#, "a.example", &good, "docker-credential-x").await;
    check(r#"{"credsStore":"../x"}"#, "a.example", &good, "names no credential helper").await;
    check("{}", "", &good, "names no registry").await;
    check("{}", "https://me:hunter2@a.example", &good, "names no registry").await;
    check("{}", "a.example", &user("a:b", "hunter2"), "colon").await;
}

#[tokio::test]
async fn helpers_keep_what_files_leave_to_them() {
    let top = tempfile::tempdir().expect("a directory");
    let path = top.path().join("config.json");
    let text = r#"{"credsStore":"desktop","credHelpers":{"own.example":"own"}}"#;
    std::fs::write(&path, text).expect("written");
    let (runner, log) = helper(true);
    let storage = AuthStorage::new(&path, Some(runner));
    let kept = storage.store("docker.io", &user("me", "pw")).await.expect("kept");
    assert!(matches!(kept, KeptIn::Helper(name) if name.program() == "docker-credential-desktop"));
    storage.store("own.example", &Credential::Identity(Secret::new("t"))).await.expect("kept");
    storage.erase("own.example").await.expect("gone");
    let hub = "https://index.docker.io/v1/";
    let expected = [
        format!(r#"docker-credential-desktop store {{"ServerURL":"{hub}","Username":"me","Secret":"pw"}}"#),
        r#"docker-credential-own store {"ServerURL":"own.example","Username":"<token>","Secret":"t"}"#
            .to_owned(),
        "docker-credential-own get own.example".to_owned(),
        "docker-credential-own erase own.example".to_owned(),
    ];
    assert_eq!(*log.lock().expect("unpoisoned"), expected);
    assert_eq!(std::fs::read_to_string(&path).expect("there"), text);
    let (runner, log) = helper(false);
    assert!(AuthStorage::new(&path, Some(runner)).erase("own.example").await.expect("nothing").is_empty());
    assert_eq!(log.lock().expect("unpoisoned").len(), 1);
}

#[tokio::test]
async fn everything_is_forgotten_at_once() {
    let top = tempfile::tempdir().expect("a directory");
    let path = top.path().join("config.json");
    let text = r#"{"credsStore":"desktop","credHelpers":{"own.example":"own"},"auths":{"a.example":{"auth":"YTpi"}},"x":1}"#;
    std::fs::write(&path, text).expect("written");
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = log.clone();
    let runner: HelperRunner = Arc::new(move |name, verb, input| {
        let line = format!("{name} {verb} {}", String::from_utf8_lossy(input));
        noted.lock().expect("unpoisoned").push(line);
        let answer: &[u8] = match verb {
            "get" => br#"{"ServerURL":"x","Username":"u","Secret":"p"}"#,
            "list" => br#"{"b.example":"u","https://index.docker.io/v1/":"v"}"#,
            _ => b"",
        };
        Ok(HelperOutput { code: 0, stdout: answer.to_vec(), stderr: Vec::new() })
    });
    let from = AuthStorage::new(&path, Some(runner)).erase_all().await.expect("gone");
    let names: Vec<String> = from
        .iter()
        .map(|kept| match kept {
            KeptIn::File(file) => file.file_name().expect("a name").to_string_lossy().into_owned(),
            KeptIn::Helper(name) => name.to_string(),
        })
        .collect();
    assert_eq!(names, ["own", "desktop", "config.json"]);
    let hub = "https://index.docker.io/v1/";
    assert_eq!(
        log.lock().expect("unpoisoned").join(", "),
        format!(
            "own get own.example, own erase own.example, desktop list , desktop erase b.example, desktop erase {hub}"
        )
    );
    let left: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).expect("there")).expect("JSON");
    assert_eq!(
        left,
        serde_json::json!({"credsStore": "desktop", "credHelpers": {"own.example": "own"}, "auths": {}, "x": 1})
    );
    std::fs::remove_file(&path).expect("removed");
    assert!(AuthStorage::new(&path, None).erase_all().await.expect("nothing").is_empty());
}

#[tokio::test]
async fn the_user_of_a_registry_is_told_by_the_longest_key() {
    let text = r#"{"auths":{"a.example":{"auth":"YTpi"},"a.example/org":{"auth":"YzpkOmU="},"t.example":{"identitytoken":"x"}}}"#;
    let file = AuthFile::parse(Path::new("auth.json"), text.as_bytes()).expect("understood");
    let credentials = Credentials::anonymous().with_file(file);
    for (registry, expected) in [
        ("a.example", Some("a")),
        ("https://a.example/", Some("a")),
        ("a.example/org/app", Some("c")),
        ("t.example", Some("<token>")),
        ("b.example", None),
    ] {
        let found = credentials.user(registry).await.expect("no helper fails");
        assert_eq!(found.map(|(user, _)| user).as_deref(), expected, "{registry}");
    }
}

/// A registry whose tokens are claims, pull for everybody and push for `me`.
async fn telling() -> Server {
    let (server, _) = Fake::start(|request| {
        let host = request.header("host").unwrap_or_default();
        if request.path() == "/token" {
            let scope = request.query().remove("scope").unwrap_or_default().join(" ");
            let asked: Vec<&str> = scope.rsplit(':').next().unwrap_or_default().split(',').collect();
            let known = request.header("authorization").is_some();
            let granted: Vec<&str> = asked.into_iter().filter(|action| known || *action == "pull").collect();
            let claims =
                serde_json::json!({"access": [{"type": "repository", "name": "a", "actions": granted}]});
            let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims.to_string());
            return Some(reply(200).body(format!(r#"{{"token":"e30.{claims}.s"}}"#)));
        }
        let shown = request.header("authorization").and_then(|header| header.strip_prefix("Bearer e30."));
        let claims = shown
            .and_then(|shown| shown.strip_suffix(".s"))
            .and_then(|claims| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok());
        let claims = String::from_utf8(claims.unwrap_or_default()).unwrap_or_default();
        let action = if request.method == "GET" { "pull" } else { "push" };
        (!claims.contains(action) && request.path() != "/v2/").then(|| {
            let scope = if action == "push" { "repository:a:pull,push" } else { "repository:a:pull" };
            let challenge = format!(r#"Bearer realm="http://{host}/token",service="s",scope="{scope}""#);
            reply(401).header("WWW-Authenticate", challenge)
        })
    })
    .await;
    server
}

#[tokio::test]
async fn which_credential_won_and_what_it_got_is_told() {
    let server = telling().await;
    let host = server.address.to_string();
    let name = reference(&format!("{host}/a"));
    let anonymous = client(Credentials::anonymous());
    let report = anonymous.check_access(&name, Access::Pull).await.expect("an answer");
    assert_eq!((report.source, report.refused), (None, None));
    assert_eq!(report.method, LogInMethod::Token(host.clone()));
    assert_eq!(report.granted.as_deref(), Some(&["repository:a:pull".to_owned()][..]));
    let report = anonymous.check_access(&name, Access::Push).await.expect("an answer");
    assert_eq!(report.refused.map(|refusal| refusal.status), Some(401));
    assert_eq!(report.granted.as_deref(), Some(&["repository:a:pull".to_owned()][..]));

    let text =
        format!(r#"{{"auths":{{"{host}":{{"auth":"eDp4"}},"http://{host}/a/":{{"auth":"bWU6cHc="}}}}}}"#);
    let file = AuthFile::parse(Path::new("/c/auth.json"), text.as_bytes()).expect("good");
    let report = client(Credentials::anonymous().with_file(file.clone()))
        .check_access(&name, Access::Push)
        .await
        .expect("an answer");
    assert_eq!(report.refused, None);
    let source = report.source.expect("a source");
    assert_eq!(source, CredentialSource::File { path: "/c/auth.json".into(), key: format!("{host}/a") });
    assert_eq!(source.to_string(), format!("/c/auth.json ({host}/a)"));
    assert_eq!(report.granted.as_deref(), Some(&["repository:a:pull,push".to_owned()][..]));
    assert_eq!(server.count("DELETE"), 1, "the upload is closed again");

    let given = Credentials::anonymous().with_file(file).with(&host, user("given", "x"));
    let report = client(given).check_access(&name, Access::Push).await.expect("an answer");
    assert_eq!(report.source, Some(CredentialSource::Given(host)));
}

/// A registry with a token server that takes forms only.
async fn oauth(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Server {
    let (server, _) = Fake::start(move |request: &Request| {
        let host = request.header("host").unwrap_or_default();
        if request.path() == "/token" {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            return Some(match (request.method.as_str(), answer(&form)) {
                ("POST", Some(token)) => reply(200).body(token),
                ("POST", None) => reply(401),
                _ => reply(405),
            });
        }
        let good = request.header("authorization").is_some_and(|header| header.starts_with("Bearer T"));
        let challenge = format!(r#"Bearer realm="http://{host}/token",service="s""#);
        (!good && request.path() != "/v2/").then(|| reply(401).header("WWW-Authenticate", challenge))
    })
    .await;
    server
}

#[tokio::test]
async fn passwords_are_posted_where_nothing_else_is_taken() {
    let server = oauth(|form| {
        let good = form.contains("grant_type=password") && form.contains("username=me&password=p%26w");
        good.then(|| r#"{"access_token":"T"}"#.to_owned())
    })
    .await;
    let host = server.address.to_string();
    let known = client(Credentials::anonymous().with(&host, user("me", "p&w")));
    let report = known.check_access(&reference(&format!("{host}/a")), Access::Push).await.expect("an answer");
    assert_eq!(report.refused, None);
    let posted = server.requests().into_iter().find(|request| request.method == "POST").expect("a POST");
    assert_eq!(posted.header("authorization"), None);
}

#[tokio::test]
async fn identity_tokens_that_are_replaced_are_used_anew() {
    let server = oauth(|form| {
        let number = (0..9).find(|n| {
            form.contains(&format!("refresh_token=id{n}&")) || form.ends_with(&format!("refresh_token=id{n}"))
        })?;
        Some(format!(r#"{{"access_token":"T{number}","refresh_token":"id{}","expires_in":60}}"#, number + 1))
    })
    .await;
    let host = server.address.to_string();
    let known = client(Credentials::anonymous().with(&host, Credential::Identity(Secret::new("id0"))));
    for path in ["a", "b", "c"] {
        let report =
            known.check_access(&reference(&format!("{host}/{path}")), Access::Push).await.expect("an answer");
        assert_eq!(report.refused, None);
    }
    let used: Vec<String> = server
        .requests()
        .iter()
        .filter_map(|request| request.header("authorization").map(str::to_owned))
        .collect();
    for token in ["Bearer T0", "Bearer T1", "Bearer T2"] {
        assert!(used.iter().any(|header| header == token), "{used:?}");
    }
}
