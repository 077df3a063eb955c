//! Reads tar archives of every common kind.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use defence::Defence;
use rustix::fs::ftruncate;

use super::BLOCK;
use super::header::{Format, Header};
use super::pax::Pax;
use super::sparse::{OldGnuError, SparseMap, read_old_gnu, read_pax_1};
use crate::attributes::{Attributes, Kind, Time};
use crate::copy::{copy_reader, fill};
use crate::error::{At, Result, StoreError};

/// Extended headers and long names longer than this are hostile.
const EXTENSION_LIMIT: u64 = 1 << 20;
/// Archives with more entries than this are hostile.
const ENTRY_LIMIT: u64 = 16 << 20;
/// Archives whose names are longer than this together are hostile: a reader remembers some of them.
const NAMES_LIMIT: u64 = 2 << 30;
/// Linux has no devices beyond these.
const MAJORS: u32 = 1 << 12;
const MINORS: u32 = 1 << 20;

/// Where a hard link leads: the name of an earlier entry, or of a file below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardLinkTarget(pub PathBuf);

/// One entry of an archive. Its body must be read before the next entry is asked for; what is left of it
/// is passed over.
pub struct TarEntry<'a> {
    /// Its name, as the archive has it.
    pub path: PathBuf,
    /// Its metadata. For a hard link the type means nothing.
    pub attributes: Attributes,
    /// Where it leads, if it is a hard link.
    pub link: Option<HardLinkTarget>,
    /// Its content; empty for all but regular files.
    pub body: TarBody<'a>,
}

/// Reads an archive, entry by entry.
pub struct TarReader<R> {
    from: R,
    rest: u64,
    global: Pax,
    entries: u64,
    /// Bytes of all names so far.
    names: u64,
    ended: bool,
}

/// The content of an entry, with the holes of sparse files filled.
pub struct TarBody<'a> {
    from: &'a mut dyn Read,
    rest: &'a mut u64,
    map: SparseMap,
    part: usize,
    at: u64,
}

/// What the headers before an entry gathered.
#[derive(Default)]
struct Gathered {
    pax: Pax,
    gnu_name: Option<Vec<u8>>,
    gnu_link: Option<Vec<u8>>,
    /// Bytes of these headers: all together are bounded as one is.
    bytes: u64,
}

impl<R: Read> TarReader<R> {
    /// Reads from a stream.
    pub fn new(from: R) -> Self {
        Self { from, rest: 0, global: Pax::default(), entries: 0, names: 0, ended: false }
    }

    /// The stream, wherever it stands.
    pub fn into_inner(self) -> R {
        self.from
    }

