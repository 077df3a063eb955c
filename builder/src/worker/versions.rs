//! What a server said of a file's version: asked again with it, the server need not send the file.

use graph::{HttpSource, Op};
use layer_store::{CacheKey, Component, Record, Snapshot};
use registry_client::HttpResponse;

use super::{Permit, blocking};
use crate::Session;
use crate::keys;

const ETAG: &str = "etag";
const MODIFIED: &str = "last-modified";

/// The version of a body, by the server's words.
pub(super) struct Versions {
    etag: Option<String>,
    modified: Option<String>,
}

/// A body that was fetched before.
pub(super) struct Earlier {
    versions: Versions,
    pub(super) snapshot: Snapshot,
}

impl Versions {
    pub(super) fn of(response: &HttpResponse) -> Self {
        let text = |name| response.header(name).map(str::to_owned);
        Self { etag: text(ETAG), modified: text(MODIFIED) }
    }

    /// Remembers the body with its version. Where that fails, the next build fetches it again.
    pub(super) async fn keep(self, session: &Session, source: &HttpSource, snapshot: &Snapshot) {
        if self.etag.is_none() && self.modified.is_none() {
            return;
        }
        let parts = [(ETAG, self.etag), (MODIFIED, self.modified)];
        let component =
            |(name, value): (&str, Option<String>)| Some(Component { name: name.to_owned(), value: value? });
        let outputs = vec![snapshot.clone()];
        let record = Record {
            result: keys::identity(&outputs),
            outputs,
            inputs: Vec::new(),
            components: parts.into_iter().filter_map(component).collect(),
            content: None,
            created: 0,
            millis: 0,
        };
        let (lease, key) = (session.lease.clone(), key(source));
        drop(blocking(Permit::free(), move || lease.put_record(&key, &record)).await);
    }
}

impl Earlier {
    pub(super) async fn find(session: &Session, source: &HttpSource) -> Option<Self> {
        let (lease, key) = (session.lease.clone(), key(source));
        let record = blocking(Permit::free(), move || lease.record(&key).ok()?).await?;
        let value = |name: &str| {
            record
                .components
                .iter()
                .find(|component| component.name == name)
                .map(|component| component.value.clone())
        };
        let versions = Versions { etag: value(ETAG), modified: value(MODIFIED) };
        Some(Self { versions, snapshot: record.outputs.first()?.clone() })
    }

    /// Headers that ask for the body only if it is another.
    pub(super) fn conditions(&self) -> Vec<(&str, &str)> {
        match (&self.versions.etag, &self.versions.modified) {
            (Some(etag), _) => vec![("if-none-match", etag)],
            (None, Some(modified)) => vec![("if-modified-since", modified)],
            (None, None) => Vec::new(),
        }
    }

    /// Whether the answer says that it is still the same body.
    pub(super) fn answers(&self, response: &HttpResponse) -> bool {
        let strong = |etag: &str| !etag.starts_with("W/");
        match response.status() {
            304 => true,
            // A server that does not know the question, but names the version.
            200 => self
                .versions
                .etag
                .as_deref()
                .is_some_and(|etag| strong(etag) && response.header(ETAG) == Some(etag)),
            _ => false,
        }
    }
}

/// Not the key of any step.
fn key(source: &HttpSource) -> CacheKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"rbuild version of a file behind a URL 1\0").update(&Op::Http(source.clone()).canonical());
    CacheKey(*hasher.finalize().as_bytes())
}
