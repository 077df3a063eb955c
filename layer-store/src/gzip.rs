//! gzip on several threads, as a member for each block.
//!
//! The input is cut into blocks of one fixed size, each packed by itself into a member (RFC 1952, 2.2: a file is
//! a series of members). So the bytes depend on the level only, never on the number of threads. Go's reader, zlib,
//! GNU gzip and Python read all members as one stream, as they have to for eStargz.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use libdeflater::{CompressionLvl, Compressor};

const BLOCK: usize = 512 << 10;

/// Of each so many bytes of a block, a sample shows whether packing is worth its time. Whatever is shorter than that
/// between two samples and would have become smaller costs its own length at most.
const STRIDE: usize = 64 << 10;
const SAMPLE: usize = 4 << 10;
/// A sample that becomes less than this part smaller is of bytes that are packed already, or random.
const WORTH: usize = 64;

struct Block {
    number: u64,
    data: Vec<u8>,
}

type Packed = (u64, io::Result<Vec<u8>>);

/// Compresses into a stream. Must be finished; dropping it stops its threads.
pub(crate) struct GzipWriter<W> {
    to: W,
    level: CompressionLvl,
    buffer: Vec<u8>,
    workers: u32,
    threads: Option<Threads>,
    sent: u64,
    written: u64,
    waiting: BTreeMap<u64, Vec<u8>>,
}

struct Threads {
    jobs: Option<Sender<Block>>,
    results: Receiver<Packed>,
    handles: Vec<JoinHandle<()>>,
}

impl<W: Write> GzipWriter<W> {
    /// One of a level from 0 (stored) to 9.
    pub(crate) fn new(to: W, level: u32, workers: u32) -> io::Result<Self> {
        let level = i32::try_from(level).ok().and_then(|level| CompressionLvl::new(level).ok());
        let level = level.ok_or_else(|| io::Error::other("gzip has no such level"))?;
        Ok(Self {
            to,
            level,
            buffer: Vec::with_capacity(BLOCK),
            workers,
            threads: None,
            sent: 0,
            written: 0,
            waiting: BTreeMap::new(),
        })
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        match &self.threads {
            // What fits one block needs no thread.
            None => self.to.write_all(&Packer::new(self.level).pack(&self.buffer)?)?,
            Some(_) => {
                if !self.buffer.is_empty() {
                    self.send()?;
                }
                while self.written < self.sent {
                    self.receive()?;
                }
            }
        }
        self.threads = None;
        Ok(self.to)
    }

    /// Has what is buffered packed as the next block.
    fn send(&mut self) -> io::Result<()> {
        let data = std::mem::replace(&mut self.buffer, Vec::with_capacity(BLOCK));
        let (level, workers) = (self.level, self.workers);
        let threads = self.threads.get_or_insert_with(|| Threads::start(level, workers));
        let most = 2 * threads.handles.len() as u64;
        if let Some(jobs) = &threads.jobs {
            jobs.send(Block { number: self.sent, data }).map_err(|_| ended())?;
        }
        self.sent += 1;
        while self.sent - self.written >= most {
            self.receive()?;
        }
        Ok(())
    }

    /// Waits for one block and writes all whose turn it is.
    fn receive(&mut self) -> io::Result<()> {
        let Some(threads) = &self.threads else { return Ok(()) };
        let (number, packed) = threads.results.recv().map_err(|_| ended())?;
        self.waiting.insert(number, packed?);
        while let Some(bytes) = self.waiting.remove(&self.written) {
            self.to.write_all(&bytes)?;
            self.written += 1;
        }
        Ok(())
    }
}

