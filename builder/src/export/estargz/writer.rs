//! Cuts an archive into gzip members while it passes, and puts the index behind it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use flate2::write::GzEncoder;
use flate2::{Compression as Level, GzBuilder};
use layer_store::tar::TarWriter;
use layer_store::{Attributes, Kind};
use oci::{Algorithm, DiffId, Digest, Hasher};

use super::entry::{BLOCK, Entry, EntryKind, Header, records, wrong};
use super::index::{Chunk, Index};

/// The longest piece of a file in one member.
const CHUNK: u64 = 4 << 20;
const INDEX_NAME: &str = "stargz.index.json";
const USUAL_LEVEL: u32 = 6;

/// What became of an archive.
pub(super) struct Made<W> {
    /// The sink.
    pub to: W,
    /// The digest of the archive with its index.
    pub diff_id: DiffId,
    /// The digest of the index.
    pub index: Digest,
    /// Bytes of the archive with its index.
    pub archive_size: u64,
}

/// Takes an archive in, and writes the layer. Dropping it leaves the layer unfinished.
pub(super) struct EstargzWriter<W: Write> {
    members: Members<W>,
    archive: Hasher,
    archive_size: u64,
    index: Index,
    awaits: Awaits,
    /// Part of a block.
    block: Vec<u8>,
    records: BTreeMap<String, Vec<u8>>,
}

/// What the next bytes are.
enum Awaits {
    Header,
    /// Extended records of some length, and what is left to the end of their blocks.
    Records(Vec<u8>, usize, u64),
    Content(Box<Content>),
    Padding(u64),
    /// The archive is at its end; its last blocks come behind the index.
    End,
}

/// A file that passes.
struct Content {
    entry: Entry,
    left: u64,
    whole: Hasher,
    chunk: Hasher,
    chunks: Vec<Chunk>,
    in_chunk: u64,
}

impl<W: Write> EstargzWriter<W> {
    /// A layer in a sink, with a level from 0 to 9.
    pub fn new(to: W, level: Option<i32>) -> Self {
        let level = level.and_then(|level| u32::try_from(level).ok()).unwrap_or(USUAL_LEVEL).min(9);
        Self {
            members: Members { to: Sink::Between(Counting { to, count: 0 }), level: Level::new(level) },
            archive: Hasher::new(Algorithm::Sha256),
            archive_size: 0,
            index: Index::new(),
            awaits: Awaits::Header,
            block: Vec::with_capacity(BLOCK),
            records: BTreeMap::new(),
        }
    }

    /// Writes index and footer.
    pub fn finish(mut self) -> io::Result<Made<W>> {
        let (Awaits::Header | Awaits::End, true) = (&self.awaits, self.block.is_empty()) else {
            return Err(wrong("the archive ends within an entry"));
        };
        self.members.end()?;
        let offset = self.members.offset()?;
        let index = std::mem::replace(&mut self.index, Index::new()).finish();
        let attributes = Attributes::new(Kind::File { size: index.len() as u64 }, 0o444);
        let mut tar = TarWriter::new(Vec::new());
        let written = tar.file(INDEX_NAME.as_ref(), &attributes, &mut index.as_slice());
        let tail = written.and_then(|()| tar.finish()).map_err(io::Error::other)?;
        let digest = Digest::sha256(&index);
        drop(index);
        self.archived(&tail)?;
        self.members.end()?;
        let Sink::Between(mut sink) = self.members.to else { return Err(wrong("a member is open")) };
        sink.write_all(&footer(offset))?;
        Ok(Made {
            to: sink.to,
            diff_id: DiffId(self.archive.finish()),
            index: digest,
            archive_size: self.archive_size,
        })
    }

    /// Bytes that belong to the archive, into the member that is open.
    fn archived(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.archive.update(bytes);
        self.archive_size += bytes.len() as u64;
        self.members.write(bytes)
    }

