//! A listed name in few bytes, and a whole listing of them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use layer_store::{Attributes, Entry, Kind, Time};
use rustix::fs::{FileType, Statx};

use super::stamp::Stamp;

/// What a listing holds of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: OsString,
    pub(super) stamp: Stamp,
    pub(super) links: u32,
    pub(super) rdev: (u32, u32),
    /// Of a link its target, else empty.
    pub(super) target: Vec<u8>,
    /// Of a directory its position among those of the listing, of a file given by value its number.
    pub(super) number: u32,
}

/// Bytes of a record before its name.
const FIXED: usize = 80;

impl Record {
    pub(super) fn of(name: OsString, stat: &Statx, target: Vec<u8>) -> Self {
        let rdev = (stat.stx_rdev_major, stat.stx_rdev_minor);
        Self { name, stamp: Stamp::of(stat), links: stat.stx_nlink, rdev, target, number: 0 }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stamp.mode)
    }

    /// The entry that it stands for; `None` for what does not exist in contexts.
    pub(super) fn entry(&self) -> Option<Entry> {
        let kind = match self.file_type() {
            FileType::RegularFile => Kind::File { size: self.stamp.size },
            FileType::Directory => Kind::Directory,
            FileType::Symlink => {
                Kind::Symlink { target: PathBuf::from(OsString::from_vec(self.target.clone())) }
            }
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharDevice { major: self.rdev.0, minor: self.rdev.1 },
            FileType::BlockDevice => Kind::BlockDevice { major: self.rdev.0, minor: self.rdev.1 },
            FileType::Socket => Kind::Socket,
            FileType::Unknown => return None,
        };
        let (secs, nanos) = self.stamp.mtime;
        let attributes = Attributes {
            kind,
            mode: self.stamp.mode & 0o7777,
            uid: 0,
            gid: 0,
            mtime: Time { secs, nanos },
            xattrs: Default::default(),
        };
        let device = usize::try_from(self.stamp.dev).unwrap_or(usize::MAX);
        Some(Entry { attributes, identity: (device, self.stamp.ino), links: u64::from(self.links) })
    }

    fn write(&self, to: &mut Vec<u8>) {
        let Stamp { dev, ino, size, mtime, ctime, mode } = self.stamp;
        for number in [dev, ino, size, mtime.0.cast_unsigned(), ctime.0.cast_unsigned()] {
            to.extend_from_slice(&number.to_le_bytes());
        }
        let lengths = [self.name.len() as u32, self.target.len() as u32];
        let numbers = [mtime.1, ctime.1, mode, self.links, self.rdev.0, self.rdev.1, self.number, 0];
        for number in numbers.into_iter().chain(lengths) {
            to.extend_from_slice(&number.to_le_bytes());
        }
        to.extend_from_slice(self.name.as_bytes());
        to.extend_from_slice(&self.target);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let long = |at: usize| Some(u64::from_le_bytes(*bytes.get(at * 8..)?.first_chunk()?));
        let short = |at: usize| Some(u32::from_le_bytes(*bytes.get(40 + at * 4..)?.first_chunk()?));
        let stamp = Stamp {
            dev: long(0)?,
            ino: long(1)?,
            size: long(2)?,
            mtime: (long(3)?.cast_signed(), short(0)?),
            ctime: (long(4)?.cast_signed(), short(1)?),
            mode: short(2)?,
        };
        let name_end = FIXED + short(8)? as usize;
        Some(Self {
            name: OsStr::from_bytes(bytes.get(FIXED..name_end)?).to_owned(),
            stamp,
            links: short(3)?,
            rdev: (short(4)?, short(5)?),
            target: bytes.get(name_end..name_end + short(9)? as usize)?.to_vec(),
            number: short(6)?,
        })
    }
}

/// The records of a directory, sorted by name: how many, where each begins, and then they themselves.
#[derive(Debug, Default)]
pub(super) struct Listing(Vec<u8>);

impl Listing {
    pub(super) fn of(records: &[Record]) -> Self {
        let mut bytes = vec![0; 4 + 4 * records.len()];
        bytes[..4].copy_from_slice(&(records.len() as u32).to_le_bytes());
        for (nth, record) in records.iter().enumerate() {
            let at = (bytes.len() as u32).to_le_bytes();
            bytes[4 + 4 * nth..][..4].copy_from_slice(&at);
            record.write(&mut bytes);
        }
        Self(bytes)
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.number(0).map_or(0, |count| count as usize)
    }

    fn number(&self, nth: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.0.get(4 * nth..)?.first_chunk()?))
    }

    pub(super) fn get(&self, nth: usize) -> Option<Record> {
        if nth >= self.len() {
            return None;
        }
        Record::read(self.0.get(self.number(1 + nth)? as usize..)?)
    }

    fn name(&self, nth: usize) -> Option<&[u8]> {
        let record = self.0.get(self.number(1 + nth)? as usize..)?;
        let length = u32::from_le_bytes(*record.get(40 + 8 * 4..)?.first_chunk()?) as usize;
        record.get(FIXED..FIXED + length)
    }

    /// The position of a name.
    pub(super) fn find(&self, name: &OsStr) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.name(middle)?.cmp(name.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Record> + '_ {
        (0..self.len()).filter_map(|nth| self.get(nth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_as_they_were() {
        let record = |name: &[u8], mode: u32, target: &[u8], number: u32| Record {
            name: OsStr::from_bytes(name).to_owned(),
            stamp: Stamp {
                dev: u64::MAX,
                ino: 7,
                size: 1 << 40,
                mtime: (-3, 999_999_999),
                ctime: (1 << 40, 1),
                mode,
            },
            links: 3,
            rdev: (8, 1 << 20),
            target: target.to_vec(),
            number,
        };
        let records = [
            record(b"a", 0o040755, b"", 0),
            record(b"a b\xff", 0o100644, b"", u32::MAX),
            record(b"b", 0o120777, b"../\xfe", 2),
            record(&[b'c'; 255], 0o020600, b"", 3),
        ];
        let listing = Listing::from_bytes(Listing::of(&records).bytes().to_vec());
        assert_eq!(listing.iter().collect::<Vec<_>>(), records);
        for (nth, record) in records.iter().enumerate() {
            assert_eq!(listing.find(&record.name), Some(nth));
        }
        for absent in ["", "aa", "d"] {
            assert_eq!(listing.find(OsStr::new(absent)), None);
        }
        assert_eq!(Listing::of(&[]).len(), 0);
        assert_eq!(
            records[2].entry().unwrap().attributes.symlink_target().unwrap().as_os_str(),
            OsStr::from_bytes(b"../\xfe")
        );
    }
}
