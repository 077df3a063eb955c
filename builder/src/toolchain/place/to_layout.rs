//! An OCI layout as the target. What is in it already stays, and is not written again.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use futures::{StreamExt, TryStreamExt};
use oci::{Descriptor, ImageDocument, Index};

use super::content::Content;
use super::error::PlaceError;
use super::files::{MOST, REF_NAME};
use super::name::InLayout;
use super::pipe::into_blocking;
use super::source::Source;
use super::span::Span;
use super::to_registry::AT_ONCE;
use crate::Session;
use crate::event::StepId;
use crate::export::{LAYOUT_VERSION, UnfinishedFile, blob_path, index_json};
use crate::image::staged_blob;
use crate::worker::{Permit, blocking};

/// Writes an image into a layout; how many blobs needed no transfer.
pub(super) async fn write(
    session: &Session,
    source: &Source,
    content: &Content,
    dir: &Path,
    image: &InLayout,
    step: StepId,
) -> Result<usize, PlaceError> {
    write_as(session, source, content, dir, entries(content, image, dir)?, step).await
}

/// Writes an image into a layout under the given entries; how many blobs needed no transfer.
pub(super) async fn write_as(
    session: &Session,
    source: &Source,
    content: &Content,
    dir: &Path,
    new: Vec<Descriptor>,
    step: StepId,
) -> Result<usize, PlaceError> {
    let writes: Vec<_> = content
        .blobs
        .iter()
        .map(|blob| blob_to_file(session, source, blob, dir.join(blob_path(&blob.digest)), step))
        .collect();
    let had: Vec<bool> = futures::stream::iter(writes).buffer_unordered(AT_ONCE).try_collect().await?;
    let documents: Vec<ImageDocument> = content.documents().chain(&content.referrers).cloned().collect();
    let dir = dir.to_owned();
    blocking(Permit::free(), move || {
        for document in &documents {
            small_file(&dir.join(blob_path(&document.descriptor().digest)), document.raw())?;
        }
        small_file(&dir.join("oci-layout"), LAYOUT_VERSION)?;
        let index = dir.join("index.json");
        small_file(&index, &index_json(&merged(&index, new)?))
    })
    .await?;
    Ok(had.into_iter().filter(|had| *had).count())
}

/// Entries of `index.json` for an image and what refers to it.
pub(super) fn entries(
    content: &Content,
    image: &InLayout,
    path: &Path,
) -> Result<Vec<Descriptor>, PlaceError> {
    let mut top = content.top.descriptor().clone();
    match image {
        InLayout::Only => {}
        InLayout::Tag(tag) => drop(top.annotations.insert(REF_NAME.to_owned(), tag.clone())),
        InLayout::Digest(digest) if *digest == top.digest => {}
        InLayout::Digest(digest) => {
            let reason = format!("the image to write is {}, not {digest}", top.digest);
            return Err(PlaceError::refused(path.display(), reason));
        }
    }
    let referrers = content.referrers.iter().map(ImageDocument::as_referrer);
    Ok(std::iter::once(top).chain(referrers).collect())
}

/// Entries of an index that is there, without those that the new ones replace.
fn merged(path: &Path, new: Vec<Descriptor>) -> Result<Vec<Descriptor>, PlaceError> {
    let found = Span::whole(path.to_owned()).map_err(|source| PlaceError::io(path, source))?;
    let old = match found {
        None => Vec::new(),
        Some(span) => {
            let raw = span.read(MOST).map_err(|source| PlaceError::io(path, source))?;
            let index: Index = serde_json::from_slice(&raw).map_err(|error| PlaceError::io(path, error))?;
            index.manifests
        }
    };
    let tag = |entry: &Descriptor| entry.annotations.get(REF_NAME).cloned();
    let replaced = |old: &Descriptor| {
        new.iter().any(|new| match (tag(old), tag(new)) {
            (Some(old), Some(new)) => old == new,
            (None, None) => old.digest == new.digest,
            (Some(_), None) | (None, Some(_)) => false,
        })
    };
    Ok(old.into_iter().filter(|entry| !replaced(entry)).chain(new.iter().cloned()).collect())
}

/// Writes one blob beside others; whether it was there.
pub(super) async fn blob_to_file(
    session: &Session,
    source: &Source,
    blob: &Descriptor,
    path: PathBuf,
    step: StepId,
) -> Result<bool, PlaceError> {
    let (there, size) = (path.clone(), blob.size);
    let is_there = move || std::fs::metadata(there).is_ok_and(|found| found.is_file() && found.len() == size);
    if blocking(Permit::free(), is_there).await {
        return Ok(true);
    }
    if let Some(repository) = source.origin(blob) {
        let staged = staged_blob(session, repository, blob, step).await?;
        let take = move || {
            let mut file = UnfinishedFile::create(&path)?;
            file.take(staged)?;
            file.finish()
        };
        blocking(Permit::free(), take).await?;
        return Ok(false);
    }
    let reader = source.told_blob(session, blob, step).await?;
    let written = into_blocking(reader, move |mut incoming| {
        let mut file = UnfinishedFile::create(&path).map_err(io::Error::other)?;
        io::copy(&mut incoming, &mut file)?;
        file.finish().map_err(io::Error::other)
    });
    written.await.map_err(|error| PlaceError::blob(&blob.digest, error))?;
    Ok(false)
}

/// Writes a small file, unless it is there.
pub(super) fn small_file(path: &Path, content: &[u8]) -> Result<(), PlaceError> {
    if std::fs::read(path).is_ok_and(|found| found == content) {
        return Ok(());
    }
    let mut file = UnfinishedFile::create(path)?;
    file.write_all(content).map_err(|source| PlaceError::io(path, source))?;
    Ok(file.finish()?)
}