fn ended() -> io::Error {
    io::Error::other("a compressing thread ended")
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == BLOCK {
            self.send()?;
        }
        let count = bytes.len().min(BLOCK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Threads {
    fn start(level: CompressionLvl, workers: u32) -> Self {
        let (jobs, todo) = channel::<Block>();
        let (done, results) = channel();
        let todo = Arc::new(Mutex::new(todo));
        let worker = |_| {
            let (todo, done) = (todo.clone(), done.clone());
            std::thread::spawn(move || {
                let mut packer = Packer::new(level);
                loop {
                    let next = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(block) = next else { return };
                    if done.send((block.number, packer.pack(&block.data))).is_err() {
                        return;
                    }
                }
            })
        };
        Self { jobs: Some(jobs), results, handles: (0..workers.max(1)).map(worker).collect() }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.jobs = None;
        for handle in self.handles.drain(..) {
            let _ = handle.join();
        }
    }
}

/// Packs blocks into members, one after the other.
struct Packer {
    packing: Compressor,
    /// Tries samples.
    trying: Compressor,
    /// For what does not become smaller.
    storing: Compressor,
}

impl Packer {
    fn new(level: CompressionLvl) -> Self {
        let of_level = |number| Compressor::new(CompressionLvl::new(number).unwrap_or(level));
        Self { packing: Compressor::new(level), trying: of_level(1), storing: of_level(0) }
    }

    fn pack(&mut self, data: &[u8]) -> io::Result<Vec<u8>> {
        let compressor = if self.is_worth_it(data)? { &mut self.packing } else { &mut self.storing };
        let mut out = vec![0; compressor.gzip_compress_bound(data.len())];
        let length = compressor.gzip_compress(data, &mut out).map_err(io::Error::other)?;
        out.truncate(length);
        Ok(out)
    }

    /// Whether any sample of a block becomes smaller. The samples depend on nothing but the block.
    fn is_worth_it(&mut self, data: &[u8]) -> io::Result<bool> {
        if data.len() < STRIDE {
            // Sooner packed than tried.
            return Ok(true);
        }
        let mut out = vec![0; self.trying.deflate_compress_bound(SAMPLE)];
        for piece in data.chunks(STRIDE) {
            let middle = (piece.len() / 2).min(piece.len().saturating_sub(SAMPLE));
            let sample = &piece[middle..piece.len().min(middle + SAMPLE)];
            let length = self.trying.deflate_compress(sample, &mut out).map_err(io::Error::other)?;
            if length + sample.len() / WORTH < sample.len() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::{BLOCK, GzipWriter};

    fn packed(data: &[u8], piece: usize, level: u32) -> Vec<u8> {
        let mut writer = GzipWriter::new(Vec::new(), level, 2).unwrap();
        data.chunks(piece.max(1)).for_each(|piece| writer.write_all(piece).unwrap());
        writer.finish().unwrap()
    }

    #[test]
    fn every_length_comes_back() {
        let noise: Vec<u8> = (0..3 * BLOCK as u64 + 7)
            .map(|number| (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 50) as u8)
            .collect();
        for length in [0, 1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 7] {
            for (level, data) in [(3, &noise[..length]), (3, &vec![0; length]), (0, &noise[..length])] {
                let bytes = packed(data, 100_000, level);
                assert_eq!(bytes, packed(data, 7777, level), "{length}");
                let mut back = Vec::new();
                flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut back).unwrap();
                assert!(back == data, "{length}");
            }
        }
    }

    /// What is random or packed already is stored, and a piece of text anywhere has the whole block packed.
    #[test]
    fn blocks_that_would_not_become_smaller_are_stored() {
        let mut state = 1u64;
        let mut noise = Vec::new();
        while noise.len() < 2 * BLOCK {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            noise.extend_from_slice(&(state ^ (state >> 33)).to_be_bytes()[..3]);
        }
        noise.truncate(2 * BLOCK);
        let stored = packed(&noise, BLOCK, 3);
        assert!((noise.len()..noise.len() + 1000).contains(&stored.len()), "{}", stored.len());
        for at in [0, BLOCK / 2, BLOCK - 70_000, BLOCK] {
            let mut mixed = noise.clone();
            mixed[at..at + 70_000].fill(b'x');
            let length = packed(&mixed, BLOCK, 3).len();
            assert!(length < noise.len() - 60_000, "{at} {length}");
        }
    }

    #[test]
    fn members_name_no_file_time_or_system() {
        let bytes = packed(b"x", 1, 3);
        let (flags_and_time, system) = (&bytes[3..8], bytes[9]);
        assert_eq!((&bytes[..3], flags_and_time, system), (&[0x1f, 0x8b, 8][..], &[0; 5][..], 0xff));
    }
}
