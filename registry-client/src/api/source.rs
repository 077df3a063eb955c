//! Where the bytes of an upload come from. An upload may have to be tried again, so they can be had again.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, ReadBuf};
use tokio_util::io::ReaderStream;

use crate::http::watch::Watch;

const CHUNK: usize = 128 << 10;

/// Bytes being read.
pub type BoxedRead = Box<dyn AsyncRead + Send + Unpin>;

/// Bytes that can be read any number of times.
#[derive(Clone)]
pub struct BlobSource(Arc<Open>);

/// Opens at an offset.
type Open = dyn Fn(u64) -> BoxFuture<'static, io::Result<BoxedRead>> + Send + Sync;

impl BlobSource {
    /// What a function opens at the start. To go on in the middle, what comes before is read and dropped.
    pub fn new(open: impl Fn() -> BoxFuture<'static, io::Result<BoxedRead>> + Send + Sync + 'static) -> Self {
        Self::at(move |offset| {
            let opening = open();
            async move {
                let mut reader = opening.await?;
                let mut before = (&mut reader).take(offset);
                tokio::io::copy(&mut before, &mut tokio::io::sink()).await?;
                Ok(reader)
            }
            .boxed()
        })
    }

    /// What a function opens at an offset.
    pub fn at(
        open: impl Fn(u64) -> BoxFuture<'static, io::Result<BoxedRead>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(open))
    }

    /// A file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path: PathBuf = path.into();
        Self::at(move |offset| {
            let path = path.clone();
            async move {
                let mut file = tokio::fs::File::open(path).await?;
                file.seek(io::SeekFrom::Start(offset)).await?;
                Ok(Box::new(file) as BoxedRead)
            }
            .boxed()
        })
    }

    /// Bytes in memory.
    pub fn bytes(bytes: Bytes) -> Self {
        Self::at(move |offset| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let reader: BoxedRead = Box::new(io::Cursor::new(bytes.slice(start..)));
            async move { Ok(reader) }.boxed()
        })
    }
}

impl std::fmt::Debug for BlobSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlobSource")
    }
}

/// Remembers why reading failed: the HTTP library only says that the body failed.
#[derive(Clone, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<io::Error>>>);

impl Trouble {
    pub(super) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, error: io::Error) -> io::Error {
        let copy = io::Error::new(error.kind(), error.to_string());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(error);
        copy
    }
}

/// A part of a source as the body of a request. The last part must end where the source does.
pub(super) fn body(source: &BlobSource, part: Part, watch: &Watch, trouble: &Trouble) -> reqwest::Body {
    let (opening, noted) = ((source.0)(part.start), trouble.clone());
    let stream = async move {
        let reader = Exact { reader: opening.await?, left: part.length, ends: part.ends };
        Ok::<_, io::Error>(ReaderStream::with_capacity(reader, CHUNK))
    };
    let stream = stream.try_flatten_stream().map_err(move |error| noted.note(error));
    reqwest::Body::wrap_stream(watch.over(stream))
}

/// Which bytes of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) start: u64,
    pub(super) length: u64,
    /// Whether nothing may follow.
    pub(super) ends: bool,
}

/// A reader that must have as many bytes as it was said to.
struct Exact {
    reader: BoxedRead,
    left: u64,
    ends: bool,
}

impl AsyncRead for Exact {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 && !self.ends {
            return Poll::Ready(Ok(()));
        }
        let room = match self.ends {
            true => buffer.remaining(),
            false => buffer.remaining().min(usize::try_from(self.left).unwrap_or(usize::MAX)),
        };
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let polled = Pin::new(&mut self.reader).poll_read(context, &mut part);
        let got = part.filled().len();
        if let Poll::Ready(Ok(())) = &polled {
            // A reader that fails must have handed out nothing.
            let fail =
                |what: &str| Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what.to_owned())));
            if got == 0 && self.left > 0 {
                return fail("it is shorter than its descriptor says");
            }
            match self.left.checked_sub(got as u64) {
                Some(left) => self.left = left,
                None => return fail("it is longer than its descriptor says"),
            }
            buffer.advance(got);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_source_of_another_length_is_an_error_and_no_panic() {
        for (given, left, ends, expected) in [
            (5, 5, true, Ok(5)),
            (9, 5, false, Ok(5)),
            (9, 5, true, Err("longer")),
            (3, 5, true, Err("shorter")),
            (3, 5, false, Err("shorter")),
        ] {
            let reader: BoxedRead = Box::new(io::Cursor::new(vec![7; given]));
            let mut bytes = Vec::new();
            let read = Exact { reader, left, ends }.read_to_end(&mut bytes).await;
            match expected {
                Ok(count) => assert_eq!(read.map_err(|error| error.to_string()), Ok(count)),
                Err(word) => {
                    let error = read.expect_err("another length").to_string();
                    assert!(error.contains(word), "{given} of {left}: {error}");
                }
            }
        }
    }
}
