//! A file behind a URL, as a layer of one file.

use std::io::{self, Write};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use graph::HttpSource;
use layer_store::{Attributes, Content, Kind, Lease, Snapshot, StoreError, Time};
use oci::{Algorithm, Digest, Hasher};
use registry_client::{HttpResponse, RegistryError, Url};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::versions::{Earlier, Versions};
use super::{Permit, blocking};
use crate::Session;
use crate::error::{Categorised, Category, Cause};
use crate::event::{Event, StepId};

/// Bytes that are read at once, and pieces that may wait between network and disk.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 16;

/// A file that cannot be fetched.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The address is none.
    #[error("{url}: {source}")]
    Url {
        /// The text.
        url: String,
        /// What is wrong with it.
        source: url::ParseError,
    },
    /// The server cannot be reached.
    #[error(transparent)]
    Client(#[from] RegistryError),
    /// The server has another answer.
    #[error("{url}: the server answers with status {status}")]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// The transfer broke off.
    #[error("{url}: {source}")]
    Body {
        /// The address.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// The content is not what the checksum promised.
    #[error("{url}: the checksum is {found}, expected {expected}")]
    Checksum {
        /// The address.
        url: String,
        /// The promise.
        expected: Digest,
        /// The content.
        found: Digest,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Categorised for HttpError {
    fn category(&self) -> Category {
        match self {
            HttpError::Url { .. } => Category::Usage,
            HttpError::Client(_) | HttpError::Status { .. } | HttpError::Body { .. } => Category::Remote,
            HttpError::Checksum { .. } => Category::Step,
            HttpError::Store(_) => Category::Local,
        }
    }
}

/// Fetches the file into a layer; nothing stays when its checksum is wrong.
pub(crate) async fn fetch(session: &Session, source: &HttpSource, step: StepId) -> Result<Snapshot, Cause> {
    Ok(fetch_typed(session, source, step).await?)
}

async fn fetch_typed(session: &Session, source: &HttpSource, step: StepId) -> Result<Snapshot, HttpError> {
    let url: Url =
        source.url.parse().map_err(|error| HttpError::Url { url: source.url.clone(), source: error })?;
    let earlier = Earlier::find(session, source).await;
    let mut headers = earlier.as_ref().map(Earlier::conditions).unwrap_or_default();
    let authorisation = session.remote_secrets.of_file(&url);
    headers.extend(authorisation.as_deref().map(|value| ("authorization", value)));
    let response = session.client.get_url(&url, &headers).await?;
    if let Some(earlier) = earlier.filter(|earlier| earlier.answers(&response)) {
        return Ok(earlier.snapshot);
    }
    if response.status() != 200 {
        return Err(HttpError::Status { url: source.url.clone(), status: response.status() });
    }
    let modified = response.header("last-modified").and_then(seconds);
    let versions = Versions::of(&response);
    let (sender, receiver) = mpsc::channel(WAITING);
    let writing = {
        let (lease, source) = (session.lease.clone(), source.clone());
        blocking(Permit::free(), move || write(&lease, &source, modified, receiver))
    };
    let (read, written) =
        futures::join!(transfer(session, response, step, &source.filename, sender), writing);
    read.map_err(|error| HttpError::Body { url: source.url.clone(), source: error })?;
    let snapshot = written?;
    versions.keep(session, source, &snapshot).await;
    Ok(snapshot)
}

/// Hands the body on, piece by piece; an empty piece says that it is complete.
async fn transfer(
    session: &Session,
    mut response: HttpResponse,
    step: StepId,
    name: &str,
    pieces: mpsc::Sender<Bytes>,
) -> io::Result<()> {
    let (total, mut done) = (response.length(), 0);
    loop {
        let mut piece = BytesMut::with_capacity(PIECE);
        let count = response.read_buf(&mut piece).await?;
        // A writer that is gone has an error of its own to tell.
        if pieces.send(piece.freeze()).await.is_err() || count == 0 {
            return Ok(());
        }
        done += count as u64;
        session.events.offer(Event::Transfer { step, name: name.to_owned(), done, total });
    }
}

/// Writes the body to a file of its own, holds it against the checksum, and makes the layer of it.
fn write(
    lease: &Lease,
    source: &HttpSource,
    modified: Option<i64>,
    mut pieces: mpsc::Receiver<Bytes>,
) -> Result<Snapshot, HttpError> {
    let broken = |error| HttpError::Body { url: source.url.clone(), source: error };
    let path = lease.scratch_dir()?.join("body");
    let mut file = std::fs::File::create_new(&path).map_err(broken)?;
    let mut digester = Hasher::new(source.checksum.as_ref().map_or(Algorithm::Sha256, Digest::algorithm));
    let mut size = 0;
    loop {
        let piece = pieces.blocking_recv().ok_or_else(|| broken(io::ErrorKind::UnexpectedEof.into()))?;
        if piece.is_empty() {
            break;
        }
        digester.update(&piece);
        file.write_all(&piece).map_err(broken)?;
        size += piece.len() as u64;
    }
    let found = digester.finish();
    match &source.checksum {
        Some(expected) if *expected != found => {
            return Err(HttpError::Checksum { url: source.url.clone(), expected: expected.clone(), found });
        }
        Some(_) | None => {}
    }
    let body = std::fs::File::open(&path).map_err(broken)?;
    let mut layer = lease.write_layer(&Snapshot::default())?;
    let mut attributes = Attributes::new(Kind::File { size }, source.mode);
    (attributes.uid, attributes.gid) = source.owner;
    attributes.mtime = Time { secs: modified.unwrap_or(0), nanos: 0 };
    layer.file(Path::new(&source.filename), &attributes, Content::File(&body))?;
    let id = layer.commit()?;
    Ok(Snapshot(vec![id]))
}

/// `Last-Modified` as seconds since 1970.
fn seconds(text: &str) -> Option<i64> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(date.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_servers() {
        assert_eq!(seconds("Thu, 01 Jan 1970 00:01:00 GMT"), Some(60));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:28:00 GMT"), Some(1_445_412_480));
        assert_eq!(seconds("yesterday"), None);
    }
}
