//! An entry of an archive that this program writes itself, from its headers.

use std::collections::BTreeMap;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

pub(super) const BLOCK: usize = 512;

/// What is known of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: String,
    pub kind: EntryKind,
    pub size: u64,
    pub modified: Option<String>,
    pub mode: u64,
    pub uid: u64,
    pub gid: u64,
    /// Values in base64.
    pub xattrs: BTreeMap<String, String>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    HardLink(String),
    SymbolicLink(String),
    Directory,
    CharDevice(u64, u64),
    BlockDevice(u64, u64),
    Fifo,
}

/// A header block.
pub(super) struct Header<'a>(pub &'a [u8; BLOCK]);

impl Header<'_> {
    /// Whether records that belong to the next header follow.
    pub fn is_extended(&self) -> bool {
        self.0[156] == b'x'
    }

    /// How many bytes follow.
    pub fn size(&self) -> io::Result<u64> {
        self.number(124, 12)
    }

    fn text(&self, at: usize, length: usize) -> Vec<u8> {
        self.0[at..at + length].iter().copied().take_while(|byte| *byte != 0).collect()
    }

    fn number(&self, at: usize, length: usize) -> io::Result<u64> {
        let text = self.text(at, length);
        let text = std::str::from_utf8(&text).map_err(|_| wrong("a number is no text"))?;
        u64::from_str_radix(text.trim(), 8).map_err(|_| wrong("a number is not octal"))
    }

    /// The entry, together with the records before it.
    pub fn entry(&self, records: &BTreeMap<String, Vec<u8>>) -> io::Result<Entry> {
        let (prefix, name) = (self.text(345, 155), self.text(0, 100));
        let name = if prefix.is_empty() { name } else { [&prefix[..], b"/", &name].concat() };
        let record = |key: &str| records.get(key).cloned();
        let name = record("path").unwrap_or(name);
        if records.keys().any(|key| key.starts_with("GNU.sparse.")) {
            return Err(wrong(&format!("{} is sparse, which eStargz cannot say", lossy(&name))));
        }
        let link = lossy(&record("linkpath").unwrap_or_else(|| self.text(157, 100)));
        let device = || Ok::<_, io::Error>((self.number(329, 8)?, self.number(337, 8)?));
        let kind = match self.0[156] {
            b'0' => EntryKind::File,
            b'1' => EntryKind::HardLink(link),
            b'2' => EntryKind::SymbolicLink(link),
            b'3' => device().map(|(major, minor)| EntryKind::CharDevice(major, minor))?,
            b'4' => device().map(|(major, minor)| EntryKind::BlockDevice(major, minor))?,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            _ => return Err(wrong("an entry is of an unknown type")),
        };
        let number = |key: &str, at: usize, length: usize| match record(key) {
            Some(text) => lossy(&text).parse().map_err(|_| wrong("a record is no number")),
            None => self.number(at, length),
        };
        let modified = match record("mtime") {
            Some(text) => lossy(&text).parse().map_err(|_| wrong("a record is no time"))?,
            None => i64::try_from(self.number(136, 12)?).map_err(|_| wrong("a time is too late"))?,
        };
        Ok(Entry {
            name: lossy(&name),
            kind,
            size: number("size", 124, 12)?,
            modified: Timestamp::from_second(modified).ok().map(|time| time.to_string()),
            mode: self.number(100, 8)?,
            uid: number("uid", 108, 8)?,
            gid: number("gid", 116, 8)?,
            xattrs: records.iter().filter_map(xattr).collect(),
        })
    }
}

fn xattr((key, value): (&String, &Vec<u8>)) -> Option<(String, String)> {
    Some((key.strip_prefix("SCHILY.xattr.")?.to_owned(), STANDARD.encode(value)))
}

/// Extended records: each with its length, a blank, a key, `=`, a value and a newline.
pub(super) fn records(mut bytes: &[u8]) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    while !bytes.is_empty() {
        let one = record(bytes).ok_or_else(|| wrong("an extended header is damaged"))?;
        all.insert(one.key, one.value);
        bytes = &bytes[one.length..];
    }
    Ok(all)
}

struct Record {
    length: usize,
    key: String,
    value: Vec<u8>,
}

fn record(bytes: &[u8]) -> Option<Record> {
    let blank = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
    let body = bytes.get(blank + 1..length.checked_sub(1)?)?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some(Record { length, key: lossy(&body[..equals]), value: body[equals + 1..].to_vec() })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
