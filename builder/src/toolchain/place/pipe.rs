//! From an async reader to code that blocks.

use std::io;

use registry_client::BoxedRead;
use tokio::io::AsyncReadExt;

use crate::image::{Incoming, Outgoing};
use crate::worker::{Permit, blocking};

const PIECE: usize = 128 << 10;

/// Runs `take` on a blocking thread with what the reader brings. The reader's error comes first: the
/// other only says that it stopped.
pub(crate) async fn into_blocking<T: Send + 'static>(
    reader: BoxedRead,
    take: impl FnOnce(Incoming) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (outgoing, incoming) = Incoming::channel();
    let taking = blocking(Permit::free(), move || take(incoming));
    let (fed, taken) = futures::future::join(feed(reader, outgoing), taking).await;
    fed?;
    taken
}

async fn feed(mut reader: BoxedRead, outgoing: Outgoing) -> io::Result<()> {
    loop {
        let mut piece = bytes::BytesMut::with_capacity(PIECE);
        if reader.read_buf(&mut piece).await? == 0 {
            outgoing.end().await;
            return Ok(());
        }
        if !outgoing.send(piece.freeze()).await {
            // The taker gave up and says why.
            return Ok(());
        }
    }
}
