//! A layer's blob in another compression; the tar inside stays the same.

use std::io::{self, BufWriter, Read, Write};

use layer_store::{Compressor, Lease, open_layer_stream};
use oci::{Compression, Descriptor, Digest};

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
    let mut compressor = Compressor::new(to, level, sink)?;
    io::copy(tar, &mut compressor)?;
    compressor.finish().map(drop)
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
