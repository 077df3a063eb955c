//! A blob that another one is made of.

use std::io;

use oci::Descriptor;
use registry_client::BoxedRead;

use super::error::PlaceError;
use super::pipe::into_blocking;
use super::source::Source;
use crate::Session;
use crate::event::StepId;
use crate::image::{Incoming, staged_blob};

/// Runs `make` on a blocking thread with what a blob holds. Of a registry's, all of it is fetched first, so that
/// what a process that was killed had of it is not fetched again.
pub(crate) async fn made_of<T: Send + 'static>(
    session: &Session,
    source: &Source,
    blob: &Descriptor,
    step: StepId,
    make: impl FnOnce(Incoming) -> io::Result<T> + Send + 'static,
) -> Result<T, PlaceError> {
    let staged = match source.origin(blob) {
        Some(repository) => Some(staged_blob(session, repository, blob, step).await?),
        None => None,
    };
    let reader: BoxedRead = match &staged {
        Some(staged) => Box::new(tokio::fs::File::from_std(staged.open()?)),
        None => source.told_blob(session, blob, step).await?,
    };
    let made = into_blocking(reader, make).await;
    if let Some(staged) = staged {
        staged.discard();
    }
    made.map_err(|error| PlaceError::blob(&blob.digest, error))
}
