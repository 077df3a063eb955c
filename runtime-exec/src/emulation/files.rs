//! Looking records up, and writing them.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{XattrFlags, getxattr, removexattr, setxattr};
use rustix::io::Errno;

use super::State;
use super::caller::own;
use super::record::{ATTRIBUTE, Record};
use crate::sys::status;

/// Records are short; one with many attributes of the store may be longer.
const USUAL: usize = 512;
/// No file system keeps a longer attribute.
const LONGEST: usize = 64 << 10;

/// The error number of something that failed.
pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

impl State {
    /// What is recorded of an open file.
    pub(super) fn record(&self, file: BorrowedFd<'_>) -> Result<Option<Record>, Errno> {
        let name = own(file);
        let mut text = vec![0; USUAL];
        let length = match getxattr(&name, ATTRIBUTE, &mut text[..]) {
            Err(Errno::RANGE) => {
                text.resize(LONGEST, 0);
                getxattr(&name, ATTRIBUTE, &mut text[..])
            }
            other => other,
        };
        match length {
            Ok(length) => Ok(Record::parse(text.get(..length).unwrap_or_default())),
            // None, or none can be there.
            Err(_) => self.nodes.get(file).map_err(|error| errno(&error)),
        }
    }

    /// Records something of an open file, or that nothing is to be recorded.
    pub(super) fn set_record(&mut self, file: BorrowedFd<'_>, record: Record) -> Result<(), Errno> {
        let name = own(file);
        let done = match record.is_empty() {
            true => removexattr(&name, ATTRIBUTE),
            false => setxattr(&name, ATTRIBUTE, &record.text()?, XattrFlags::empty()),
        };
        match done {
            Err(Errno::NODATA) => Ok(()),
            Err(Errno::NOTSUP | Errno::PERM) => self.nodes.set(file, record).map_err(|error| errno(&error)),
            other => other,
        }
    }

    /// The true owner of an open file, and what it shows.
    pub(super) fn owner(&self, file: BorrowedFd<'_>) -> Result<Owner, Errno> {
        let found = status::stat(file).map_err(|error| errno(&error))?;
        let shown = (found.st_uid, found.st_gid);
        let record = self.record(file.as_fd())?;
        let truth = record.as_ref().map_or(shown, |record| record.owner(shown));
        Ok(Owner { truth, shown, mode: found.st_mode, record: record.unwrap_or_default() })
    }
}

/// What is known of a file's owner.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) truth: (u32, u32),
    pub(super) shown: (u32, u32),
    /// Type and permission bits, as shown.
    pub(super) mode: u32,
    pub(super) record: Record,
}
