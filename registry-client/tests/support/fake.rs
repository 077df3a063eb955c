//! A registry in memory. Tests put their mischief in front of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use oci::Digest;

use super::server::{Fate, Reply, Request, Server, reply};

/// What the registry holds.
#[derive(Default)]
pub struct Fake {
    /// By repository and digest.
    pub blobs: Mutex<BTreeMap<(String, String), Bytes>>,
    /// By repository and tag or digest: media type and bytes.
    pub manifests: Mutex<BTreeMap<(String, String), (String, Bytes)>>,
    /// Uploads under way.
    pub uploads: Mutex<BTreeMap<String, Vec<u8>>>,
    /// How many were begun.
    pub begun: AtomicUsize,
    /// The least it wants in one request.
    pub least_piece: Option<usize>,
    /// Whether it is of version 1.1 of the specification.
    pub knows_referrers: bool,
}

impl Fake {
    /// Starts it with something in front: `None` passes the request on.
    pub async fn start(
        before: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> (Server, Arc<Self>) {
        Self::default().serve(before).await
    }

    /// Starts this one.
    pub async fn serve(
        self,
        before: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> (Server, Arc<Self>) {
        self.serve_with(|_| Fate::Answer, before).await
    }

    /// Starts this one, where requests may come to harm.
    pub async fn serve_with(
        self,
        fates: impl Fn(&Request) -> Fate + Send + Sync + 'static,
        before: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> (Server, Arc<Self>) {
        let fake = Arc::new(self);
        let inner = fake.clone();
        let server = Server::with_fates(fates, move |request| {
            before(request).unwrap_or_else(|| inner.handle(request))
        })
        .await;
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
        if let Some((repository, subject)) = path.split_once("/referrers/")
            && self.knows_referrers
        {
            return self.referrers(request, repository, subject);
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
            let stored =
                reply(201).header("Docker-Content-Digest", Digest::sha256(&request.body).to_string());
            return match subject_of(&request.body).filter(|_| self.knows_referrers) {
                Some(subject) => stored.header("OCI-Subject", subject),
                None => stored,
            };
        }
        if request.method == "DELETE" {
            let mut manifests = self.manifests.lock().expect("unpoisoned");
            return match manifests.remove(&(repository.to_owned(), name.to_owned())) {
                Some(_) => reply(202),
                None => unknown("MANIFEST_UNKNOWN"),
            };
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

    /// Two to a page, and no filter.
    fn referrers(&self, request: &Request, repository: &str, subject: &str) -> Reply {
        let manifests = self.manifests.lock().expect("unpoisoned");
        let all = manifests.iter().filter(|((place, name), (_, bytes))| {
            place == repository && name.contains(':') && subject_of(bytes).as_deref() == Some(subject)
        });
        let all: Vec<oci::Descriptor> = all
            .filter_map(|(_, (_, bytes))| {
                Some(oci::ImageDocument::parse(None, bytes.clone()).ok()?.as_referrer())
            })
            .collect();
        let from: usize =
            request.query().remove("from").and_then(|from| from.first()?.parse().ok()).unwrap_or_default();
        let page: Vec<&oci::Descriptor> = all.iter().skip(from).take(2).collect();
        let body = serde_json::json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": page});
        let answer = reply(200).header("Content-Type", INDEX).body(body.to_string());
        match all.len() > from + 2 {
            true => answer.header(
                "Link",
                format!("</v2/{repository}/referrers/{subject}?from={}>; rel=\"next\"", from + 2),
            ),
            false => answer,
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
            let mut uploads = self.uploads.lock().expect("unpoisoned");
            let name = format!("session{}", self.begun.fetch_add(1, Ordering::SeqCst));
            uploads.insert(name.clone(), Vec::new());
            let begun =
                reply(202).header("Location", format!("/v2/{repository}/blobs/uploads/{name}?state=a%2Fb"));
            return match self.least_piece {
                Some(least) => begun.header("OCI-Chunk-Min-Length", least.to_string()),
                None => begun,
            };
        }
        if first("state") != "a/b" {
            return reply(400).body(r#"{"errors":[{"code":"BLOB_UPLOAD_INVALID"}]}"#);
        }
        let mut uploads = self.uploads.lock().expect("unpoisoned");
        let Some(had) = uploads.get_mut(session) else { return unknown("BLOB_UPLOAD_UNKNOWN") };
        match request.method.as_str() {
            "GET" => stands(had, 204),
            "PATCH" => {
                let start = request.header("content-range").and_then(|range| range.split('-').next());
                if start.is_some_and(|start| start.parse() != Ok(had.len())) {
                    return stands(had, 416);
                }
                had.extend_from_slice(&request.body);
                stands(had, 202)
            }
            "PUT" => {
                let bytes = Bytes::from([&had[..], &request.body[..]].concat());
                let digest = Digest::sha256(&bytes).to_string();
                if first("digest") != digest {
                    return reply(400)
                        .body(r#"{"errors":[{"code":"DIGEST_INVALID","message":"no such digest"}]}"#);
                }
                uploads.remove(session);
                drop(uploads);
                self.put_blob(repository, &bytes);
                reply(201).header("Docker-Content-Digest", digest)
            }
            "DELETE" => reply(204),
            _ => reply(405),
        }
    }
}

/// Where an upload stands.
fn stands(had: &[u8], status: u16) -> Reply {
    reply(status).header("Range", format!("0-{}", had.len().saturating_sub(1)))
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn subject_of(manifest: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(manifest).ok()?;
    Some(value.get("subject")?.get("digest")?.as_str()?.to_owned())
}

fn unknown(code: &str) -> Reply {
    reply(404).body(format!(r#"{{"errors":[{{"code":"{code}","message":"it is not here"}}]}}"#))
}

/// A registry with one blob, whose n-th answer to a GET for it is made by a function.
pub async fn blob_server(
    bytes: &Bytes,
    answer: impl Fn(usize, &Request, &Bytes) -> Reply + Send + Sync + 'static,
) -> Server {
    let (bytes, count) = (bytes.clone(), AtomicUsize::new(0));
    Server::start(move |request| match (request.method.as_str(), request.path().contains("/blobs/")) {
        ("GET", true) => answer(count.fetch_add(1, Ordering::SeqCst), request, &bytes),
        _ => reply(200),
    })
    .await
}

/// The bytes, or those of the range.
pub fn ranged(request: &Request, bytes: &Bytes) -> Reply {
    let range = request.header("range").and_then(|range| {
        let (start, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        let last = if last.is_empty() { bytes.len() - 1 } else { last.parse().ok()? };
        Some((start.parse::<usize>().ok()?, last))
    });
    match range {
        None => reply(200).body(bytes.clone()),
        Some((start, last)) => reply(206)
            .header("Content-Range", format!("bytes {start}-{last}/{}", bytes.len()))
            .body(bytes.slice(start..=last)),
    }
}
