//! Reading blobs: verified, and taken up again where a transfer breaks off.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use oci::{Descriptor, Digest, Hasher, Repository};
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio_util::io::StreamReader;

use super::lanes::{Taken, in_lanes};
use crate::auth::scope::Scopes;
use crate::hosts::PullBy;
use crate::hosts::endpoint::Endpoint;
use crate::http::call::Call;
use crate::{Client, RegistryError};

/// The bytes of a blob as they arrive. The last of them only comes once digest and size are proven, so
/// who reads to the end has the right blob. Errors carry a [`RegistryError`] inside.
pub struct BlobReader(StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>);

impl BlobReader {
    fn new(chunks: impl Stream<Item = Result<Bytes, RegistryError>> + Send + 'static) -> Self {
        Self(StreamReader::new(chunks.map_err(io::Error::other).boxed()))
    }

    /// The bytes in pieces.
    pub fn into_stream(self) -> BoxStream<'static, io::Result<Bytes>> {
        self.0.into_inner()
    }
}

impl std::fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlobReader")
    }
}

impl AsyncRead for BlobReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncBufRead for BlobReader {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().0).poll_fill_buf(context)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        Pin::new(&mut self.0).consume(amount);
    }
}

impl Client {
    /// Opens a blob. Its bytes are verified, and a broken transfer goes on where it stopped.
    pub async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobReader, RegistryError> {
        Ok(BlobReader::new(self.blob_chunks(repository, descriptor).await?))
    }

    /// Goes on with a blob of which the first bytes are there already: they were hashed by the caller, who
    /// gets the rest. Where they were not the right ones, the end of reading tells.
    pub async fn rest_of_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        had: HadBytes,
    ) -> Result<BlobReader, RegistryError> {
        let opened = |endpoint: Endpoint| {
            let mut download = Download::new(self.clone(), endpoint, descriptor);
            download.got = had.length;
            download.proof = Proof::Open(had.hasher.clone());
            download.opened_wide()
        };
        if had.length > descriptor.size {
            let reason = format!("{} bytes are there of {}", had.length, descriptor.size);
            let subject = format!("blob {}", descriptor.digest);
            return Err(RegistryError::corrupt(&repository.registry, &subject, reason));
        }
        Ok(BlobReader::new(self.pull(repository, PullBy::Digest, opened).await?.into_chunks()))
    }

    /// A part of a blob. Its length is held against what was asked for, its bytes are not: a digest is of
    /// the whole.
    pub async fn blob_range(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> Result<BlobReader, RegistryError> {
        let range = range.start.min(descriptor.size)..range.end.min(descriptor.size);
        let opened = |endpoint: Endpoint| {
            let mut download = Download::new(self.clone(), endpoint, descriptor);
            (download.got, download.end) = (range.start, range.end.max(range.start));
            download.proof = Proof::None;
            download.opened()
        };
        Ok(BlobReader::new(self.pull(repository, PullBy::Digest, opened).await?.into_chunks()))
    }

    /// A whole blob in memory; the caller has looked at its size.
    pub(super) async fn small_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Bytes, RegistryError> {
        let mut chunks = Box::pin(self.blob_chunks(repository, descriptor).await?);
        let mut bytes = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        Ok(bytes.freeze())
    }

    /// Whether a repository has a blob of that size.
    pub async fn has_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<bool, RegistryError> {
        let at = |endpoint: Endpoint| async move {
            let scopes = Scopes::pull(&endpoint.path);
            self.blob_is_at(&endpoint, &scopes, descriptor).await
        };
        self.pull(repository, PullBy::Digest, at).await
    }

    /// A HEAD for a blob.
    pub(super) async fn blob_is_at(
        &self,
        endpoint: &Endpoint,
        scopes: &Scopes,
        descriptor: &Descriptor,
    ) -> Result<bool, RegistryError> {
        let subject = format!("blob {} of {}", descriptor.digest, endpoint.path);
        let call =
            Call::new(endpoint, scopes, Method::HEAD, format!("blobs/{}", descriptor.digest), &subject);
        let response = self.0.send(&call).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        let response = call.accept(response).await?;
        let length = response.headers().get(reqwest::header::CONTENT_LENGTH);
        let length: Option<u64> = length.and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(length.is_none_or(|length| length == descriptor.size))
    }

    async fn blob_chunks(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<impl Stream<Item = Result<Bytes, RegistryError>> + Send + 'static, RegistryError> {
        let opened = |endpoint: Endpoint| Download::new(self.clone(), endpoint, descriptor).opened_wide();
        Ok(self.pull(repository, PullBy::Digest, opened).await?.into_chunks())
    }
}

