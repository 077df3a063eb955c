//! Compression of layer archives, both ways.

use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use oci::Compression;

use crate::gzip::GzipWriter;

/// The least of those that pack layers of sources, libraries and programs as small as zlib does at its usual level 6
/// (at most 2 % larger), in half the time or less.
const GZIP_LEVEL: u32 = 3;
const ZSTD_LEVEL: i32 = 3;

/// Decompresses the stream of a layer: gzip of one or several members, zstd of one or several frames.
/// The first bytes decide; what a media type promises counts only where they say nothing.
pub fn open_layer_stream(compression: Compression, mut from: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
    let mut magic = [0u8; 4];
    let filled = match crate::copy::fill(&mut from, &mut magic) {
        Ok(filled) => filled,
        Err(error) => return Box::new(Failing(Some(error))),
    };
    let compression = match magic {
        [0x1f, 0x8b, _, _] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        // A skippable frame may come first.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
        _ if filled == 0 || compression == Compression::None => Compression::None,
        _ => compression,
    };
    let packed = Arc::new(AtomicU64::new(0));
    let whole = io::Cursor::new(magic[..filled].to_vec()).chain(from);
    let whole = Counted { from: whole, count: packed.clone() };
    let whole = BufReader::with_capacity(128 << 10, whole);
    match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(Bounded { from: MultiGzDecoder::new(whole), packed, size: 0 }),
        Compression::Zstd => match zstd::Decoder::with_buffer(whole) {
            Ok(from) => Box::new(Bounded { from, packed, size: 0 }),
            Err(error) => Box::new(Failing(Some(error))),
        },
    }
}

/// Up to here a stream may be as much smaller as it likes when packed: it may be all zeros.
const FREE: u64 = 16 << 30;
/// Beyond that, a stream that is smaller by more than this when packed is hostile.
const RATIO: u64 = 4096;

/// Counts the packed bytes.
struct Counted<R> {
    from: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Refuses to unpack without end what is almost nothing.
struct Bounded<R> {
    from: R,
    packed: Arc<AtomicU64>,
    size: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.size += count as u64;
        if is_bomb(self.packed.load(Ordering::Relaxed), self.size) {
            let reason = format!("more than 16 GiB, packed more than {RATIO} to 1, as no layer is");
            return Err(io::Error::other(reason));
        }
        Ok(count)
    }
}

fn is_bomb(packed: u64, size: u64) -> bool {
    size > FREE && size / RATIO > packed
}

struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Compresses into a stream, on several threads. The bytes depend on the level only, not on the machine
/// nor on the number of threads.
pub struct Compressor<W: Write>(Form<W>);

enum Form<W: Write> {
    None(W),
    Gzip(GzipWriter<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    /// Starts one; without a level, the usual one of that form.
    pub fn new(compression: Compression, level: Option<i32>, to: W) -> io::Result<Self> {
        Self::with_workers(compression, level, to, workers())
    }

    /// The same on so many threads.
    fn with_workers(compression: Compression, level: Option<i32>, to: W, workers: u32) -> io::Result<Self> {
        Ok(Self(match compression {
            Compression::None => Form::None(to),
            Compression::Gzip => {
                let level = level.and_then(|level| u32::try_from(level).ok()).unwrap_or(GZIP_LEVEL).min(9);
                Form::Gzip(GzipWriter::new(to, level, workers)?)
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(to, level.unwrap_or(ZSTD_LEVEL))?;
                // Always through workers: without them the bytes are others. Their number changes nothing.
                encoder.multithread(workers)?;
                Form::Zstd(encoder)
            }
        }))
    }

    /// Writes what is left, and gives the stream back.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Form::None(to) => Ok(to),
            Form::Gzip(encoder) => encoder.finish(),
            Form::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// As many threads as compress one stream, where nobody says how many.
fn workers() -> u32 {
    std::thread::available_parallelism()
        .map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
        .clamp(1, 4)
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Form::None(to) => to.write(bytes),
            Form::Gzip(encoder) => encoder.write(bytes),
            Form::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Form::None(to) => to.flush(),
            Form::Gzip(encoder) => encoder.flush(),
            Form::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_two_and_64_threads_make_the_same_bytes() {
        let mut bytes = Vec::new();
        for number in 0..800_000_u64 {
            bytes.extend_from_slice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_string().as_bytes());
        }
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let packed = |workers: u32| {
                let mut packer = Compressor::with_workers(compression, None, Vec::new(), workers).unwrap();
                packer.write_all(&bytes).unwrap();
                packer.finish().unwrap()
            };
            let one = packed(1);
            for workers in [2, 64] {
                assert!(packed(workers) == one, "{compression:?} by {workers} threads");
            }
        }
    }

    #[test]
    fn only_long_and_dense_streams_are_bombs() {
        for (packed, size, expected) in [
            (1, FREE, false),
            (FREE / 1032, FREE + 1, false),
            (1 << 20, FREE + 1, true),
            (u64::MAX, u64::MAX, false),
        ] {
            assert_eq!(is_bomb(packed, size), expected, "{packed} {size}");
        }
    }
}
