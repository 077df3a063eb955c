//! The store as a registry (distribution-spec 1.1), so that other tools take images straight out of it
//! and put images in.
//!
//! - `connection`: listening, TLS, and an orderly end;
//! - `access`: who may ask;
//! - `route`: which request is meant; pure;
//! - `answer`: answers and errors in the spec's form;
//! - `read` and `documents`: manifests, blobs, tags, the catalogue, referrers;
//! - `upload` and `write`: blobs on their way in, manifests, deletion.
//!
//! A repository's path is read as a bare name is: `app` is the store's `app`, `registry.example/app`
//! that one's. Layers that were never packed are packed when their image is first asked for; the store
//! remembers how. Nothing is named before all it leads to is here and verified.
//!
//! Invariants: without passwords only loopback is listened on, and only those are answered who call it
//! so; passwords leave the machine by TLS alone; no request reaches a registry or a file outside of the
//! store; a request that panics is an error of that request.

mod access;
mod answer;
mod connection;
mod documents;
mod error;
mod read;
mod route;
mod tls;
mod upload;
mod write;

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HeaderName;
use hyper::{Method, Request};
use registry_client::{Client, ClientOptions, Hosts};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::Session;
pub use access::Htpasswd;
use access::{Admission, Guard};
use answer::{Answer, Refused};
pub use error::ServeError;
use route::{Route, parse};
pub use tls::TlsFiles;
use upload::Uploads;

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Whether images can be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// They can.
    Allowed,
    /// It is for reading alone.
    Refused,
}

/// How a registry serves.
pub struct ServeOptions {
    /// Where it listens; port 0 is any free one.
    pub address: SocketAddr,
    /// Whether images can be put in.
    pub writing: Writing,
    /// Certificate and key; plain HTTP where absent.
    pub tls: Option<TlsFiles>,
    /// Who may ask; everybody on this machine where absent.
    pub passwords: Option<Htpasswd>,
}

/// A registry that listens.
pub struct RegistryServer {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    session: Session,
    writing: Writing,
    guard: Guard,
    uploads: Uploads,
}

impl RegistryServer {
    /// Listens. Other addresses than those of loopback need TLS and passwords.
    pub async fn bind(session: &Session, options: ServeOptions) -> Result<Self, ServeError> {
        let ServeOptions { address, writing, tls, passwords } = options;
        if !address.ip().is_loopback() && (tls.is_none() || passwords.is_none()) {
            return Err(ServeError::Exposed { address });
        }
        let tls = tls.as_ref().map(TlsFiles::acceptor).transpose()?;
        let listener =
            TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
        let guard = Guard::new(passwords, tls.is_some());
        let client = ClientOptions { hosts: Hosts::nowhere(), ..ClientOptions::default() };
        let session = Session { client: Client::new(client)?, ..session.clone() };
        let shared = Shared { session, writing, guard, uploads: Uploads::default() };
        Ok(Self { listener, tls, shared: Arc::new(shared) })
    }

    /// Where it listens: `http://127.0.0.1:5000`.
    pub fn url(&self) -> Result<String, ServeError> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let address = self.listener.local_addr().map_err(ServeError::Accept)?;
        Ok(format!("{scheme}://{address}"))
    }

    /// Answers until it is told to stop; what is being answered then gets some time to end. Unfinished
    /// uploads leave nothing behind.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        connection::accept(self.listener, self.tls, self.shared, stop).await;
    }
}

impl Shared {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let head = *request.method() == Method::HEAD;
        // In a task of its own: a client that goes away in the middle must not take an upload with it.
        let answering = tokio::spawn(async move { self.admitted(request).await });
        let answer = match answering.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(refused)) => refused.into_answer(),
            Err(_) => Refused::own("this request failed here").into_answer(),
        };
        // Old clients tell by it that this is a registry.
        let answer = answer::with(answer, API_VERSION, "registry/2.0");
        if head { answer::without_body(answer) } else { answer }
    }

    async fn admitted(&self, request: Request<Incoming>) -> Result<Answer, Refused> {
        match self.guard.judge(request.headers()).await {
            Admission::Granted => self.dispatch(request).await,
            Admission::Unknown => Err(Refused::unauthorized()),
            Admission::Denied(reason) => Err(Refused::denied(reason)),
        }
    }

    async fn dispatch(&self, request: Request<Incoming>) -> Result<Answer, Refused> {
        let route = parse(request.uri())?;
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if !reads && self.writing == Writing::Refused {
            return Err(Refused::denied("this registry is for reading alone"));
        }
        match (route, request.method().clone()) {
            (Route::Base, Method::GET | Method::HEAD) => Ok(answer::json(&serde_json::json!({}))),
            (Route::Catalogue(page), Method::GET) => self.catalogue(&page).await,
            (Route::Tags(repository, page), Method::GET) => self.tags(&repository, &page).await,
            (Route::Manifest(name), Method::GET | Method::HEAD) => self.manifest(&name).await,
            (Route::Manifest(name), Method::PUT) => self.put_manifest(&name, request).await,
            (Route::Manifest(name), Method::DELETE) => self.delete_manifest(&name).await,
            (Route::Blob(digest), Method::GET | Method::HEAD) => self.blob(&digest, request.headers()).await,
            (Route::Referrers(repository, digest, kind), Method::GET) => {
                self.referrers(&repository, &digest, kind.as_deref()).await
            }
            (Route::Uploads(path, query), Method::POST) => self.start_upload(&path, &query, request).await,
            (Route::Upload(path, id, _), Method::GET) => self.upload_status(&path, &id).await,
            (Route::Upload(path, id, _), Method::PATCH) => self.more_upload(&path, &id, request).await,
            (Route::Upload(path, id, digest), Method::PUT) => {
                self.end_upload(&path, &id, digest, request).await
            }
            (Route::Upload(path, id, _), Method::DELETE) => self.drop_upload(&path, &id).await,
            (
                Route::Base
                | Route::Catalogue(_)
                | Route::Tags(..)
                | Route::Manifest(_)
                | Route::Blob(_)
                | Route::Referrers(..)
                | Route::Uploads(..)
                | Route::Upload(..),
                _,
            ) => Err(Refused::unsupported()),
        }
    }
}
