//! docker-registry with a token server that signs what it grants.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use registry_client::{
    Access, BlobSource, Client, ClientOptions, Credential, Credentials, PushedBlob, RegistryError, Secret,
};
use support::docker_registry::{DockerRegistry, Setup};
use support::server::{Request, Server, reply};
use support::{image, layer, options, push, read_blob, reference};

/// A key and its certificate.
struct Signer {
    folder: tempfile::TempDir,
}

impl Signer {
    fn make() -> Option<Self> {
        let signer = Self { folder: tempfile::tempdir().expect("a directory") };
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=signer"])
            .arg("-keyout")
            .arg(signer.at("key.pem"))
            .arg("-out")
            .arg(signer.at("cert.pem"))
            .output();
        if !made.is_ok_and(|output| output.status.success()) {
            support::skipped("openssl is not installed");
            return None;
        }
        Some(signer)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn token(&self, access: serde_json::Value) -> String {
        let pem = std::fs::read_to_string(self.at("cert.pem")).expect("there");
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        assert!(STANDARD.decode(&der).is_ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let header = serde_json::json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
        let claims = serde_json::json!({
            "iss": "me", "sub": "", "aud": "test", "exp": now + 300, "nbf": now - 10, "iat": now, "jti": "1",
            "access": access,
        });
        let text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(self.sign(text.as_bytes())))
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        let file = self.at(&format!("text-{:?}", std::thread::current().id()));
        std::fs::write(&file, text).expect("written");
        let signed = Command::new("openssl")
            .args(["dgst", "-sha256", "-binary", "-sign"])
            .args([self.at("key.pem").as_path(), Path::new(&file)])
            .stderr(Stdio::null())
            .output()
            .expect("openssl runs");
        signed.stdout
    }

    /// Everybody may pull from `open`; `me` may do all but touch `closed`.
    fn answer(&self, request: &Request) -> support::server::Reply {
        let me = format!("Basic {}", STANDARD.encode("me:pw"));
        let known = match request.header("authorization") {
            Some(header) if header == me => true,
            Some(_) => return reply(401).body(r#"{"details":"who is this"}"#),
            None => false,
        };
        let mut access = Vec::new();
        for scope in request.query().remove("scope").unwrap_or_default() {
            let parts: Vec<&str> = scope.split(':').collect();
            let [kind, name, actions] = parts[..] else { continue };
            let granted: Vec<&str> = actions
                .split(',')
                .filter(|action| name != "closed" && (known || (name == "open" && *action == "pull")))
                .collect();
            access.push(serde_json::json!({"type": kind, "name": name, "actions": granted}));
        }
        let token = self.token(access.into());
        reply(200).body(serde_json::json!({"token": token, "expires_in": 300}).to_string())
    }
}

fn client(host: &str, password: Option<&str>) -> Client {
    let credentials = match password {
        None => Credentials::anonymous(),
        Some(password) => {
            let known = Credential::Basic { username: "me".to_owned(), password: Secret::new(password) };
            Credentials::anonymous().with(host, known)
        }
    };
    Client::new(ClientOptions { credentials, ..options() }).expect("a client")
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_are_asked_for_and_mounts_never_fail_for_them() {
    let Some(signer) = Signer::make() else { return };
    let signer = Arc::new(signer);
    let answering = signer.clone();
    let server = Server::start(move |request| answering.answer(request)).await;
    let realm = format!("http://{}/token", server.address);
    let certificate = signer.at("cert.pem");
    let setup = Setup { tokens: Some((&realm, &certificate)), ..Setup::default() };
    let Some(registry) = DockerRegistry::start(&setup) else { return };
    let host = registry.host();
    let [open, other, closed] = ["open", "other", "closed"].map(|path| reference(&format!("{host}/{path}")));
    let me = client(&host, Some("pw"));
    let image = image(1, 300_000);
    push(&me, &open, &image).await;
    let (descriptor, source) = (layer(&image.layer), BlobSource::bytes(image.layer.clone()));
    // from where we may not read, a mount is no mount, and no failure
    for (to, from, how) in [
        (&other, &open, PushedBlob::Mounted),
        (&reference(&format!("{host}/third")), &closed, PushedBlob::Uploaded),
    ] {
        let from = [from.repository().clone()];
        let pushed = me.push_blob(to.repository(), &descriptor, &source, &from).await;
        assert_eq!(pushed.expect("pushed"), how);
    }
    let error = me.push_blob(closed.repository(), &descriptor, &source, &[]).await.expect_err("closed");
    assert!(matches!(error, RegistryError::Denied(_)), "{error}");

    let anonymous = client(&host, None);
    assert!(read_blob(&anonymous, &open, &descriptor).await.expect("it is open") == image.layer);
    read_blob(&anonymous, &other, &descriptor).await.expect_err("it is not");
    let error = client(&host, Some("wrong")).resolve(&open).await.expect_err("another password");
    assert!(error.to_string().contains("who is this"), "{error}");
    let report = me.check_access(&closed, Access::Push).await.expect("an answer");
    assert!(report.refused.is_some() && report.granted == Some(Vec::new()), "{report:?}");
    let report = me.check_access(&open, Access::Push).await.expect("an answer");
    // closing the upload that was opened to ask is a deletion to this registry
    assert_eq!(report.granted, Some(vec!["repository:open:delete,pull,push".to_owned()]));
}
