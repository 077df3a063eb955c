//! A layout as a directory. Other images in it stay.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use layer_store::Store;
use oci::{Descriptor, Digest, Index};

use super::error::ExportError;
use super::layout::{Blob, LAYOUT_VERSION, LayoutFiles, blob_path, index_json};
use super::unfinished::UnfinishedFile;

const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Writes all blobs; the files that make them visible are returned unfinished.
pub(super) fn write_directory(
    files: &LayoutFiles,
    store: &Store,
    directory: &Path,
) -> Result<Vec<UnfinishedFile>, ExportError> {
    std::fs::create_dir_all(directory).map_err(|source| ExportError::io(directory, source))?;
    for (digest, blob) in &files.blobs {
        write_blob(&directory.join(blob_path(digest)), digest, blob, store)?;
    }
    let index_path = directory.join("index.json");
    let entries = merged(&index_path, &files.index)?;
    Ok(vec![
        small(&directory.join("oci-layout"), LAYOUT_VERSION)?,
        small(&index_path, &index_json(&entries))?,
    ])
}

fn write_blob(path: &Path, digest: &Digest, blob: &Blob, store: &Store) -> Result<(), ExportError> {
    let failed = |source| ExportError::io(path, source);
    let size = match blob {
        Blob::Bytes(bytes) => bytes.len() as u64,
        Blob::Stored(descriptor) => descriptor.size,
    };
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == size) {
        return Ok(());
    }
    let mut file = UnfinishedFile::create(path)?;
    match blob {
        Blob::Bytes(bytes) => file.write_all(bytes).map_err(failed)?,
        Blob::Stored(_) => {
            let mut content: File = store
                .open_blob(digest)?
                .ok_or_else(|| failed(std::io::Error::other("the blob is not in the store")))?;
            std::io::copy(&mut content, &mut file).map_err(failed)?;
        }
    }
    file.finish()
}

fn small(path: &Path, content: &[u8]) -> Result<UnfinishedFile, ExportError> {
    let mut file = UnfinishedFile::create(path)?;
    file.write_all(content).map_err(|source| ExportError::io(path, source))?;
    Ok(file)
}

/// Entries of an index that is there, without those that the new ones replace.
fn merged(path: &Path, new: &[Descriptor]) -> Result<Vec<Descriptor>, ExportError> {
    let old = match std::fs::read(path) {
        Ok(text) => {
            serde_json::from_slice::<Index>(&text).map_err(|error| ExportError::io(path, error))?.manifests
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(ExportError::io(path, error)),
    };
    let replaced = |old: &Descriptor| {
        new.iter().any(|new| match (old.annotations.get(REF_NAME), new.annotations.get(REF_NAME)) {
            (Some(a), Some(b)) => a == b,
            (None, None) => old.digest == new.digest,
            (Some(_), None) | (None, Some(_)) => false,
        })
    };
    Ok(old.into_iter().filter(|entry| !replaced(entry)).chain(new.iter().cloned()).collect())
}
