//! A cache in a directory: an OCI layout with an entry for each part. All of it is blocking.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use bytes::Bytes;
use layer_store::{Lease, Store};
use oci::{Descriptor, Digest, Index};
use rustix::fs::{FlockOperation, flock};

use super::error::CacheError;
use super::place::{entry, with_part};
use super::request::Pick;
use crate::export::{ExportError, LAYOUT_VERSION, UnfinishedFile, blob_path, index_json};

const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The entries of the layout that are meant, the oldest first.
pub(super) fn entries(directory: &Path, pick: &Pick) -> Result<Vec<Descriptor>, CacheError> {
    let path = directory.join("index.json");
    let all = read_index(&path)?.ok_or_else(|| CacheError::io(&path, std::io::ErrorKind::NotFound.into()))?;
    Ok(all.into_iter().filter(|entry| is_meant(entry, pick)).collect())
}

/// All entries; none where there is no layout.
pub(super) fn all_entries(directory: &Path) -> Result<Vec<Descriptor>, CacheError> {
    Ok(read_index(&directory.join("index.json"))?.unwrap_or_default())
}

fn is_meant(entry: &Descriptor, pick: &Pick) -> bool {
    match pick {
        Pick::Tag(tag) => entry.annotations.get(REF_NAME) == Some(tag),
        Pick::Digest(digest) => entry.digest == *digest,
    }
}

fn read_index(path: &Path) -> Result<Option<Vec<Descriptor>>, CacheError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CacheError::io(path, error)),
    };
    let index = serde_json::from_slice::<Index>(&text).map_err(|error| CacheError::io(path, error.into()))?;
    Ok(Some(index.manifests))
}

/// A small blob, verified.
pub(super) fn read(directory: &Path, blob: &Descriptor) -> Result<Bytes, CacheError> {
    let path = directory.join(blob_path(&blob.digest));
    let failed = |error| CacheError::io(&path, error);
    let mut bytes = Vec::new();
    File::open(&path).map_err(failed)?.take(blob.size + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 != blob.size || Digest::of(blob.digest.algorithm(), &bytes) != blob.digest {
        return Err(failed(std::io::Error::other("not the bytes that its name promises")));
    }
    Ok(bytes.into())
}

/// Brings a blob into the store, verified.
pub(super) fn fetch(lease: &Lease, directory: &Path, blob: &Descriptor) -> Result<(), CacheError> {
    if lease.store().has_blob(blob) {
        return Ok(());
    }
    let path = directory.join(blob_path(&blob.digest));
    let failed = |error| CacheError::io(&path, error);
    let mut file = File::open(&path).map_err(failed)?;
    let mut writer = lease.blob_of(blob.digest.algorithm())?;
    std::io::copy(&mut file, &mut writer).map_err(failed)?;
    Ok(writer.commit_as(blob)?)
}

/// Writes a blob, unless it is there.
pub(super) fn put(directory: &Path, blob: &Descriptor, bytes: &mut dyn Read) -> Result<(), CacheError> {
    let path = directory.join(blob_path(&blob.digest));
    if std::fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() == blob.size) {
        return Ok(());
    }
    let mut file = UnfinishedFile::create(&path).map_err(|error| unfinished(&path, error))?;
    std::io::copy(bytes, &mut file).map_err(|error| CacheError::io(&path, error))?;
    file.finish().map_err(|error| unfinished(&path, error))
}

/// Writes a blob of the store.
pub(super) fn put_stored(directory: &Path, blob: &Descriptor, store: &Store) -> Result<(), CacheError> {
    let path = directory.join(blob_path(&blob.digest));
    let gone = || CacheError::io(&path, std::io::Error::other("the blob is not in the store"));
    let mut file = store.open_blob(&blob.digest)?.ok_or_else(gone)?;
    put(directory, blob, &mut file)
}

/// Enters a part. Processes that do so at once follow one another; entries of others stay.
pub(super) fn append(
    directory: &Path,
    pick: &Pick,
    part: &Descriptor,
    replaced: &[Digest],
) -> Result<(), CacheError> {
    let failed = |error: rustix::io::Errno| CacheError::io(directory, error.into());
    let lock = File::open(directory).map_err(|error| CacheError::io(directory, error))?;
    while let Err(error) = flock(&lock, FlockOperation::LockExclusive) {
        if error != rustix::io::Errno::INTR {
            return Err(failed(error));
        }
    }
    let path = directory.join("index.json");
    let mut part = entry(part);
    if let Pick::Tag(tag) = pick {
        part.annotations.insert(REF_NAME.to_owned(), tag.clone());
    }
    let entries = with_part(read_index(&path)?.unwrap_or_default(), &part, replaced);
    write(&directory.join("oci-layout"), LAYOUT_VERSION)?;
    write(&path, &index_json(&entries))
}

fn write(path: &Path, content: &[u8]) -> Result<(), CacheError> {
    let mut file = UnfinishedFile::create(path).map_err(|error| unfinished(path, error))?;
    file.write_all(content).map_err(|error| CacheError::io(path, error))?;
    file.finish().map_err(|error| unfinished(path, error))
}

fn unfinished(path: &Path, error: ExportError) -> CacheError {
    CacheError::io(path, std::io::Error::other(error))
}
