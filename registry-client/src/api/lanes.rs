//! Several ranges of one large blob at once, handed out in their order.
//!
//! A registry, or the storage behind it, often gives each connection a part of what it could send. The
//! first range shows whether ranges are understood; where they are not, its answer is read as the whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use tokio_util::task::AbortOnDropHandle;

use super::blob::{Download, Proof};
use crate::{RegistryError, SplitPolicy};

/// How many further ranges all blobs of a client may have under way together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes(Arc<AtomicUsize>);

/// Lanes that a blob took; given back when it is dropped.
pub(super) struct Taken {
    lanes: Lanes,
    count: usize,
}

impl Lanes {
    /// As many as there are, up to what one blob may have; `None` where there is none.
    pub(super) fn take(&self, policy: &SplitPolicy) -> Option<Taken> {
        let wanted = policy.at_once.saturating_sub(1);
        let mut count = 0;
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            count = wanted.min(policy.in_all.saturating_sub(used));
            Some(used + count)
        });
        (count > 0).then(|| Taken { lanes: self.clone(), count })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.lanes.0.fetch_sub(self.count, Ordering::AcqRel);
    }
}

/// All that is missing of a blob whose first range is open.
pub(super) fn in_lanes(
    mut first: Download,
    piece: u64,
    taken: Taken,
) -> impl Stream<Item = Result<Bytes, RegistryError>> + Send + 'static {
    let mut whole = first.sibling(first.got, first.size);
    whole.proof = std::mem::replace(&mut first.proof, Proof::None);
    let starts = (first.end..first.size).step_by(usize::try_from(piece).unwrap_or(usize::MAX));
    let ranges: Vec<Download> =
        starts.map(|start| first.sibling(start, first.size.min(start.saturating_add(piece)))).collect();
    let head: BoxStream<'static, _> = first.into_chunks().boxed();
    let rest = stream::iter(ranges)
        .map(|range| fetched(range).boxed())
        .buffered(taken.count + 1)
        .map_ok(|chunks| stream::iter(chunks.into_iter().map(Ok)))
        .try_flatten();
    stream::try_unfold(
        (head.chain(rest).boxed(), whole, taken),
        |(mut chunks, mut whole, taken)| async move {
            match chunks.next().await.transpose()? {
                Some(chunk) => {
                    let chunk = whole.account(chunk)?;
                    Ok(Some((chunk, (chunks, whole, taken))))
                }
                None => Ok(None),
            }
        },
    )
}

/// One range, fetched while others are handed out.
async fn fetched(range: Download) -> Result<Vec<Bytes>, RegistryError> {
    let fetching = tokio::spawn(range.into_chunks().try_collect::<Vec<Bytes>>());
    match AbortOnDropHandle::new(fetching).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down; nobody will ever look at this future again.
            Err(_) => std::future::pending().await,
        },
    }
}
