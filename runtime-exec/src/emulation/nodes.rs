//! Records of files that can carry none themselves: symbolic links, pipes, and what lies on file
//! systems without user attributes.
//!
//! They are kept by inode. An inode of a read-only layer is there as long as the step, and keeps its
//! number when it is copied up; any other one might be removed and its number used again, so its time
//! of birth counts, too. When the step is over, what is left of them in the writable layer is written
//! down by path.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat};
use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::sys::status;

/// A file below the step whose record lies beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptNode {
    /// Its inode number on the file system of the layers.
    pub inode: u64,
    /// Its true owner.
    pub uid: u32,
    /// Its true group.
    pub gid: u32,
    /// When it came to be, where the step may remove it: seconds and nanoseconds.
    pub born: Option<(i64, u32)>,
}

/// When an inode came to be, where the file system tells.
type Birth = Option<(i64, u32)>;

#[derive(Clone, Debug)]
enum Alive {
    /// As long as the step.
    Always,
    /// As long as this is its birth.
    Since(Birth),
}

#[derive(Clone, Debug)]
struct Node {
    alive: Alive,
    record: Record,
}

/// The records, by device and inode number.
#[derive(Debug, Default)]
pub(super) struct Nodes(HashMap<(u64, u64), Node>);

impl Nodes {
    /// What the layers below the root file system say.
    pub(super) fn new(device: u64, kept: &[KeptNode]) -> Nodes {
        let node = |kept: &KeptNode| Node {
            alive: kept.born.map_or(Alive::Always, |born| Alive::Since(Some(born))),
            record: Record::of((kept.uid, kept.gid), (0, 0)),
        };
        Nodes(kept.iter().map(|kept| ((device, kept.inode), node(kept))).collect())
    }

    /// The record of an open file.
    pub(super) fn get(&self, file: BorrowedFd<'_>) -> io::Result<Option<Record>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let found = status::stat(file)?;
        let Some(node) = self.0.get(&(found.st_dev, found.st_ino)) else { return Ok(None) };
        let same = match &node.alive {
            Alive::Always => true,
            Alive::Since(birth) => *birth == birth_of(file)?,
        };
        Ok(same.then(|| node.record.clone()))
    }

    /// Records something of an open file.
    pub(super) fn set(&mut self, file: BorrowedFd<'_>, record: Record) -> io::Result<()> {
        let found = status::stat(file)?;
        let birth = birth_of(file)?;
        let key = (found.st_dev, found.st_ino);
        let alive = match self.0.get(&key) {
            Some(Node { alive: Alive::Always, .. }) => Alive::Always,
            Some(_) | None => Alive::Since(birth),
        };
        self.0.insert(key, Node { alive, record });
        Ok(())
    }

    /// Writes the records of what lies in `upper`, as lines by path; `root` is the root file system,
    /// which shows `upper` on top.
    pub(super) fn write_down(&self, upper: OwnedFd, root: &OwnedFd, to: &mut File) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        let mut ahead = vec![PathBuf::new()];
        while let Some(dir) = ahead.pop() {
            // A directory that nothing is seen of holds nothing that was recorded.
            let Ok(seen) = open_below(root.as_fd(), &dir) else { continue };
            for entry in Dir::read_from(open_below(upper.as_fd(), &dir)?)? {
                let entry = entry?;
                let name = Path::new(std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()));
                match entry.file_type() {
                    FileType::Directory if name != Path::new(".") && name != Path::new("..") => {
                        ahead.push(dir.join(name));
                    }
                    FileType::Symlink | FileType::Fifo => {
                        if let Some(record) = self.seen(&seen, name)? {
                            line(&mut text, &dir.join(name), &record)?;
                        }
                    }
                    FileType::Directory
                    | FileType::RegularFile
                    | FileType::Socket
                    | FileType::CharacterDevice
                    | FileType::BlockDevice
                    | FileType::Unknown => {}
                }
            }
        }
        to.write_all(&text)
    }

    fn seen(&self, dir: &OwnedFd, name: &Path) -> io::Result<Option<Record>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(dir, name, flags, Mode::empty()) {
            Ok(file) => Ok(self.get(file.as_fd())?.filter(|record| !record.is_empty())),
            // Hidden by something that was mounted there.
            Err(_) => Ok(None),
        }
    }
}

fn birth_of(file: BorrowedFd<'_>) -> io::Result<Birth> {
    let found = status::statx(file, 0, libc::STATX_BTIME)?;
    let told = found.stx_mask & libc::STATX_BTIME != 0;
    Ok(told.then_some((found.stx_btime.tv_sec, found.stx_btime.tv_nsec)))
}

fn open_below(root: BorrowedFd<'_>, dir: &Path) -> rustix::io::Result<OwnedFd> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(root, dir, flags, Mode::empty(), resolve)
}

/// One line of the document, as the store reads it.
fn line(text: &mut Vec<u8>, path: &Path, record: &Record) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        path: String,
        #[serde(flatten)]
        record: &'a Record,
    }
    let path = path.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    serde_json::to_writer(&mut *text, &Line { path, record })?;
    text.push(b'\n');
    Ok(())
}

/// The device number of a root file system.
pub(super) fn device_of(root: &OwnedFd) -> rustix::io::Result<u64> {
    statat(root, "", AtFlags::EMPTY_PATH).map(|found| found.st_dev)
}
