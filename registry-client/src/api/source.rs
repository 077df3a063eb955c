//! Where the bytes of an upload come from. An upload may have to be tried again, so they can be had again.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::ReaderStream;

const CHUNK: usize = 128 << 10;

/// Bytes being read.
pub type BoxedRead = Box<dyn AsyncRead + Send + Unpin>;

/// Bytes that can be read from the start any number of times.
#[derive(Clone)]
pub struct BlobSource(Arc<dyn Fn() -> BoxFuture<'static, io::Result<BoxedRead>> + Send + Sync>);

impl BlobSource {
    /// What a function opens.
    pub fn new(open: impl Fn() -> BoxFuture<'static, io::Result<BoxedRead>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    /// A file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path: PathBuf = path.into();
        Self::new(move || {
            let path = path.clone();
            async move { Ok(Box::new(tokio::fs::File::open(path).await?) as BoxedRead) }.boxed()
        })
    }

    /// Bytes in memory.
    pub fn bytes(bytes: Bytes) -> Self {
        Self::new(move || {
            let reader: BoxedRead = Box::new(io::Cursor::new(bytes.clone()));
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

/// Exactly `size` bytes of a source.
pub(super) fn body(source: &BlobSource, size: u64, trouble: &Trouble) -> reqwest::Body {
    let (opening, noted) = ((source.0)(), trouble.clone());
    let stream = async move {
        let reader = opening.await?;
        Ok::<_, io::Error>(ReaderStream::with_capacity(Exact { reader, left: size }, CHUNK))
    };
    let stream = stream.try_flatten_stream().map_err(move |error| noted.note(error));
    reqwest::Body::wrap_stream(stream)
}

/// A reader that must end exactly where it was said to.
struct Exact {
    reader: BoxedRead,
    left: u64,
}

impl AsyncRead for Exact {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.reader).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = &polled {
            let got = (buffer.filled().len() - before) as u64;
            let fail =
                |what: &str| Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what.to_owned())));
            if got == 0 && self.left > 0 {
                return fail("it is shorter than its descriptor says");
            }
            match self.left.checked_sub(got) {
                Some(left) => self.left = left,
                None => return fail("it is longer than its descriptor says"),
            }
        }
        polled
    }
}
