//! A tar of the user as a layer.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use layer_store::{Lease, open_layer_stream};
use oci::{Compression, Descriptor, DiffId, Hashing};

use super::Image;
use crate::Session;
use crate::export::{Family, recompress};
use crate::toolchain::error::ToolError;
use crate::toolchain::place::PlaceError;
use crate::worker::{Permit, blocking};

/// Adds tars on top, in order. Packed ones stay as they are, plain ones are packed with gzip.
pub(super) async fn append(
    session: &Session,
    mut image: Image,
    files: &[std::path::PathBuf],
) -> Result<Image, ToolError> {
    for file in files {
        let (lease, path, family) = (session.lease.clone(), file.clone(), image.family);
        let (blob, diff) = blocking(Permit::free(), move || layer(&lease, &path, family)).await?;
        image.push(blob, diff, &format!("append {}", file.file_name().unwrap_or_default().to_string_lossy()));
    }
    Ok(image)
}

fn layer(lease: &Lease, path: &Path, family: Family) -> Result<(Descriptor, DiffId), ToolError> {
    let failed = |source: io::Error| PlaceError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut start = Vec::new();
    Read::by_ref(&mut file).take(512).read_to_end(&mut start).map_err(failed)?;
    let found = match start.as_slice() {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        [..] if start.len() == 512 => Compression::None,
        [..] => return Err(PlaceError::refused(path.display(), "it is no tar").into()),
    };
    if (family, found) == (Family::Docker, Compression::Zstd) {
        return Err(PlaceError::refused(path.display(), "Docker's media types know no zstd layers").into());
    }
    let mut writer = lease.blob()?;
    io::copy(&mut io::Cursor::new(start).chain(file), &mut writer).map_err(failed)?;
    let (digest, size) = writer.commit()?;
    let given = Descriptor::new(family.layer(found), digest, size);
    let diff = diff_id(lease, &given).map_err(failed)?;
    if found != Compression::None {
        return Ok((given, diff));
    }
    let (digest, size) = recompress(lease, &given, Compression::Gzip, None).map_err(failed)?;
    Ok((Descriptor::new(family.layer(Compression::Gzip), digest, size), diff))
}

fn diff_id(lease: &Lease, blob: &Descriptor) -> io::Result<DiffId> {
    let file = lease.store().open_blob(&blob.digest).map_err(io::Error::other)?;
    let file = file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "not in the store"))?;
    let form = blob.media_type.compression().unwrap_or(Compression::None);
    let mut tar = layer_store::tar::TarReader::new(Hashing::sha256(open_layer_stream(form, Box::new(file))));
    // It must be a tar to its end.
    while tar.next_entry().map_err(io::Error::other)?.is_some() {}
    let mut rest = tar.into_inner();
    io::copy(&mut rest, &mut io::sink())?;
    Ok(DiffId(rest.hasher.finish()))
}
