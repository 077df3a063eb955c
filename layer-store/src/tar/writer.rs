//! Writes canonical archives: plain ustar headers, PAX records only for what they cannot say, whole
//! seconds, no names of users and groups. The choices of header are those of Go's archive/tar, which most
//! tools for images use.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::BLOCK;
use super::header::sum;
use super::holes::{self, Parts};
use super::pax::write_record;
use crate::attributes::{Attributes, Kind};
use crate::copy::DataRanges;
use crate::error::{At, Result, StoreError};

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Writes an archive. Entries come in the order of the calls.
pub struct TarWriter<W> {
    to: W,
}

/// Keys and values of an extended header.
pub(super) type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// What an entry is, and where its link leads.
#[derive(Clone, Copy)]
struct Shape<'a> {
    flag: u8,
    link: &'a [u8],
    size: u64,
    device: (u32, u32),
}

impl<W: Write> TarWriter<W> {
    /// Writes to a stream.
    pub fn new(to: W) -> Self {
        Self { to }
    }

    /// A directory, symbolic link, pipe or device. A socket is passed over.
    pub fn entry(&mut self, path: &Path, attributes: &Attributes) -> Result<()> {
        let shape = |flag, link, device| Shape { flag, link, size: 0, device };
        let shape = match &attributes.kind {
            Kind::Directory => shape(b'5', &b""[..], (0, 0)),
            Kind::Symlink { target } => shape(b'2', target.as_os_str().as_bytes(), (0, 0)),
            Kind::Fifo => shape(b'6', b"", (0, 0)),
            Kind::CharDevice { major, minor } => shape(b'3', b"", (*major, *minor)),
            Kind::BlockDevice { major, minor } => shape(b'4', b"", (*major, *minor)),
            Kind::Socket => return Ok(()),
            Kind::File { .. } => {
                return Err(StoreError::path(path, "is a regular file and needs its content"));
            }
        };
        self.header(path, attributes, &shape)
    }

    /// A regular file, as long as its attributes say.
    pub fn file(&mut self, path: &Path, attributes: &Attributes, content: &mut dyn Read) -> Result<()> {
        let size = self.file_header(path, attributes)?;
        let copied = io::copy(&mut content.take(size), &mut self.to).map_err(sink)?;
        if copied != size {
            return Err(StoreError::path(path, "became shorter while it was read"));
        }
        self.pad(size)
    }

    /// A regular file that is in memory.
    pub(crate) fn whole_file(&mut self, path: &Path, attributes: &Attributes, content: &[u8]) -> Result<()> {
        let size = self.file_header(path, attributes)?;
        if size != content.len() as u64 {
            return Err(StoreError::path(path, "changed while it was read"));
        }
        self.to.write_all(content).map_err(sink)?;
        self.pad(size)
    }

    /// A regular file from the host; its holes are not read. One with more than a GiB of zeros is written
    /// as a sparse file.
    pub fn file_from(&mut self, path: &Path, attributes: &Attributes, mut content: &File) -> Result<()> {
        if let Kind::File { size } = attributes.kind
            && let Some(parts) = holes::parts(content, size).at(path)?
        {
            return self.sparse_file(path, attributes, content, &parts);
        }
        let size = self.file_header(path, attributes)?;
        let mut at = 0;
        for range in DataRanges::of(content, size) {
            let (start, end) = range.at(path)?;
            self.zeros(start - at)?;
            content.seek(SeekFrom::Start(start)).at(path)?;
            let copied = copy(&mut content.take(end - start), &mut self.to)?;
            if copied != end - start {
                return Err(StoreError::path(path, "became shorter while it was read"));
            }
            at = end;
        }
        self.zeros(size - at)?;
        self.pad(size)
    }

    /// GNU's sparse format 1.0: a map of the parts, then the parts.
    fn sparse_file(
        &mut self,
        path: &Path,
        attributes: &Attributes,
        mut content: &File,
        parts: &Parts,
    ) -> Result<()> {
        let map = parts.map();
        let stored = map.len() as u64 + parts.stored();
        let name = path.as_os_str().as_bytes();
        let shape = Shape { flag: b'0', link: b"", size: stored, device: (0, 0) };
        let stand_in = path.with_file_name("GNUSparseFile.0").join(path.file_name().unwrap_or_default());
        let more = parts.records(name);
        self.header_with(&stand_in, attributes, &shape, more)?;
        self.to.write_all(&map).map_err(sink)?;
        for (offset, length) in &parts.parts {
            content.seek(SeekFrom::Start(*offset)).at(path)?;
            if copy(&mut content.take(*length), &mut self.to)? != *length {
                return Err(StoreError::path(path, "became shorter while it was read"));
            }
        }
        self.pad(stored)
    }