    /// The next entry; `None` at the end of the archive.
    pub fn next_entry(&mut self) -> Result<Option<TarEntry<'_>>> {
        let mut gathered = Gathered { pax: self.global.clone(), ..Gathered::default() };
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            self.entries += 1;
            if self.entries > ENTRY_LIMIT {
                return Err(refused(&header.name(), "more entries than any image has"));
            }
            let flag = header.type_flag();
            match flag {
                b'x' | b'X' => {
                    let data = self.extension(&header, &mut gathered.bytes)?;
                    gathered.pax.read(&data).map_err(|reason| refused(&header.name(), reason))?;
                }
                b'g' => self.global_header(&header, &mut gathered)?,
                b'L' => {
                    gathered.gnu_name = Some(until_nul(self.extension(&header, &mut gathered.bytes)?));
                }
                b'K' => {
                    gathered.gnu_link = Some(until_nul(self.extension(&header, &mut gathered.bytes)?));
                }
                _ => return self.entry(&header, gathered).map(Some),
            }
        }
    }

    /// The next header; `None` at the end.
    fn header(&mut self) -> Result<Option<Header>> {
        if self.ended {
            return Ok(None);
        }
        self.skip_rest()?;
        let mut header = Header([0; BLOCK]);
        let filled = fill(&mut self.from, &mut header.0).map_err(stream)?;
        if filled == 0 || (filled == BLOCK && header.is_zero() && self.second_zero_block()?) {
            self.ended = true;
            return Ok(None);
        }
        if filled < BLOCK {
            return Err(refused(b"", "the archive is cut off"));
        }
        if !header.checksum_fits() {
            return Err(refused(&header.name(), "the checksum of the header is wrong"));
        }
        Ok(Some(header))
    }

    fn second_zero_block(&mut self) -> Result<bool> {
        let mut block = [0; BLOCK];
        let filled = fill(&mut self.from, &mut block).map_err(stream)?;
        if block[..filled].iter().any(|byte| *byte != 0) {
            return Err(refused(b"", "an empty block between entries"));
        }
        Ok(true)
    }

    fn skip_rest(&mut self) -> Result<()> {
        let skipped = io::copy(&mut (&mut self.from).take(self.rest), &mut io::sink()).map_err(stream)?;
        if skipped < self.rest {
            return Err(refused(b"", "the archive is cut off"));
        }
        self.rest = 0;
        Ok(())
    }

    /// The content of a header that only extends the next one.
    fn extension(&mut self, header: &Header, before: &mut u64) -> Result<Vec<u8>> {
        let size = header.size().and_then(|size| u64::try_from(size).ok());
        let size = size.filter(|size| {
            before.saturating_add(*size) <= EXTENSION_LIMIT || !defence::stands(Defence::HeadersBounded)
        });
        let size = size.ok_or_else(|| refused(&header.name(), "an extended header without end"))?;
        // Empty ones count as well.
        *before += size + BLOCK as u64;
        let mut data = vec![0; usize::try_from(size.next_multiple_of(BLOCK as u64)).unwrap_or(0)];
        self.from.read_exact(&mut data).map_err(stream)?;
        data.truncate(usize::try_from(size).unwrap_or(0));
        Ok(data)
    }

    fn global_header(&mut self, header: &Header, gathered: &mut Gathered) -> Result<()> {
        let data = self.extension(header, &mut gathered.bytes)?;
        let mut global = self.global.clone();
        global.read(&data).map_err(|reason| refused(&header.name(), reason))?;
        if global.path.is_some() || global.link.is_some() || global.size.is_some() {
            return Err(refused(&header.name(), "a name or size for all entries"));
        }
        self.global = global;
        let own = std::mem::replace(&mut gathered.pax, self.global.clone());
        if own != Pax::default() {
            gathered.pax = own;
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header, gathered: Gathered) -> Result<TarEntry<'_>> {
        let raw_name = header.name();
        let refuse = |reason| refused(&raw_name, reason);
        let Gathered { pax, gnu_name, gnu_link, bytes: _ } = gathered;
        if let (Some(one), Some(other)) = (&pax.path, &gnu_name)
            && one != other
        {
            return Err(refuse("two different names"));
        }
        let name =
            pax.sparse.name.clone().or(pax.path.clone()).or(gnu_name).unwrap_or_else(|| raw_name.clone());
        let link = pax.link.clone().or(gnu_link).unwrap_or_else(|| header.link_name());
        self.names = self.names.saturating_add((name.len() + link.len()) as u64);
        if self.names > NAMES_LIMIT {
            return Err(refuse("longer names than any image has"));
        }
        let stored = stored_size(header, &pax).map_err(refuse)?;
        let flag = header.type_flag();
        let is_file = matches!(flag, b'0' | 0 | b'7' | b'S') && !(flag != b'S' && name.ends_with(b"/"));
        let stored = if is_file { stored } else { 0 };
        self.rest = stored.next_multiple_of(BLOCK as u64);
        let map = if is_file { self.map(header, &pax, stored)? } else { SparseMap::whole(0) };
        let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
        let device = || {
            let (major, minor) = header.device().ok_or("malformed device number")?;
            let part = |number, end| u32::try_from(number).ok().filter(|number| *number < end);
            part(major, MAJORS).zip(part(minor, MINORS)).ok_or("a device number that Linux does not have")
        };
        let kind = match flag {
            b'0' | 0 | b'7' | b'S' | b'1' if is_file || flag == b'1' => Kind::File { size: map.size },
            b'0' | 0 | b'7' | b'5' => Kind::Directory,
            b'2' => Kind::Symlink { target: path(link.clone()) },
            b'3' => device().map(|(major, minor)| Kind::CharDevice { major, minor }).map_err(refuse)?,
            b'4' => device().map(|(major, minor)| Kind::BlockDevice { major, minor }).map_err(refuse)?,
            b'6' => Kind::Fifo,
            _ => return Err(refuse("a type of entry that images do not have")),
        };
        // An entry without a name stands for the directory that is unpacked into.
        if matches!(flag, b'1' | b'2') && link.is_empty() {
            return Err(refuse("an empty name"));
        }
        let id = |given: Option<u32>, field: Option<i64>| {
            given.or_else(|| u32::try_from(field?).ok()).ok_or("malformed owner")
        };
        let attributes = Attributes {
            mode: u32::try_from(header.mode().ok_or_else(|| refuse("malformed mode"))? & 0o7777).unwrap_or(0),
            uid: id(pax.uid, header.uid()).map_err(refuse)?,
            gid: id(pax.gid, header.gid()).map_err(refuse)?,
            mtime: mtime(header, &pax).map_err(refuse)?,
            xattrs: pax.all_xattrs(),
            kind,
        };
        let hard_link = (flag == b'1').then(|| HardLinkTarget(path(link)));
        let body = TarBody { from: &mut self.from, rest: &mut self.rest, map, part: 0, at: 0 };
        Ok(TarEntry { path: path(name), attributes, link: hard_link, body })
    }

    /// Which parts of a file are stored.
    fn map(&mut self, header: &Header, pax: &Pax, stored: u64) -> Result<SparseMap> {
        let name = header.name();
        let refuse = |reason| refused(&name, reason);
        let old = |error| match error {
            OldGnuError::Malformed(reason) => refused(&name, reason),
            OldGnuError::Io(source) => stream(source),
        };
        if header.type_flag() == b'S' {
            if header.format() != Format::Gnu {
                return Err(refuse("a sparse file in an archive that is not GNU's"));
            }
            let (numbers, size) = read_old_gnu(header, &mut self.from).map_err(old)?;
            return SparseMap::checked(&numbers, size, stored).map_err(refuse);
        }
        let sparse = &pax.sparse;
        let real_size = || sparse.real_size.ok_or_else(|| refuse("a sparse file without a size"));
        match (sparse.major, sparse.minor, &sparse.map) {
            (Some(1), Some(0), None) => {
                let (numbers, taken) = read_pax_1(&mut self.from, stored).map_err(old)?;
                let left = stored.checked_sub(taken).ok_or_else(|| refuse("malformed sparse map"))?;
                self.rest -= taken;
                SparseMap::checked(&numbers, real_size()?, left).map_err(refuse)
            }
            (None, None, None) => Ok(SparseMap::whole(stored)),
            (None | Some(0), _, Some(numbers)) => {
                SparseMap::checked(numbers, real_size()?, stored).map_err(refuse)
            }
            (_, _, _) => Err(refuse("an unknown kind of sparse file")),
        }
    }
}

