//! Reading blobs: verified, and taken up again where a transfer breaks off.

use std::io;
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

use crate::auth::scope::Scopes;
use crate::hosts::PullBy;
use crate::hosts::endpoint::Endpoint;
use crate::http::call::Call;
use crate::http::retry::pause;
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
        let opened = |endpoint: Endpoint| async move {
            let mut download = Download::new(self.clone(), endpoint, descriptor);
            download.open().await?;
            Ok(download)
        };
        let download = self.pull(repository, PullBy::Digest, opened).await?;
        Ok(stream::try_unfold(download, |mut download| async move {
            let chunk = download.next().await?;
            Ok(chunk.map(|chunk| (chunk, download)))
        }))
    }
}

/// A blob on its way.
struct Download {
    client: Client,
    endpoint: Endpoint,
    subject: String,
    digest: Digest,
    size: u64,
    hasher: Option<Hasher>,
    got: u64,
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
            hasher: Some(Hasher::new(descriptor.digest.algorithm())),
            got: 0,
            skip: 0,
            response: None,
            failures: 0,
        }
    }

    /// Asks for what is missing.
    async fn open(&mut self) -> Result<(), RegistryError> {
        let scopes = Scopes::pull(&self.endpoint.path);
        let mut call =
            Call::new(&self.endpoint, &scopes, Method::GET, format!("blobs/{}", self.digest), &self.subject);
        if self.got > 0 {
            let range = HeaderValue::try_from(format!("bytes={}-", self.got));
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

    /// How many bytes of an answer we already have, or why it cannot be right.
    fn judge(&self, response: &Response) -> Result<u64, RegistryError> {
        let status = response.status();
        let (skip, left) = match status {
            StatusCode::OK => (self.got, self.size),
            StatusCode::PARTIAL_CONTENT if self.got > 0 => {
                let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
                let expected = format!("bytes {}-{}/", self.got, self.size.saturating_sub(1));
                if range.is_some_and(|range| !range.starts_with(&expected)) {
                    return Err(self.corrupt("the range that came is not the one that was asked for"));
                }
                (0, self.size - self.got)
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
        if self.got == self.size && self.hasher.is_none() {
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
            .map_err(|source| RegistryError::network(&self.endpoint.host, &self.subject, source))
    }

    /// Accounts for bytes; the last ones are held back until all are proven and nothing follows them.
    async fn take(&mut self, bytes: Bytes) -> Result<Bytes, RegistryError> {
        self.failures = 0;
        self.got += bytes.len() as u64;
        if self.got > self.size {
            return Err(
                self.corrupt(&format!("it is longer than the {} bytes that were promised", self.size))
            );
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes);
        }
        if self.got == self.size {
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
        match self.hasher.take().map(Hasher::finish) {
            Some(actual) if actual != self.digest => Err(self.corrupt(&format!("its content is {actual}"))),
            Some(_) | None => Ok(()),
        }
    }

    /// Waits before going on, or gives up.
    async fn wait(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.response = None;
        self.failures += 1;
        let policy = &self.client.0.options.retry;
        match pause(policy, self.failures, &error) {
            Some(pause) if self.failures < policy.attempts => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            Some(_) | None => Err(error),
        }
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
