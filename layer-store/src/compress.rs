//! Compression of layer archives, both ways.

use std::io::{self, BufReader, Read, Write};

use flate2::read::MultiGzDecoder;
use oci::Compression;

use crate::gzip::GzipWriter;

const GZIP_LEVEL: u32 = 6;
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
    let whole = BufReader::with_capacity(128 << 10, io::Cursor::new(magic[..filled].to_vec()).chain(from));
    match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(MultiGzDecoder::new(whole)),
        Compression::Zstd => match zstd::Decoder::with_buffer(whole) {
            Ok(decoder) => Box::new(decoder),
            Err(error) => Box::new(Failing(Some(error))),
        },
    }
}

struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Compresses into a stream. The bytes depend on the level only, not on the machine.
pub(crate) enum Compressor<W: Write> {
    None(W),
    Gzip(GzipWriter<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    pub(crate) fn new(compression: Compression, level: Option<i32>, to: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(to),
            Compression::Gzip => {
                let level = level.and_then(|level| u32::try_from(level).ok()).unwrap_or(GZIP_LEVEL).min(9);
                Self::Gzip(GzipWriter::new(to, level)?)
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(to, level.unwrap_or(ZSTD_LEVEL))?;
                // Always through workers: without them the bytes are others. Their number changes nothing.
                encoder.multithread(workers())?;
                Self::Zstd(encoder)
            }
        })
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(to) => Ok(to),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

fn workers() -> u32 {
    std::thread::available_parallelism()
        .map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
        .clamp(1, 4)
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(to) => to.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(to) => to.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}