/// The first bytes of a blob, as a caller has them.
#[derive(Clone, Debug)]
pub struct HadBytes {
    /// Has hashed them, by the algorithm of the blob's digest.
    pub hasher: Hasher,
    /// How many they are.
    pub length: u64,
}

/// What makes the last bytes good.
pub(super) enum Proof {
    /// All bytes so far.
    Open(Hasher),
    /// The digest was right.
    Given,
    /// Nothing: it is a part.
    None,
}

/// How all that is missing of a blob comes.
enum Wide {
    /// By one answer after the other.
    One(Download),
    /// By several ranges at once of that size; the first is open.
    Several(Download, u64, Taken),
}

impl Wide {
    fn into_chunks(self) -> BoxStream<'static, Result<Bytes, RegistryError>> {
        match self {
            Self::One(download) => download.into_chunks().boxed(),
            Self::Several(first, piece, taken) => in_lanes(first, piece, taken).boxed(),
        }
    }
}

/// A blob on its way.
pub(super) struct Download {
    client: Client,
    endpoint: Endpoint,
    subject: String,
    digest: Digest,
    pub(super) size: u64,
    pub(super) proof: Proof,
    /// The position in the blob.
    pub(super) got: u64,
    /// Where to stop.
    pub(super) end: u64,
    /// Bytes to drop, where a server ignores ranges.
    skip: u64,
    response: Option<Response>,
    /// Failures since the last byte.
    failures: u32,
}

impl Download {
    fn new(client: Client, endpoint: Endpoint, descriptor: &Descriptor) -> Self {
        Self {
            client,
            subject: format!("blob {} of {}", descriptor.digest, endpoint.path),
            endpoint,
            digest: descriptor.digest.clone(),
            size: descriptor.size,
            proof: Proof::Open(Hasher::new(descriptor.digest.algorithm())),
            got: 0,
            end: descriptor.size,
            skip: 0,
            response: None,
            failures: 0,
        }
    }

    async fn opened(mut self) -> Result<Self, RegistryError> {
        if self.got < self.end || self.size == 0 {
            self.open().await?;
        }
        Ok(self)
    }

    /// Another range of the same blob at the same place, which nothing proves by itself.
    pub(super) fn sibling(&self, start: u64, end: u64) -> Self {
        Self {
            client: self.client.clone(),
            endpoint: self.endpoint.clone(),
            subject: self.subject.clone(),
            digest: self.digest.clone(),
            size: self.size,
            proof: Proof::None,
            got: start,
            end,
            skip: 0,
            response: None,
            failures: 0,
        }
    }

    /// Opens all that is missing: in several ranges at once where that is worth while and understood.
    async fn opened_wide(mut self) -> Result<Wide, RegistryError> {
        let policy = self.client.0.options.split.clone();
        let large = self.size.saturating_sub(self.got) >= policy.from.max(policy.piece + 1);
        let Some(taken) = large.then(|| self.client.0.lanes.take(&policy)).flatten() else {
            return self.opened().await.map(Wide::One);
        };
        self.end = self.got + policy.piece;
        self.open().await?;
        let understood =
            self.response.as_ref().is_some_and(|one| one.status() == StatusCode::PARTIAL_CONTENT);
        if understood {
            return Ok(Wide::Several(self, policy.piece, taken));
        }
        self.end = self.size;
        Ok(Wide::One(self))
    }

