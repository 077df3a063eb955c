//! Writing blobs: asked for first, mounted where another repository has them, else sent.

use oci::{Algorithm, Descriptor, Repository};
use reqwest::header::{CONTENT_LENGTH, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

use super::source::BlobSource;
use super::upload_notes::Note;
use crate::auth::scope::Scopes;
use crate::hosts::endpoint::Endpoint;
use crate::http::call::{Call, Target};
use crate::http::reach::Reach;
use crate::{Client, RegistryError};

/// How a blob came to be in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushedBlob {
    /// It was there.
    Present,
    /// The registry took it from another of its repositories.
    Mounted,
    /// It was sent.
    Uploaded,
}

/// One blob on its way to one repository.
pub(super) struct Upload<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) scopes: Scopes,
    pub(super) descriptor: &'a Descriptor,
    pub(super) source: &'a BlobSource,
    pub(super) subject: String,
}

impl Client {
    /// Brings a blob into a repository. `mount_from` names repositories of the same registry that may
    /// have it; others are passed over.
    pub async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        source: &BlobSource,
        mount_from: &[Repository],
    ) -> Result<PushedBlob, RegistryError> {
        let endpoint = self.0.options.hosts.for_push(repository)?;
        let upload = Upload {
            scopes: Scopes::push(&endpoint.path),
            subject: format!("blob {} to {repository}", descriptor.digest),
            descriptor,
            source,
            endpoint,
        };
        let usable = |from: &&Repository| from.registry == repository.registry && *from != repository;
        let mounts: Vec<&Repository> = mount_from.iter().filter(usable).collect();
        let there = || self.blob_is_at(&upload.endpoint, &upload.scopes, upload.descriptor);
        if self.0.patience.retry(there).await? {
            // the process that began to send it may have died before it was told so
            Note::of(self.0.options.upload_notes.as_deref(), &upload).remove();
            return Ok(PushedBlob::Present);
        }
        let mut session = None;
        for from in mounts {
            if let Some(abandoned) = session.take() {
                self.close_upload(&upload.endpoint, &upload.scopes, &upload.subject, abandoned).await;
            }
            match self.mount(&upload, from).await {
                Mount::Done => return Ok(PushedBlob::Mounted),
                Mount::Session(url) => session = Some(url),
                Mount::Refused => {}
            }
        }
        self.send_blob(&upload, session).await.map(|()| PushedBlob::Uploaded)
    }

    /// Asks the registry to take the blob from another repository. Any refusal only means sending it.
    async fn mount(&self, upload: &Upload<'_>, from: &Repository) -> Mount {
        let scopes = upload.scopes.clone().and(&from.path, &["pull"]);
        let query = format!("blobs/uploads/?mount={}&from={}", upload.descriptor.digest, from.path);
        let call = Call::new(&upload.endpoint, &scopes, Method::POST, query, &upload.subject)
            .header(CONTENT_LENGTH, ZERO);
        let Ok(response) = self.0.send(&call).await else { return Mount::Refused };
        match response.status() {
            StatusCode::CREATED => Mount::Done,
            StatusCode::ACCEPTED => session(&call, &response).map_or(Mount::Refused, Mount::Session),
            _ => Mount::Refused,
        }
    }

    /// Opens an upload session.
    pub(super) async fn start(&self, upload: &Upload<'_>) -> Result<Session, RegistryError> {
        let path = match upload.descriptor.digest.algorithm() {
            Algorithm::Sha256 => "blobs/uploads/".to_owned(),
            // The registry hashes while it takes the bytes, and must know how.
            other => format!("blobs/uploads/?digest-algorithm={}", other.name()),
        };
        let call = Call::new(&upload.endpoint, &upload.scopes, Method::POST, path, &upload.subject)
            .header(CONTENT_LENGTH, ZERO);
        let response = self.0.demand(&call).await?;
        session(&call, &response)
    }

    /// Closes a session that will not be used; the registry would drop it in time by itself.
    pub(super) async fn close_upload(
        &self,
        endpoint: &Endpoint,
        scopes: &Scopes,
        subject: &str,
        session: Session,
    ) {
        let mut call = Call::new(endpoint, scopes, Method::DELETE, String::new(), subject);
        (call.target, call.reach) = (Target::Url(session.url), session.reach);
        let _ = self.0.send(&call).await;
    }
}

const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
const LARGEST_LEAST: u64 = 1 << 30;
const ZERO: HeaderValue = HeaderValue::from_static("0");

/// An upload that a registry keeps open.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) url: Url,
    pub(super) reach: Reach,
    /// The least that it takes in one request, but for the last.
    pub(super) least: u64,
}

/// What became of a mount.
enum Mount {
    Done,
    Session(Session),
    Refused,
}

/// The session's URL, relative or absolute. One that names our own host by plain HTTP, as registries
/// behind proxies do, is asked by the scheme that we came by.
pub(super) fn session(call: &Call<'_>, response: &Response) -> Result<Session, RegistryError> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| call.protocol("an upload was accepted without a Location"))?;
    let came_by = response.url();
    let mut url = came_by.join(location).map_err(|_| call.protocol("the Location of an upload is no URL"))?;
    if url.scheme() == "http" && came_by.scheme() == "https" {
        if url.host_str() != came_by.host_str() || url.port().is_some() && url.port() != came_by.port() {
            return Err(call.protocol("it sends the upload from HTTPS to plain HTTP elsewhere"));
        }
        let same = url.set_scheme("https").is_ok() && url.set_port(came_by.port()).is_ok();
        if !same {
            return Err(call.protocol("the Location of an upload is no URL"));
        }
    }
    match url.scheme() {
        "http" | "https" => Ok(Session { url, reach: Reach::of(response), least: least(response) }),
        other => Err(call.protocol(format!("it sends the upload to {other}://"))),
    }
}

/// `OCI-Chunk-Min-Length`, within reason.
fn least(response: &Response) -> u64 {
    let header = response.headers().get(CHUNK_MIN_LENGTH).and_then(|value| value.to_str().ok());
    header.and_then(|text| text.trim().parse().ok()).unwrap_or(0).min(LARGEST_LEAST)
}
