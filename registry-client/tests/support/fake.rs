//! A registry in memory. Tests put their mischief in front of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use oci::Digest;

use super::server::{Reply, Request, Server, reply};

/// What the registry holds.
#[derive(Default)]
pub struct Fake {
    /// By repository and digest.
    pub blobs: Mutex<BTreeMap<(String, String), Bytes>>,
    /// By repository and tag or digest: media type and bytes.
    pub manifests: Mutex<BTreeMap<(String, String), (String, Bytes)>>,
}

impl Fake {
    /// Starts it with something in front: `None` passes the request on.
    pub async fn start(
        before: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> (Server, Arc<Self>) {
        let fake = Arc::new(Self::default());
        let inner = fake.clone();
        let server =
            Server::start(move |request| before(request).unwrap_or_else(|| inner.handle(request))).await;
        (server, fake)
    }

    pub fn put_blob(&self, repository: &str, bytes: &Bytes) {
        let key = (repository.to_owned(), Digest::sha256(bytes).to_string());
        self.blobs.lock().expect("unpoisoned").insert(key, bytes.clone());
    }

    pub fn put_manifest(&self, repository: &str, tag: &str, kind: &str, bytes: &Bytes) {
        let mut manifests = self.manifests.lock().expect("unpoisoned");
        for name in [tag.to_owned(), Digest::sha256(bytes).to_string()] {
            manifests.insert((repository.to_owned(), name), (kind.to_owned(), bytes.clone()));
        }
    }

    pub fn handle(&self, request: &Request) -> Reply {
        let path = request.path();
        if path == "/v2/" {
            return reply(200);
        }
        let Some(path) = path.strip_prefix("/v2/") else { return reply(404) };
        if let Some((repository, rest)) = path.split_once("/blobs/uploads/") {
            return self.upload(request, repository, rest);
        }
        if let Some((repository, digest)) = path.split_once("/blobs/") {
            return self.blob(request, repository, digest);
        }
        if let Some((repository, name)) = path.split_once("/manifests/") {
            return self.manifest(request, repository, name);
        }
        reply(404)
    }

    fn blob(&self, request: &Request, repository: &str, digest: &str) -> Reply {
        let blobs = self.blobs.lock().expect("unpoisoned");
        let Some(bytes) = blobs.get(&(repository.to_owned(), digest.to_owned())) else {
            return unknown("BLOB_UNKNOWN");
        };
        ranged(request, bytes)
    }

    fn manifest(&self, request: &Request, repository: &str, name: &str) -> Reply {
        if request.method == "PUT" {
            let kind = request.header("content-type").unwrap_or_default();
            self.put_manifest(repository, name, kind, &request.body);
            return reply(201).header("Docker-Content-Digest", Digest::sha256(&request.body).to_string());
        }
        let manifests = self.manifests.lock().expect("unpoisoned");
        match manifests.get(&(repository.to_owned(), name.to_owned())) {
            None => unknown("MANIFEST_UNKNOWN"),
            Some((kind, bytes)) => reply(200)
                .header("Content-Type", kind)
                .header("Docker-Content-Digest", Digest::sha256(bytes).to_string())
                .body(bytes.clone()),
        }
    }

    fn upload(&self, request: &Request, repository: &str, session: &str) -> Reply {
        let query = request.query();
        let first = |key: &str| query.get(key).and_then(|values| values.first()).cloned().unwrap_or_default();
        if request.method == "POST" {
            let from = (first("from"), first("mount"));
            let found = self.blobs.lock().expect("unpoisoned").get(&from).cloned();
            if let Some(bytes) = found {
                self.put_blob(repository, &bytes);
                return reply(201);
            }
            return reply(202)
                .header("Location", format!("/v2/{repository}/blobs/uploads/session?state=a%2Fb"));
        }
        let digest = Digest::sha256(&request.body).to_string();
        match (request.method.as_str(), session, first("state").as_str()) {
            ("PUT", "session", "a/b") if first("digest") == digest => {
                self.put_blob(repository, &request.body);
                reply(201).header("Docker-Content-Digest", digest)
            }
            ("DELETE", _, _) => reply(204),
            _ => reply(400).body(r#"{"errors":[{"code":"DIGEST_INVALID","message":"no such digest"}]}"#),
        }
    }
}

fn unknown(code: &str) -> Reply {
    reply(404).body(format!(r#"{{"errors":[{{"code":"{code}","message":"it is not here"}}]}}"#))
}

/// The bytes, or those from the start of the range on.
pub fn ranged(request: &Request, bytes: &Bytes) -> Reply {
    let start = request
        .header("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match start {
        None => reply(200).body(bytes.clone()),
        Some(start) => reply(206)
            .header("Content-Range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len()))
            .body(bytes.slice(start..)),
    }
}
