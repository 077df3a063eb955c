//! Streams that are hashed as they pass.

use std::io::{self, Read, Write};

use crate::{Algorithm, Hasher};

/// A reader or a writer, with the digest of what was read from it or written to it so far.
#[derive(Debug)]
pub struct Hashing<T> {
    /// The stream.
    pub inner: T,
    /// What has seen all bytes that passed.
    pub hasher: Hasher,
}

impl<T> Hashing<T> {
    /// Hashes with SHA-256.
    pub fn sha256(inner: T) -> Self {
        Self { inner, hasher: Hasher::new(Algorithm::Sha256) }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