    pub(super) fn into_chunks(self) -> impl Stream<Item = Result<Bytes, RegistryError>> + Send + 'static {
        stream::try_unfold(self, |mut download| async move {
            let chunk = download.next().await?;
            Ok(chunk.map(|chunk| (chunk, download)))
        })
    }

    /// Asks for what is missing.
    async fn open(&mut self) -> Result<(), RegistryError> {
        let scopes = Scopes::pull(&self.endpoint.path);
        let mut call =
            Call::new(&self.endpoint, &scopes, Method::GET, format!("blobs/{}", self.digest), &self.subject);
        if self.is_part() {
            let last = match self.end == self.size {
                true => String::new(),
                false => (self.end - 1).to_string(),
            };
            let range = HeaderValue::try_from(format!("bytes={}-{last}", self.got));
            call = call.header(
                RANGE,
                range.map_err(|_| RegistryError::protocol(&self.endpoint.host, &self.subject, "no range"))?,
            );
        }
        let response = self.client.0.demand(&call).await?;
        self.skip = self.judge(&response)?;
        self.response = Some(response);
        Ok(())
    }

    /// Whether less than the whole is missing.
    fn is_part(&self) -> bool {
        self.got > 0 || self.end < self.size
    }

    /// How many bytes of an answer we already have, or why it cannot be right.
    fn judge(&self, response: &Response) -> Result<u64, RegistryError> {
        let status = response.status();
        let (skip, left) = match status {
            StatusCode::OK => (self.got, self.size),
            StatusCode::PARTIAL_CONTENT if self.is_part() => {
                let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
                let expected = format!("bytes {}-{}/", self.got, self.end.saturating_sub(1));
                if range.is_some_and(|range| !range.starts_with(&expected)) {
                    return Err(self.corrupt("the range that came is not the one that was asked for"));
                }
                (0, self.end - self.got)
            }
            other => {
                return Err(RegistryError::protocol(
                    &self.endpoint.host,
                    &self.subject,
                    format!("unexpected status {}", other.as_u16()),
                ));
            }
        };
        match response.content_length() {
            Some(length) if length != left => Err(self.corrupt(&format!(
                "it has {} bytes, {} were promised",
                length + self.got - skip,
                self.size
            ))),
            Some(_) | None => Ok(skip),
        }
    }

    /// The next bytes; `None` after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        if self.got >= self.end && (self.size > 0 || !matches!(self.proof, Proof::Open(_))) {
            // bytes that the caller had may be all there are
            self.prove()?;
            return Ok(None);
        }
        loop {
            match self.step().await {
                Ok(Some(bytes)) => return self.take(bytes).await.map(Some),
                Ok(None) if self.size == 0 => {
                    self.prove()?;
                    return Ok(None);
                }
                Ok(None) => self.wait(self.cut()).await?,
                Err(error) => self.wait(error).await?,
            }
        }
    }

    /// Bytes that are new, or the end of this answer.
    async fn step(&mut self) -> Result<Option<Bytes>, RegistryError> {
        if self.response.is_none() {
            self.open().await?;
        }
        loop {
            let Some(mut bytes) = self.chunk().await? else { return Ok(None) };
            let dropped = self.skip.min(bytes.len() as u64);
            self.skip -= dropped;
            let fresh = bytes.split_off(usize::try_from(dropped).unwrap_or(bytes.len()));
            if !fresh.is_empty() {
                return Ok(Some(fresh));
            }
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let Some(response) = &mut self.response else { return Ok(None) };
        response
            .chunk()
            .await
            .map_err(|source| RegistryError::network(&self.endpoint.host, &self.subject, source, None))
    }

    /// Accounts for bytes that came by ranges; the last ones are held back until all are proven.
    pub(super) fn account(&mut self, bytes: Bytes) -> Result<Bytes, RegistryError> {
        self.got += bytes.len() as u64;
        if let Proof::Open(hasher) = &mut self.proof {
            hasher.update(&bytes);
        }
        if self.got == self.size {
            self.prove()?;
        }
        Ok(bytes)
    }

    /// Accounts for bytes; the last ones are held back until all are proven and nothing follows them.
    async fn take(&mut self, mut bytes: Bytes) -> Result<Bytes, RegistryError> {
        self.failures = 0;
        if self.end < self.size {
            // a server that ignores ranges sends more than the part
            bytes.truncate(usize::try_from(self.end - self.got).unwrap_or(usize::MAX));
        }
        self.got += bytes.len() as u64;
        if self.got > self.size {
            return Err(
                self.corrupt(&format!("it is longer than the {} bytes that were promised", self.size))
            );
        }
        if let Proof::Open(hasher) = &mut self.proof {
            hasher.update(&bytes);
        }
        if self.got == self.end && self.end < self.size {
            self.response = None;
        } else if self.got == self.size {
            self.prove()?;
            // a connection that breaks after the last byte does no harm
            while let Ok(Some(more)) = self.chunk().await {
                if !more.is_empty() {
                    return Err(self
                        .corrupt(&format!("it is longer than the {} bytes that were promised", self.size)));
                }
            }
            self.response = None;
        }
        Ok(bytes)
    }

    fn prove(&mut self) -> Result<(), RegistryError> {
        let Proof::Open(hasher) = std::mem::replace(&mut self.proof, Proof::Given) else { return Ok(()) };
        match hasher.finish() {
            actual if actual != self.digest => Err(self.corrupt(&format!("its content is {actual}"))),
            _ => Ok(()),
        }
    }

    /// Waits before going on, or gives up.
    async fn wait(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.response = None;
        self.failures += 1;
        self.client.0.patience.pause(self.failures, error).await
    }

    fn cut(&self) -> RegistryError {
        RegistryError::Cut {
            host: self.endpoint.host.clone(),
            subject: self.subject.clone(),
            got: self.got,
            size: self.size,
        }
    }

    fn corrupt(&self, reason: &str) -> RegistryError {
        RegistryError::corrupt(&self.endpoint.host, &self.subject, reason)
    }
}
