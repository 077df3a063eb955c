//! A layout as one tar: the same files, always in the same order with the same attributes.

use std::io::{self, Read, Write};

use layer_store::Store;

use super::layout::{Blob, LAYOUT_VERSION, LayoutFiles, blob_path, index_json};

/// Writes a layout as a tar.
pub(crate) fn write_archive(files: &LayoutFiles, store: &Store, sink: &mut dyn Write) -> io::Result<()> {
    let mut tar = tar::Builder::new(sink);
    directory(&mut tar, "blobs/")?;
    for algorithm in files.algorithms() {
        directory(&mut tar, &format!("blobs/{algorithm}/"))?;
    }
    for (digest, blob) in &files.blobs {
        let path = blob_path(digest);
        match blob {
            Blob::Bytes(bytes) => file(&mut tar, &path, bytes.len() as u64, &mut bytes.as_ref())?,
            Blob::Stored(descriptor) => {
                let content = store.open_blob(digest).map_err(io::Error::other)?;
                let mut content =
                    content.ok_or_else(|| io::Error::other(format!("blob {digest} is not in the store")))?;
                file(&mut tar, &path, descriptor.size, &mut content)?;
            }
        }
    }
    let index = index_json(&files.index);
    file(&mut tar, "index.json", index.len() as u64, &mut index.as_slice())?;
    if let Some(docker) = &files.docker {
        file(&mut tar, "manifest.json", docker.len() as u64, &mut docker.as_ref())?;
    }
    file(&mut tar, "oci-layout", LAYOUT_VERSION.len() as u64, &mut &*LAYOUT_VERSION)?;
    tar.finish()
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

/// A directory of an archive.
pub(crate) fn directory<W: Write>(tar: &mut tar::Builder<W>, path: &str) -> io::Result<()> {
    tar.append_data(&mut header(tar::EntryType::Directory, 0o755, 0), path, io::empty())
}

/// A file of an archive, of exactly that size.
pub(crate) fn file<W: Write>(
    tar: &mut tar::Builder<W>,
    path: &str,
    size: u64,
    content: &mut dyn Read,
) -> io::Result<()> {
    tar.append_data(&mut header(tar::EntryType::Regular, 0o644, size), path, Exactly { content, left: size })
}

/// Refuses content of another length than announced, which would damage everything after it.
struct Exactly<'a> {
    content: &'a mut dyn Read,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.content.read(&mut buffer[..room])?;
        if count == 0 && room > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a blob is shorter than its descriptor says",
            ));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
