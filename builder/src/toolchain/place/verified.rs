//! Bytes on their way from a local place, held against their descriptor.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use oci::{Descriptor, Digest, Hasher};
use registry_client::BoxedRead;
use tokio::io::{AsyncRead, ReadBuf};

/// Fails at the end of a stream that is not what was promised.
pub(super) struct Verified {
    reader: BoxedRead,
    digest: Digest,
    left: u64,
    hasher: Option<Hasher>,
}

impl Verified {
    /// Reads what the descriptor promises.
    pub(super) fn new(reader: BoxedRead, promised: &Descriptor) -> Self {
        let hasher = Some(Hasher::new(promised.digest.algorithm()));
        Self { reader, digest: promised.digest.clone(), left: promised.size, hasher }
    }

    fn judge(&mut self, got: &[u8]) -> io::Result<()> {
        let refuse = |reason: String| Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        if let Some(hasher) = &mut self.hasher {
            hasher.update(got);
        }
        self.left = match self.left.checked_sub(got.len() as u64) {
            Some(left) => left,
            None => return refuse("it is longer than its descriptor says".to_owned()),
        };
        if self.left == 0
            && let Some(found) = self.hasher.take().map(Hasher::finish)
            && found != self.digest
        {
            return refuse(format!("its content is {found}"));
        }
        match got.is_empty() && self.left > 0 {
            true => refuse("it is shorter than its descriptor says".to_owned()),
            false => Ok(()),
        }
    }
}

impl AsyncRead for Verified {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.reader).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                let judged = self.judge(&buffer.filled()[before..]);
                if judged.is_err() {
                    // Who reads must see either bytes or an error.
                    buffer.set_filled(before);
                }
                Poll::Ready(judged)
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use oci::MediaType;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[test]
    fn other_bytes_than_promised_are_an_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let digest = Digest::sha256("right");
        let promised = Descriptor::new(MediaType::OciEmpty, digest, 5);
        for (given, good) in
            [("right", true), ("wrong", false), ("righ", false), ("right!", false), ("", false)]
        {
            let reader: BoxedRead = Box::new(io::Cursor::new(given.as_bytes().to_vec()));
            let mut read = Vec::new();
            let result = runtime.block_on(Verified::new(reader, &promised).read_to_end(&mut read));
            assert_eq!(result.is_ok(), good, "{given}");
        }
    }
}