    fn file_header(&mut self, path: &Path, attributes: &Attributes) -> Result<u64> {
        let Kind::File { size } = attributes.kind else {
            return Err(StoreError::path(path, "is not a regular file"));
        };
        self.header(path, attributes, &Shape { flag: b'0', link: b"", size, device: (0, 0) })?;
        Ok(size)
    }

    /// One name more for a file written before.
    pub fn hardlink(&mut self, path: &Path, target: &Path, attributes: &Attributes) -> Result<()> {
        let shape = Shape { flag: b'1', link: target.as_os_str().as_bytes(), size: 0, device: (0, 0) };
        self.header(path, attributes, &shape)
    }

    /// The mark for a deleted name.
    pub fn whiteout(&mut self, path: &Path) -> Result<()> {
        let mut name = b".wh.".to_vec();
        name.extend(path.file_name().unwrap_or_default().as_bytes());
        let mark = path.with_file_name(OsStr::from_bytes(&name));
        let attributes = Attributes::new(Kind::File { size: 0 }, 0);
        self.file(&mark, &attributes, &mut io::empty())
    }

    /// Ends the archive.
    pub fn finish(mut self) -> Result<W> {
        self.to.write_all(&ZEROS[..2 * BLOCK]).map_err(sink)?;
        Ok(self.to)
    }

    fn zeros(&mut self, mut count: u64) -> Result<()> {
        while count > 0 {
            let piece = usize::try_from(count).unwrap_or(usize::MAX).min(ZEROS.len());
            self.to.write_all(&ZEROS[..piece]).map_err(sink)?;
            count -= piece as u64;
        }
        Ok(())
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        self.zeros(size.next_multiple_of(BLOCK as u64) - size)
    }

    fn header(&mut self, path: &Path, attributes: &Attributes, shape: &Shape<'_>) -> Result<()> {
        self.header_with(path, attributes, shape, Vec::new())
    }

    fn header_with(
        &mut self,
        path: &Path,
        attributes: &Attributes,
        shape: &Shape<'_>,
        more: Records,
    ) -> Result<()> {
        let mut name = path.as_os_str().as_bytes().to_vec();
        if name.is_empty() || name == b"/" {
            name = b"./".to_vec();
        } else if attributes.is_dir() && shape.flag == b'5' {
            name.push(b'/');
        }
        let records = records(path, &name, attributes, shape, more)?;
        if records.is_empty() {
            let (prefix, rest) = split(&name).unwrap_or((b"", &name));
            return self.block(&main_block(prefix, rest, attributes, shape));
        }
        self.extended(&name, &records)?;
        self.block(&main_block(b"", &ascii(&name), attributes, shape))
    }

    fn extended(&mut self, name: &[u8], records: &[u8]) -> Result<()> {
        let mut block = [0u8; BLOCK];
        let name = extended_name(name);
        put(&mut block[..100], &name[..name.len().min(100)]);
        octal(&mut block[100..108], 0);
        octal(&mut block[108..116], 0);
        octal(&mut block[116..124], 0);
        octal(&mut block[124..136], records.len() as u64);
        octal(&mut block[136..148], 0);
        block[156] = b'x';
        self.block(&sealed(block))?;
        self.to.write_all(records).map_err(sink)?;
        self.pad(records.len() as u64)
    }

    fn block(&mut self, block: &[u8; BLOCK]) -> Result<()> {
        self.to.write_all(block).map_err(sink)
    }
}

fn sink(source: io::Error) -> StoreError {
    StoreError::Sink { source }
}

/// Like `io::copy`, with a buffer that suits compressors.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> Result<u64> {
    let mut buffer = vec![0u8; 64 << 10];
    let mut total = 0;
    loop {
        let filled = crate::copy::fill(from, &mut buffer).map_err(|source| StoreError::Stream { source })?;
        to.write_all(&buffer[..filled]).map_err(sink)?;
        total += filled as u64;
        if filled < buffer.len() {
            return Ok(total);
        }
    }
}

