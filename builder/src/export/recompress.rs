//! A layer's blob in another compression; the tar inside stays the same.

use std::io::{self, BufWriter, Read, Write};

use flate2::write::GzEncoder;
use layer_store::{Lease, open_layer_stream};
use oci::{Compression, Descriptor, Digest};

const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// Writes the content of a stored blob in another compression; digest and size of what came out.
pub(crate) fn recompress(
    lease: &Lease,
    blob: &Descriptor,
    to: Compression,
    level: Option<i32>,
) -> io::Result<(Digest, u64)> {
    let file = lease.store().open_blob(&blob.digest).map_err(io::Error::other)?;
    let file = file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "not in the store"))?;
    let from = blob.media_type.compression().unwrap_or(Compression::None);
    let mut tar = open_layer_stream(from, Box::new(file));
    let mut sink = BufWriter::new(lease.blob().map_err(io::Error::other)?);
    compress(&mut tar, &mut sink, to, level)?;
    let writer = sink.into_inner().map_err(io::IntoInnerError::into_error)?;
    writer.commit().map_err(io::Error::other)
}

fn compress(tar: &mut dyn Read, sink: &mut dyn Write, to: Compression, level: Option<i32>) -> io::Result<()> {
    match to {
        Compression::None => {
            io::copy(tar, sink)?;
        }
        Compression::Gzip => {
            let level = level.and_then(|level| u32::try_from(level).ok()).unwrap_or(GZIP_LEVEL).min(9);
            let mut encoder = GzEncoder::new(sink, flate2::Compression::new(level));
            io::copy(tar, &mut encoder)?;
            encoder.finish()?;
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(sink, level.unwrap_or(ZSTD_LEVEL))?;
            io::copy(tar, &mut encoder)?;
            encoder.finish()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back() {
        let tar = vec![7; 100_000];
        for to in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut packed = Vec::new();
            compress(&mut tar.as_slice(), &mut packed, to, None).unwrap();
            let mut back = Vec::new();
            open_layer_stream(to, Box::new(io::Cursor::new(packed))).read_to_end(&mut back).unwrap();
            assert!(back == tar, "{to:?}");
        }
    }
}
