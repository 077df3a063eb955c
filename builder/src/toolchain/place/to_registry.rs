//! A registry as the target: blobs, then documents from below, the name last, then what refers to it.

use futures::{StreamExt, TryStreamExt};
use oci::{Descriptor, ImageDocument, Reference, Repository};
use registry_client::{PushedBlob, RegistryError};

use super::content::Content;
use super::error::PlaceError;
use super::source::Source;
use crate::Session;
use crate::event::StepId;

/// How many blobs are on their way at once.
pub(super) const AT_ONCE: usize = 4;

/// Pushes an image; how many blobs needed no transfer.
pub(super) async fn write(
    session: &Session,
    source: &Source,
    content: &Content,
    name: &Reference,
    step: StepId,
) -> Result<usize, PlaceError> {
    let top = content.top.descriptor();
    if content.referrers.is_empty() && is_there(session, name, top).await? {
        return Ok(content.blobs.len());
    }
    let repository = name.repository();
    // Collected first: a stream that maps borrowed items is not `Send` enough for its callers.
    let pushes: Vec<_> =
        content.blobs.iter().map(|blob| push_blob(session, source, repository, blob, step)).collect();
    let pushed: Vec<PushedBlob> =
        futures::stream::iter(pushes).buffer_unordered(AT_ONCE).try_collect().await?;
    for document in &content.below {
        by_digest(session, repository, document).await?;
    }
    session.client.push_manifest(name, &top.media_type, content.top.raw().clone()).await?;
    for document in &content.referrers {
        by_digest(session, repository, document).await?;
    }
    let sent = |how: &&PushedBlob| match how {
        PushedBlob::Uploaded => true,
        PushedBlob::Present | PushedBlob::Mounted => false,
    };
    Ok(pushed.len() - pushed.iter().filter(sent).count())
}

/// Whether the name stands for the very same thing already.
async fn is_there(session: &Session, name: &Reference, top: &Descriptor) -> Result<bool, PlaceError> {
    match session.client.resolve(name).await {
        Ok(found) => Ok(found.digest == top.digest),
        // A repository that does not exist yet is often hidden; pushing tells what is really wrong.
        Err(RegistryError::NotFound(_) | RegistryError::Denied(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn push_blob(
    session: &Session,
    source: &Source,
    repository: &Repository,
    blob: &Descriptor,
    step: StepId,
) -> Result<PushedBlob, PlaceError> {
    let mount_from = source.repositories();
    let body = source.upload(session, blob, step);
    session.client.push_blob(repository, blob, &body, &mount_from).await.map_err(PlaceError::from)
}

async fn by_digest(
    session: &Session,
    repository: &Repository,
    document: &ImageDocument,
) -> Result<(), PlaceError> {
    let descriptor = document.descriptor();
    let name = repository.with_digest(descriptor.digest.clone());
    session.client.push_manifest(&name, &descriptor.media_type, document.raw().clone()).await?;
    Ok(())
}
