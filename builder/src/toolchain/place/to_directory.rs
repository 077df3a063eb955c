//! skopeo's directory of one image as the target: every file is named by its digest.

use std::path::Path;

use futures::{StreamExt, TryStreamExt};
use oci::ImageDocument;

use super::content::Content;
use super::error::PlaceError;
use super::files::in_directory;
use super::source::Source;
use super::to_layout::{blob_to_file, small_file};
use super::to_registry::AT_ONCE;
use crate::Session;
use crate::event::StepId;
use crate::worker::{Permit, blocking};

const VERSION: &[u8] = b"Directory Transport Version: 1.1\n";

/// Writes an image into a directory; how many blobs needed no transfer.
pub(super) async fn write(
    session: &Session,
    source: &Source,
    content: &Content,
    dir: &Path,
    step: StepId,
) -> Result<usize, PlaceError> {
    let checked = dir.to_owned();
    blocking(Permit::free(), move || judge(&checked)).await?;
    let writes: Vec<_> = content
        .blobs
        .iter()
        .map(|blob| blob_to_file(session, source, blob, dir.join(in_directory(&blob.digest)), step))
        .collect();
    let had: Vec<bool> = futures::stream::iter(writes).buffer_unordered(AT_ONCE).try_collect().await?;
    let (dir, below, top) = (dir.to_owned(), content.below.clone(), content.top.clone());
    blocking(Permit::free(), move || {
        let name = |document: &ImageDocument| format!("{}.manifest.json", document.descriptor().digest.hex());
        for document in &below {
            small_file(&dir.join(name(document)), document.raw())?;
        }
        small_file(&dir.join("version"), VERSION)?;
        small_file(&dir.join("manifest.json"), top.raw())
    })
    .await?;
    Ok(had.into_iter().filter(|had| *had).count())
}

/// A directory that holds other things is not written to.
fn judge(dir: &Path) -> Result<(), PlaceError> {
    let mut entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(PlaceError::io(dir, error)),
    };
    // An earlier copy that was interrupted has blobs and no version yet.
    let is_ours = |name: &str| {
        let stem = name.strip_suffix(".manifest.json").unwrap_or(name);
        matches!(name, "version" | "manifest.json")
            || name.starts_with("signature-")
            || stem.trim_start_matches("sha512-").bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let strange = entries.find_map(|entry| {
        let name = entry.ok()?.file_name().to_string_lossy().into_owned();
        (!is_ours(&name) && !name.ends_with(".unfinished")).then_some(name)
    });
    match strange {
        Some(name) => Err(PlaceError::refused(
            format!("dir:{}", dir.display()),
            format!("it holds {name}, so it is no directory of an image"),
        )),
        None => Ok(()),
    }
}
