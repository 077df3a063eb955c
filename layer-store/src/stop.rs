//! The wish to stop, which long work looks at between its pieces.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{At, Result};
use crate::store::Store;

/// Whether long work on a store is to end early. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// An error once it was asked for: `ECANCELED`.
    pub fn check(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(rustix::io::Errno::CANCELED.into()),
            false => Ok(()),
        }
    }

    /// A stream that fails once it was asked for.
    pub fn guard<T>(&self, stream: T) -> Stoppable<T> {
        Stoppable { stream, stop: self.clone() }
    }
}

impl Store {
    /// Asks all that reads, copies, packs or unpacks through this store and its clones to fail soon, and to leave
    /// nothing behind. There is no way back.
    pub fn stop(&self) {
        self.0.stop.0.store(true, Ordering::Relaxed);
    }

    /// Whether that was asked for, for long work outside the store.
    pub fn stopping(&self) -> &Stop {
        &self.0.stop
    }

    /// The same as an error of the store.
    pub(crate) fn go_on(&self) -> Result<()> {
        self.0.stop.check().at(&self.0.root)
    }
}

/// A stream that fails once stopping was asked for.
#[derive(Debug)]
pub struct Stoppable<T> {
    stream: T,
    stop: Stop,
}

impl<T> Stoppable<T> {
    /// The stream itself.
    pub fn into_inner(self) -> T {
        self.stream
    }
}

impl<T: Read> Read for Stoppable<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stop.check()?;
        self.stream.read(buffer)
    }
}

impl<T: Write> Write for Stoppable<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stop.check()?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
