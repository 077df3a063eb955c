//! gzip on several threads, as one member.
//!
//! The input is cut into blocks of one fixed size. Each is deflated by itself, with the end of the block
//! before it as dictionary, and ends on a byte boundary; so the bytes depend on the level only, never on
//! the number of threads.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

const BLOCK: usize = 512 << 10;
const WINDOW: usize = 32 << 10;
/// Magic, deflate, no flags, no time, no hint, unknown system (RFC 1952).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

struct Block {
    number: u64,
    data: Vec<u8>,
    dictionary: Vec<u8>,
    last: bool,
}

type Deflated = (u64, io::Result<Vec<u8>>);

/// Compresses into a stream. Must be finished; dropping it stops its threads.
pub(crate) struct GzipWriter<W> {
    to: W,
    level: Compression,
    buffer: Vec<u8>,
    dictionary: Vec<u8>,
    crc: Crc,
    workers: u32,
    threads: Option<Threads>,
    sent: u64,
    written: u64,
    waiting: BTreeMap<u64, Vec<u8>>,
}

struct Threads {
    jobs: Option<Sender<Block>>,
    results: Receiver<Deflated>,
    handles: Vec<JoinHandle<()>>,
}

impl<W: Write> GzipWriter<W> {
    pub(crate) fn new(mut to: W, level: u32, workers: u32) -> io::Result<Self> {
        to.write_all(&HEADER)?;
        Ok(Self {
            to,
            level: Compression::new(level),
            buffer: Vec::with_capacity(BLOCK),
            dictionary: Vec::new(),
            crc: Crc::new(),
            workers,
            threads: None,
            sent: 0,
            written: 0,
            waiting: BTreeMap::new(),
        })
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.crc.update(&self.buffer);
        let last = self.cut(true);
        match &self.threads {
            // What fits one block needs no thread.
            None => self.to.write_all(&deflate(&last, self.level)?)?,
            Some(_) => {
                self.send(last)?;
                while self.written < self.sent {
                    self.receive()?;
                }
            }
        }
        self.threads = None;
        self.to.write_all(&self.crc.sum().to_le_bytes())?;
        self.to.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.to)
    }

    /// Takes what is buffered as the next block.
    fn cut(&mut self, last: bool) -> Block {
        let data = std::mem::replace(&mut self.buffer, Vec::with_capacity(if last { 0 } else { BLOCK }));
        let tail = data[data.len().saturating_sub(WINDOW)..].to_vec();
        let dictionary = std::mem::replace(&mut self.dictionary, tail);
        let number = self.sent;
        Block { number, data, dictionary, last }
    }

    fn send(&mut self, block: Block) -> io::Result<()> {
        let (level, workers) = (self.level, self.workers);
        let threads = self.threads.get_or_insert_with(|| Threads::start(level, workers));
        let most = 2 * threads.handles.len() as u64;
        if let Some(jobs) = &threads.jobs {
            jobs.send(block).map_err(|_| io::Error::other("a compressing thread ended"))?;
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
        let (number, deflated) =
            threads.results.recv().map_err(|_| io::Error::other("a compressing thread ended"))?;
        self.waiting.insert(number, deflated?);
        while let Some(bytes) = self.waiting.remove(&self.written) {
            self.to.write_all(&bytes)?;
            self.written += 1;
        }
        Ok(())
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == BLOCK {
            self.crc.update(&self.buffer);
            let block = self.cut(false);
            self.send(block)?;
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
    fn start(level: Compression, workers: u32) -> Self {
        let (jobs, todo) = channel::<Block>();
        let (done, results) = channel();
        let todo = Arc::new(Mutex::new(todo));
        let worker = |_| {
            let (todo, done) = (todo.clone(), done.clone());
            std::thread::spawn(move || {
                loop {
                    let next = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(block) = next else { return };
                    if done.send((block.number, deflate(&block, level))).is_err() {
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

/// Deflates one block: to a byte boundary, or to the end of the stream.
fn deflate(block: &Block, level: Compression) -> io::Result<Vec<u8>> {
    let mut deflater = Compress::new(level, false);
    if !block.dictionary.is_empty() {
        deflater.set_dictionary(&block.dictionary).map_err(io::Error::other)?;
    }
    let flush = if block.last { FlushCompress::Finish } else { FlushCompress::Sync };
    let mut out = Vec::with_capacity(block.data.len() / 2 + 1024);
    loop {
        let taken = usize::try_from(deflater.total_in()).unwrap_or(usize::MAX);
        let status =
            deflater.compress_vec(&block.data[taken..], &mut out, flush).map_err(io::Error::other)?;
        let all_taken = deflater.total_in() == block.data.len() as u64;
        // Room left over means that the flush is complete, too.
        let complete = match status {
            Status::StreamEnd => true,
            Status::Ok | Status::BufError => !block.last && all_taken && out.len() < out.capacity(),
        };
        if complete {
            return Ok(out);
        }
        out.reserve(out.capacity().max(64 << 10));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::{BLOCK, GzipWriter};

    fn packed(data: &[u8], piece: usize) -> Vec<u8> {
        let mut writer = GzipWriter::new(Vec::new(), 6, 2).unwrap();
        data.chunks(piece.max(1)).for_each(|piece| writer.write_all(piece).unwrap());
        writer.finish().unwrap()
    }

    #[test]
    fn every_length_comes_back() {
        let noise: Vec<u8> = (0..3 * BLOCK as u64 + 7)
            .map(|number| (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 50) as u8)
            .collect();
        for length in [0, 1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 7] {
            for data in [&noise[..length], &vec![0; length]] {
                let bytes = packed(data, 100_000);
                assert_eq!(bytes, packed(data, 7777), "{length}");
                let mut back = Vec::new();
                // One member only.
                flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut back).unwrap();
                assert!(back == data, "{length}");
            }
        }
    }
}
