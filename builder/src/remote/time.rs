//! The time of a remote source, which `SOURCE_DATE_EPOCH` may stand for.

use std::path::Path;

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

/// When the files of a context were committed, in seconds since 1970: those of a git repository or
/// of a directory in one. `None`: others have no such time.
pub async fn context_time(
    session: &Session,
    source: Option<&Remote>,
    directory: Option<&Path>,
) -> Result<Option<i64>, RemoteError> {
    match (source, directory) {
        (Some(Remote::Git(source)), _) => Ok(Some(git::commit_time(session, source).await?)),
        (None, Some(directory)) => Ok(git::directory_time(session, directory).await),
        (Some(Remote::Http(_)), _) | (None, None) => Ok(None),
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
