//! A record of the database: the header of a package without its lead. Numbers are big-endian.
//!
//! Number of entries and length of the data; entries of tag, type, offset and count; the data.

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const LICENSE: u32 = 1014;
const ARCH: u32 = 1022;
const SOURCE_RPM: u32 = 1044;

/// Types of values.
const INT32: u32 = 4;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

const PREFIX: usize = 8;
const ENTRY: usize = 16;

/// What is told of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub name: String,
    pub version: String,
    pub release: String,
    pub epoch: Option<u32>,
    pub arch: Option<String>,
    pub license: Option<String>,
    /// The source package that it was built from.
    pub source: Option<String>,
}

impl Record {
    /// Reads one; without a name, a version and a release it is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let header = Header::split(bytes)?;
        Some(Self {
            name: header.text(NAME)?,
            version: header.text(VERSION)?,
            release: header.text(RELEASE)?,
            epoch: header.number(EPOCH),
            arch: header.text(ARCH),
            license: header.text(LICENSE),
            source: header.text(SOURCE_RPM),
        })
    }
}

struct Header<'a> {
    entries: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (count, length) = (usize_at(bytes, 0)?, usize_at(bytes, 4)?);
        let (entries, rest) = bytes.get(PREFIX..)?.split_at_checked(count.checked_mul(ENTRY)?)?;
        Some(Self { entries, data: rest.get(..length)? })
    }

    /// The type of a value, and the data from where it begins.
    fn value(&self, tag: u32) -> Option<(u32, &'a [u8])> {
        let entry = self.entries.chunks_exact(ENTRY).find(|entry| u32_at(entry, 0) == Some(tag))?;
        Some((u32_at(entry, 4)?, self.data.get(usize_at(entry, 8)?..)?))
    }

    /// The first text of a value.
    fn text(&self, tag: u32) -> Option<String> {
        let (kind, data) = self.value(tag)?;
        if ![STRING, STRING_ARRAY, I18N_STRING].contains(&kind) {
            return None;
        }
        let end = data.iter().position(|byte| *byte == 0)?;
        let text = String::from_utf8_lossy(&data[..end]).into_owned();
        Some(text).filter(|text| !text.is_empty())
    }

    fn number(&self, tag: u32) -> Option<u32> {
        let (kind, data) = self.value(tag)?;
        u32_at(data, 0).filter(|_| kind == INT32)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}

fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32_at(bytes, at)?).ok()
}