/// The PAX records an entry needs, sorted by key. Empty: a ustar header says it all.
fn records(
    path: &Path,
    name: &[u8],
    attributes: &Attributes,
    shape: &Shape<'_>,
    more: Records,
) -> Result<Vec<u8>> {
    let mut records = more;
    let mut need = |key: &[u8], value: Vec<u8>| records.push((key.to_vec(), value));
    let decimal = |number: i64| number.to_string().into_bytes();
    if shape.flag != b'1' {
        for (xattr, value) in &attributes.xattrs {
            if xattr.as_bytes().contains(&b'=') {
                return Err(StoreError::path(path, "has an extended attribute with = in its name"));
            }
            need(&[b"SCHILY.xattr.", xattr.as_bytes()].concat(), value.clone());
        }
    }
    if !fits(u64::from(attributes.uid), 8) {
        need(b"uid", decimal(attributes.uid.into()));
    }
    if !fits(u64::from(attributes.gid), 8) {
        need(b"gid", decimal(attributes.gid.into()));
    }
    if !fits(shape.size, 12) {
        need(b"size", shape.size.to_string().into_bytes());
    }
    if u64::try_from(attributes.mtime.secs).map_or(true, |secs| !fits(secs, 12)) {
        need(b"mtime", decimal(attributes.mtime.secs));
    }
    if shape.link.len() > 100 || !shape.link.is_ascii() {
        need(b"linkpath", shape.link.to_vec());
    }
    // The extended header is UTF-8 unless it says otherwise.
    if std::str::from_utf8(name).is_err() || std::str::from_utf8(shape.link).is_err() {
        need(b"hdrcharset", b"BINARY".to_vec());
    }
    let narrow = name.is_ascii() && (name.len() <= 100 || split(name).is_some());
    // Once an extended header is needed, a long name goes there whole.
    if !narrow || (!records.is_empty() && name.len() > 100) {
        records.push((b"path".to_vec(), name.to_vec()));
    }
    records.sort();
    let mut bytes = Vec::new();
    for (key, value) in &records {
        write_record(key, value, &mut bytes);
    }
    Ok(bytes)
}

/// Whether a number fits an octal field with its final NUL.
fn fits(number: u64, width: u32) -> bool {
    number < 1 << (3 * (width - 1))
}

/// Splits a long name at a slash into prefix and rest, where both fit their fields.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 || !name.is_ascii() {
        return None;
    }
    let mut length = name.len();
    if length > 156 {
        length = 156;
    } else if name[length - 1] == b'/' {
        length -= 1;
    }
    let slash = name[..length].iter().rposition(|byte| *byte == b'/')?;
    let rest = name.len() - slash - 1;
    (slash > 0 && slash <= 155 && rest > 0 && rest <= 100).then(|| (&name[..slash], &name[slash + 1..]))
}

fn ascii(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| byte.is_ascii() && *byte != 0).collect()
}

/// The name of an extended header: beside the entry it extends.
fn extended_name(name: &[u8]) -> Vec<u8> {
    let slash = name.iter().rposition(|byte| *byte == b'/');
    let (dir, file) = slash.map_or((&b""[..], name), |slash| (&name[..slash], &name[slash + 1..]));
    let mut full = Vec::new();
    if !dir.is_empty() {
        full.extend(dir);
        full.push(b'/');
    }
    full.extend(b"PaxHeaders.0");
    if !file.is_empty() {
        full.push(b'/');
        full.extend(file);
    }
    let mut full = ascii(&full);
    full.truncate(100);
    while full.last() == Some(&b'/') {
        full.pop();
    }
    full
}

fn main_block(prefix: &[u8], name: &[u8], attributes: &Attributes, shape: &Shape<'_>) -> [u8; BLOCK] {
    let mut block = [0u8; BLOCK];
    put(&mut block[..100], name);
    octal(&mut block[100..108], attributes.mode.into());
    octal(&mut block[108..116], attributes.uid.into());
    octal(&mut block[116..124], attributes.gid.into());
    octal(&mut block[124..136], shape.size);
    octal(&mut block[136..148], u64::try_from(attributes.mtime.secs).unwrap_or(0));
    block[156] = shape.flag;
    put(&mut block[157..257], &ascii(shape.link));
    octal(&mut block[329..337], shape.device.0.into());
    octal(&mut block[337..345], shape.device.1.into());
    put(&mut block[345..500], prefix);
    sealed(block)
}

/// Fills a text field. A cut name must not end in a slash: old readers would take it for a directory.
fn put(field: &mut [u8], text: &[u8]) {
    let cut = text.len() > field.len();
    let mut text = &text[..text.len().min(field.len())];
    while cut && text.last() == Some(&b'/') {
        text = &text[..text.len() - 1];
    }
    field[..text.len()].copy_from_slice(text);
}

/// Fills a number field; what does not fit stands in a PAX record, and zero here.
fn octal(field: &mut [u8], number: u64) {
    let width = field.len() - 1;
    let number = if fits(number, field.len() as u32) { number } else { 0 };
    field[..width].copy_from_slice(format!("{number:0width$o}").as_bytes());
}

fn sealed(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    block[257..265].copy_from_slice(b"ustar\x0000");
    let checksum = sum(&block);
    block[148..156].copy_from_slice(format!("{checksum:06o}\0 ").as_bytes());
    block
}