/// The size of the stored data. A header that names another one than its extension is refused, unless the
/// field is empty or too narrow.
fn stored_size(header: &Header, pax: &Pax) -> std::result::Result<u64, &'static str> {
    let field = header.size().and_then(|size| u64::try_from(size).ok());
    let size = match (pax.size, field) {
        (None, Some(size)) => size,
        (None, None) => return Err("malformed size"),
        (Some(size), Some(field)) if field != 0 && field != size && size <= 0o777_7777_7777 => {
            if defence::stands(Defence::SizesAgree) {
                return Err("two different sizes");
            }
            size
        }
        (Some(size), _) => size,
    };
    if size > i64::MAX as u64 - BLOCK as u64 { Err("a size that no file has") } else { Ok(size) }
}

fn mtime(header: &Header, pax: &Pax) -> std::result::Result<Time, &'static str> {
    if let Some(time) = pax.mtime {
        return Ok(time);
    }
    Ok(Time { secs: header.mtime().ok_or("malformed time")?, nanos: 0 })
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    if let Some(end) = text.iter().position(|byte| *byte == 0) {
        text.truncate(end);
    }
    text
}

fn refused(name: &[u8], reason: &str) -> StoreError {
    StoreError::archive(Path::new(&String::from_utf8_lossy(name).into_owned()), reason)
}

fn stream(source: io::Error) -> StoreError {
    StoreError::Stream { source }
}

impl TarBody<'_> {
    /// Writes the content into an empty file, with holes where it has long runs of zeros. Gives the BLAKE3 digest of
    /// the content, but for a file that is sparse in the archive.
    pub fn write_to(mut self, to: &File, path: &Path) -> Result<Option<[u8; 32]>> {
        if self.map == SparseMap::whole(self.map.size) {
            let expected = self.map.size;
            let mut hashing = Hashing { from: &mut self, hasher: blake3::Hasher::new() };
            let found = copy_reader(&mut hashing, to, path)?;
            let digest = hashing.hasher.finalize();
            return if found == expected { Ok(Some(digest.into())) } else { Err(cut_off(path)) };
        }
        let parts = std::mem::take(&mut self.map.parts);
        for (offset, length) in parts {
            let mut out = to;
            out.seek(SeekFrom::Start(offset)).at(path)?;
            let copied = io::copy(&mut (&mut *self.from).take(length), &mut out).at(path)?;
            if copied < length {
                return Err(cut_off(path));
            }
            *self.rest -= length;
        }
        ftruncate(to, self.map.size).at(path)?;
        Ok(None)
    }
}

/// Hashes what is read.
struct Hashing<R> {
    from: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

fn cut_off(path: &Path) -> StoreError {
    StoreError::archive(path, "the archive is cut off")
}

impl Read for TarBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(&(offset, length)) = self.map.parts.get(self.part) else {
            return Ok(self.zeros(buffer, self.map.size));
        };
        if self.at < offset {
            return Ok(self.zeros(buffer, offset));
        }
        let left = offset + length - self.at;
        if left == 0 {
            self.part += 1;
            return self.read(buffer);
        }
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.from.read(&mut buffer[..wanted])?;
        if count == 0 && wanted > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut off"));
        }
        self.at += count as u64;
        *self.rest -= count as u64;
        Ok(count)
    }
}

impl TarBody<'_> {
    fn zeros(&mut self, buffer: &mut [u8], until: u64) -> usize {
        let count = buffer.len().min(usize::try_from(until - self.at).unwrap_or(usize::MAX));
        buffer[..count].fill(0);
        self.at += count as u64;
        count
    }
}
