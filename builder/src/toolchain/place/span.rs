//! A part of a file: a blob by itself, or a member of a tar.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;
use registry_client::BoxedRead;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Where some bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The file.
    pub path: PathBuf,
    /// First byte.
    pub start: u64,
    /// How many.
    pub size: u64,
}

impl Span {
    /// A whole file; `None` where there is none.
    pub(super) fn whole(path: PathBuf) -> io::Result<Option<Self>> {
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(Self { path, start: 0, size: metadata.len() })),
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens it for a blocking reader.
    pub(super) fn open(&self) -> io::Result<impl Read + Send + use<>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.start))?;
        Ok(file.take(self.size))
    }

    /// Opens it for an async reader.
    pub(super) async fn open_async(&self) -> io::Result<BoxedRead> {
        let mut file = tokio::fs::File::open(&self.path).await?;
        file.seek(SeekFrom::Start(self.start)).await?;
        Ok(Box::new(file.take(self.size)))
    }

    /// All of it, where it is no larger than a document may be.
    pub(super) fn read(&self, most: u64) -> io::Result<Bytes> {
        if self.size > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than any document"));
        }
        let mut bytes = Vec::new();
        self.open()?.read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}
