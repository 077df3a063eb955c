//! The time of a remote source, which `SOURCE_DATE_EPOCH` may stand for.

use graph::{HttpSource, Remote};
use layer_store::Snapshot;

use super::RemoteError;
use crate::Session;
use crate::event::StepId;
use crate::file::newest_in_archive;
use crate::git;
use crate::worker::{Permit, blocking, fetch_url};

/// Seconds since 1970: the committer's time of a commit; of a file, when the server says that it was
/// modified, else the newest file in it. `None`: it has no time.
pub(crate) async fn source_time(
    session: &Session,
    source: &Remote,
    step: StepId,
) -> Result<Option<i64>, RemoteError> {
    match source {
        Remote::Git(source) => Ok(Some(git::commit_time(session, source).await?)),
        Remote::Http(source) => {
            let snapshot = fetch_url(session, source, step).await?;
            let (session, source) = (session.clone(), source.clone());
            blocking(Permit::free(), move || file_time(&session, &snapshot, &source)).await
        }
    }
}

/// A file that was fetched without a time has the time 0.
fn file_time(
    session: &Session,
    snapshot: &Snapshot,
    source: &HttpSource,
) -> Result<Option<i64>, RemoteError> {
    let view = session.store.stack(snapshot)?;
    let name = source.filename.as_ref();
    match view.lookup(name)?.map(|entry| entry.attributes.mtime.secs) {
        None | Some(0) => Ok(newest_in_archive(view.open(name)?)),
        Some(modified) => Ok(Some(modified)),
    }
}
