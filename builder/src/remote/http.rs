//! What is behind a URL as the context.

use bytes::Bytes;
use graph::HttpSource;
use layer_store::Snapshot;

use super::archive::{NAME, is_archive, unpack};
use super::{RemoteError, context};
use crate::Session;
use crate::file::FileInput;
use crate::plan::Extra;
use crate::request::LocalContext;
use crate::worker::{Permit, blocking, fetch_url};

/// No Dockerfile is larger.
const MOST_TEXT: u64 = 16 << 20;

/// What was behind a URL.
#[derive(Clone, Debug)]
pub enum HttpContext {
    /// An archive: the context.
    Archive(LocalContext),
    /// A text: the Dockerfile of an empty context.
    Dockerfile(Bytes),
}

/// A URL that was given as the context, as it is fetched.
pub fn http_source(url: &str) -> HttpSource {
    let (url, filename) = (url.to_owned(), NAME.to_owned());
    HttpSource { url, checksum: None, filename, mode: 0o600, owner: (0, 0) }
}

/// Fetches a URL that was given as the context.
pub async fn http_context(session: &Session, url: &str) -> Result<HttpContext, RemoteError> {
    let source = http_source(url);
    let extra = Extra::before(session.events.clone());
    let step = extra.begin(format!("load {}", crate::git::shown(url)), None).await;
    let result = fetch_url(session, &source, step.id).await;
    extra.end(step, &result).await;
    let (session, snapshot, url) = (session.clone(), result?, url.to_owned());
    blocking(Permit::free(), move || look(&session, snapshot, &url)).await
}

fn look(session: &Session, snapshot: Snapshot, url: &str) -> Result<HttpContext, RemoteError> {
    let view = session.store.stack(&snapshot)?;
    let mut start = vec![0; 1024];
    let mut file = view.open(NAME.as_ref())?;
    let length =
        read_start(&mut file, &mut start).map_err(|source| RemoteError::Io { path: url.into(), source })?;
    start.truncate(length);
    if is_archive(&start) {
        let layer = unpack(session, url, FileInput::Snapshot(snapshot), NAME)?;
        return Ok(HttpContext::Archive(context(session, Snapshot(vec![layer]))?));
    }
    match view.read_file(NAME.as_ref(), MOST_TEXT)? {
        Some(text) if std::str::from_utf8(&text).is_ok() => Ok(HttpContext::Dockerfile(text.into())),
        Some(_) | None => Err(RemoteError::NotText { url: url.to_owned() }),
    }
}

fn read_start(file: &mut std::fs::File, buffer: &mut [u8]) -> std::io::Result<usize> {
    use std::io::Read;
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