    /// Takes some of the bytes; how many.
    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::mem::replace(&mut self.awaits, Awaits::Header) {
            Awaits::Header => self.header(bytes),
            Awaits::Records(mut taken, length, left) => {
                let count = part(bytes, left);
                self.archived(&bytes[..count])?;
                taken.extend_from_slice(&bytes[..count]);
                let left = left - count as u64;
                if left == 0 {
                    taken.truncate(length);
                    self.records = records(&taken)?;
                } else {
                    self.awaits = Awaits::Records(taken, length, left);
                }
                Ok(count)
            }
            Awaits::Content(content) => self.content(content, bytes),
            Awaits::Padding(left) => {
                let count = part(bytes, left);
                self.archived(&bytes[..count])?;
                self.awaits = padding(left - count as u64);
                Ok(count)
            }
            Awaits::End => {
                self.awaits = Awaits::End;
                Ok(bytes.len())
            }
        }
    }

    fn header(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        let Ok(block) = <[u8; BLOCK]>::try_from(self.block.as_slice()) else { return Ok(count) };
        self.block.clear();
        if block.iter().all(|byte| *byte == 0) {
            self.awaits = Awaits::End;
            return Ok(count);
        }
        self.archived(&block)?;
        let header = Header(&block);
        if header.is_extended() {
            let size = header.size()?;
            let length = usize::try_from(size).map_err(|_| wrong("an extended header is too long"))?;
            self.awaits = Awaits::Records(Vec::new(), length, size.next_multiple_of(BLOCK as u64));
            return Ok(count);
        }
        let entry = header.entry(&std::mem::take(&mut self.records))?;
        if entry.name == INDEX_NAME {
            return Err(wrong("a file of the name stargz.index.json would take the place of the index"));
        }
        if entry.kind == EntryKind::File && entry.size > 0 {
            self.members.end()?;
            self.awaits = Awaits::Content(Box::new(Content::of(entry)));
        } else {
            self.index.add(&entry)?;
        }
        Ok(count)
    }

    fn content(&mut self, mut content: Box<Content>, bytes: &[u8]) -> io::Result<usize> {
        let count = part(bytes, content.left.min(CHUNK - content.in_chunk));
        if content.in_chunk == 0 {
            content.begin(self.members.offset()?);
        }
        self.archived(&bytes[..count])?;
        content.takes(&bytes[..count]);
        if content.in_chunk == CHUNK || content.left == 0 {
            self.members.end()?;
            content.end();
        }
        if content.left > 0 {
            self.awaits = Awaits::Content(content);
        } else {
            let size = content.entry.size;
            self.index.add_file(&content.entry, &content.whole.finish(), &content.chunks)?;
            self.awaits = padding(size.next_multiple_of(BLOCK as u64) - size);
        }
        Ok(count)
    }
}

impl<W: Write> Write for EstargzWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() { Ok(0) } else { self.take(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Content {
    fn of(entry: Entry) -> Self {
        let hasher = || Hasher::new(Algorithm::Sha256);
        let left = entry.size;
        Self { entry, left, whole: hasher(), chunk: hasher(), chunks: Vec::new(), in_chunk: 0 }
    }

    fn begin(&mut self, member: u64) {
        let start = self.entry.size - self.left;
        // The digest is that of no bytes until the chunk ends.
        self.chunks.push(Chunk { member, start, length: 0, digest: Digest::sha256(b"") });
        self.chunk = Hasher::new(Algorithm::Sha256);
    }

    fn takes(&mut self, bytes: &[u8]) {
        self.whole.update(bytes);
        self.chunk.update(bytes);
        self.in_chunk += bytes.len() as u64;
        self.left -= bytes.len() as u64;
    }

    fn end(&mut self) {
        let hasher = std::mem::replace(&mut self.chunk, Hasher::new(Algorithm::Sha256));
        if let Some(chunk) = self.chunks.last_mut() {
            (chunk.length, chunk.digest) = (self.in_chunk, hasher.finish());
        }
        self.in_chunk = 0;
    }
}

fn part(bytes: &[u8], most: u64) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len())
}

fn padding(left: u64) -> Awaits {
    if left == 0 { Awaits::Header } else { Awaits::Padding(left) }
}

/// An empty member whose header says where the index begins.
fn footer(offset: u64) -> Vec<u8> {
    let text = format!("{offset:016x}STARGZ");
    let mut field = b"SG".to_vec();
    field.extend_from_slice(&[text.len() as u8, 0]);
    field.extend_from_slice(text.as_bytes());
    // Magic, deflate, an extra field; no time; no hint of speed; of an unknown system.
    let mut bytes = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, field.len() as u8, 0];
    bytes.extend_from_slice(&field);
    // One last block that is stored and empty; checksum and length of nothing.
    bytes.extend_from_slice(&[1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

/// Members, one after the other.
struct Members<W: Write> {
    to: Sink<W>,
    level: Level,
}

enum Sink<W: Write> {
    Between(Counting<W>),
    Member(GzEncoder<Counting<W>>),
    /// After an error.
    Broken,
}

impl<W: Write> Members<W> {
    /// Where the next member begins.
    fn offset(&self) -> io::Result<u64> {
        match &self.to {
            Sink::Between(sink) => Ok(sink.count),
            Sink::Member(_) | Sink::Broken => Err(wrong("a member is open")),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.to = match std::mem::replace(&mut self.to, Sink::Broken) {
            Sink::Between(sink) => Sink::Member(GzBuilder::new().write(sink, self.level)),
            other @ (Sink::Member(_) | Sink::Broken) => other,
        };
        match &mut self.to {
            Sink::Member(member) => member.write_all(bytes),
            Sink::Between(_) | Sink::Broken => Err(wrong("the layer is broken")),
        }
    }

    /// Ends the member, if one is open.
    fn end(&mut self) -> io::Result<()> {
        self.to = match std::mem::replace(&mut self.to, Sink::Broken) {
            Sink::Member(member) => Sink::Between(member.finish()?),
            other @ (Sink::Between(_) | Sink::Broken) => other,
        };
        Ok(())
    }
}

struct Counting<W> {
    to: W,
    count: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests;
