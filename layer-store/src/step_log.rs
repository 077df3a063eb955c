//! The log of one step: everything that it wrote, with the time of each piece, packed.
//!
//! A file is one stream of zstd. In it stand pieces: milliseconds since 1970 (8 bytes, little-endian), a length
//! (4 bytes), and so many bytes as the step wrote them.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{At, Result};

/// Fast enough to keep up with any step; text is packed to a tenth.
const LEVEL: i32 = 1;
/// A longer piece than that is written as several, so a greater length is damage.
const PIECE: usize = 1 << 20;

/// A log that is being written.
pub(crate) struct StepLogWriter {
    path: PathBuf,
    stream: zstd::Encoder<'static, BufWriter<File>>,
}

impl std::fmt::Debug for StepLogWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StepLogWriter").field(&self.path).finish()
    }
}

impl StepLogWriter {
    /// Begins one, at a place where nothing is.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).at(&path)?;
        let stream = zstd::Encoder::new(BufWriter::new(file), LEVEL).at(&path)?;
        Ok(Self { path, stream })
    }

    /// Adds what the step wrote just now.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        for piece in bytes.chunks(PIECE) {
            self.piece(millis, piece).at(&self.path)?;
        }
        Ok(())
    }

    fn piece(&mut self, millis: u64, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(&millis.to_le_bytes())?;
        self.stream.write_all(&(bytes.len() as u32).to_le_bytes())?;
        self.stream.write_all(bytes)
    }

    /// Writes what is left.
    pub(crate) fn finish(self) -> Result<()> {
        let written = self.stream.finish().and_then(|mut file| file.flush());
        written.at(&self.path)
    }
}

/// The log of a step, read piece by piece.
pub struct StepLog {
    path: PathBuf,
    stream: zstd::Decoder<'static, BufReader<File>>,
}

/// What a step wrote at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPiece {
    /// When, in milliseconds since 1970.
    pub millis: u64,
    /// What: any bytes, at most a MiB.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for StepLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StepLog").field(&self.path).finish()
    }
}

impl StepLog {
    /// Opens one; `None` where there is none.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at(path),
        };
        let stream = zstd::Decoder::new(file).at(path)?;
        Ok(Some(Self { path: path.to_owned(), stream }))
    }

    /// The next piece; `None` behind the last one.
    pub fn next_piece(&mut self) -> Result<Option<LogPiece>> {
        self.read_piece().at(&self.path)
    }

    fn read_piece(&mut self) -> io::Result<Option<LogPiece>> {
        let mut head = [0; 12];
        match crate::copy::fill(&mut self.stream, &mut head)? {
            0 => return Ok(None),
            12 => {}
            _ => return Err(ErrorKind::UnexpectedEof.into()),
        }
        let (time, length) = head.split_at(8);
        let millis = u64::from_le_bytes(time.try_into().unwrap_or_default());
        let length = u32::from_le_bytes(length.try_into().unwrap_or_default()) as usize;
        if length > PIECE {
            return Err(io::Error::new(ErrorKind::InvalidData, "a damaged log"));
        }
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(Some(LogPiece { millis, bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Result<Vec<u8>> {
        let mut log = StepLog::open(path)?.unwrap();
        let mut all = Vec::new();
        let mut last = 0;
        while let Some(piece) = log.next_piece()? {
            assert!(piece.millis >= last);
            last = piece.millis;
            all.extend(piece.bytes);
        }
        Ok(all)
    }

    #[test]
    fn every_byte_comes_back_and_damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1");
        let long = b"0123456789\xff\0".repeat(200_000);
        let mut log = StepLogWriter::create(path.clone()).unwrap();
        for bytes in [&b"a line\nhalf"[..], b"", b" of one\r\n", &long] {
            log.append(bytes).unwrap();
        }
        log.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert!(whole.len() < 10_000, "{}", whole.len());
        assert_eq!(read(&path).unwrap(), [&b"a line\nhalf of one\r\n"[..], &long].concat());
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(read(&path).is_err());
        std::fs::write(&path, b"no log").unwrap();
        assert!(read(&path).is_err());
        assert!(StepLog::open(&dir.path().join("none")).unwrap().is_none());
    }
}
