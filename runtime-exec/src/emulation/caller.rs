//! The thread whose call is answered: its memory, its files, its view of paths.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

use crate::sys::memory;
use crate::sys::notify::{self, Notification};

/// Longest path, with its end.
const PATH_MAX: usize = 4096;
/// As many links as the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// What calls are answered with.
#[derive(Debug)]
pub(super) struct Desk {
    /// Where calls arrive.
    pub(super) listener: OwnedFd,
    /// The file system of processes in which this process has a number, too.
    pub(super) proc: OwnedFd,
    /// The root directory of the step.
    pub(super) root: OwnedFd,
}

/// A call and the thread that waits for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    pub(super) notification: &'a Notification,
    pub(super) desk: &'a Desk,
}

/// Whether the last component of a path is followed where it is a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    Follow,
    Leave,
}

/// A path as its thread sees it. While it lives, this process has that thread's root directory.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// Where a relative path starts.
    start: Option<OwnedFd>,
    path: CString,
    caller: Caller<'a>,
    _away: Option<Away<'a>>,
}

/// This process has another root directory than its own.
#[derive(Debug)]
struct Away<'a>(&'a OwnedFd);

impl Drop for Away<'_> {
    fn drop(&mut self) {
        // The own root can always be returned to: it is open, and root of the namespace may do so.
        let _ = rustix::process::chroot(own(self.0.as_fd()));
    }
}

/// An open file of this process by name, below its working directory, which is the file system of
/// processes: also a file that was opened as a place only can be looked at so.
pub(super) fn own(file: BorrowedFd<'_>) -> String {
    format!("self/fd/{}", file.as_raw_fd())
}

impl Desk {
    pub(super) fn caller<'a>(&'a self, notification: &'a Notification) -> Caller<'a> {
        Caller { notification, desk: self }
    }
}

impl<'a> Caller<'a> {
    pub(super) fn thread(&self) -> i32 {
        self.notification.thread
    }

    pub(super) fn argument(&self, index: usize) -> u64 {
        self.notification.arguments.get(index).copied().unwrap_or(0)
    }

    /// An argument that the kernel reads as 32 bits.
    pub(super) fn word(&self, index: usize) -> u32 {
        self.argument(index) as u32
    }

    /// The thread is still the one that called: its number was not given to another one meanwhile.
    fn still(&self) -> Result<(), Errno> {
        match notify::is_waiting(self.desk.listener.as_fd(), self.notification.id) {
            true => Ok(()),
            false => Err(Errno::SRCH),
        }
    }

    /// Reads `length` bytes of its memory.
    pub(super) fn read(&self, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; length];
        let count = memory::read(self.thread(), address, &mut bytes).map_err(|_| Errno::FAULT)?;
        self.still()?;
        if count == length { Ok(bytes) } else { Err(Errno::FAULT) }
    }

    /// Reads a text that ends with a zero byte. It is the thread's own once a place was made after.
    pub(super) fn text(&self, address: u64) -> Result<CString, Errno> {
        let mut bytes = vec![0; PATH_MAX];
        // Most are short; the rest is read only if need be.
        for most in [256, PATH_MAX] {
            let part = bytes.get_mut(..most).ok_or(Errno::FAULT)?;
            let count = memory::read(self.thread(), address, part).map_err(|_| Errno::FAULT)?;
            let read = part.get(..count).unwrap_or_default();
            if let Some(end) = read.iter().position(|byte| *byte == 0) {
                return CString::new(read.get(..end).unwrap_or_default()).map_err(|_| Errno::FAULT);
            }
            if count < most {
                return Err(Errno::FAULT);
            }
        }
        Err(Errno::NAMETOOLONG)
    }

    /// Writes to its memory.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.still()?;
        memory::write(self.thread(), address, bytes).map_err(|_| Errno::FAULT)
    }

    /// One of its open files, as a place.
    pub(super) fn file(&self, number: i32) -> Result<OwnedFd, Errno> {
        if number < 0 {
            return Err(Errno::BADF);
        }
        let name = format!("{}/fd/{number}", self.thread());
        let file = openat(&self.desk.proc, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let file = file.map_err(|errno| if errno == Errno::NOENT { Errno::BADF } else { errno })?;
        self.still()?;
        Ok(file)
    }

    /// The file that the first argument of a call names, which is a path.
    pub(super) fn file_at_path(&self, links: Links) -> Result<OwnedFd, Errno> {
        self.place(libc::AT_FDCWD, self.argument(0))?.open(links)
    }

    /// What a path argument names, seen from the directory argument (or the working directory).
    pub(super) fn place(&self, directory: i32, address: u64) -> Result<Place<'a>, Errno> {
        self.place_of(directory, self.text(address)?)
    }

    pub(super) fn place_of(&self, directory: i32, path: CString) -> Result<Place<'a>, Errno> {
        let start = match path.as_bytes().first() {
            None => return Err(Errno::NOENT),
            Some(b'/') => None,
            Some(_) if directory == libc::AT_FDCWD => {
                let name = format!("{}/cwd", self.thread());
                Some(openat(&self.desk.proc, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
            }
            Some(_) => Some(self.file(directory)?),
        };
        let root = format!("{}/root", self.thread());
        let away = match readlinkat(&self.desk.proc, &root, Vec::new())?.as_bytes() {
            b"/" => None,
            _ => {
                let found = openat(&self.desk.proc, &root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                self.still()?;
                rustix::process::chroot(own(found.as_fd()))?;
                Some(Away(&self.desk.root))
            }
        };
        self.still()?;
        Ok(Place { start, path, caller: *self, _away: away })
    }

    /// Which of its own files a path names; nothing for any other path. Nothing of the path is looked
    /// up: it would be looked up in the host's file system of processes.
    fn file_of_itself(&self, path: &[u8]) -> Option<Result<OwnedFd, Errno>> {
        let number = match path {
            b"/dev/stdin" => "0",
            b"/dev/stdout" => "1",
            b"/dev/stderr" => "2",
            _ => {
                let directories = ["/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"];
                let path = std::str::from_utf8(path).ok()?;
                directories.iter().find_map(|directory| path.strip_prefix(directory))?
            }
        };
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| digits);
        Some(number.map_or(Err(Errno::NOENT), |number| self.file(number)))
    }

    /// Bits that are taken from the mode of what it makes.
    pub(super) fn umask(&self) -> Result<u32, Errno> {
        let text = self.status("Umask:")?;
        u32::from_str_radix(&text, 8).map_err(|_| Errno::INVAL)
    }

    /// The process that the thread belongs to.
    pub(super) fn process(&self) -> Result<i32, Errno> {
        self.status("Tgid:")?.parse().map_err(|_| Errno::INVAL)
    }

    /// The number of the thread in the step's own pid namespace.
    pub(super) fn number_inside(&self) -> Result<u32, Errno> {
        let numbers = self.status("NSpid:")?;
        numbers.split_whitespace().last().and_then(|last| last.parse().ok()).ok_or(Errno::INVAL)
    }

    /// Whether programs can gain nothing by being executed.
    pub(super) fn gains_nothing(&self) -> Result<bool, Errno> {
        Ok(self.status("NoNewPrivs:")? != "0")
    }

    fn status(&self, field: &str) -> Result<String, Errno> {
        let name = format!("{}/status", self.thread());
        let file = openat(&self.desk.proc, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut text = vec![0; 8 << 10];
        let count = rustix::io::read(&file, &mut text[..])?;
        self.still()?;
        let text = String::from_utf8_lossy(text.get(..count).unwrap_or_default()).into_owned();
        let value = text.lines().find_map(|line| line.strip_prefix(field));
        value.map(|value| value.trim().to_owned()).ok_or(Errno::NOENT)
    }
}

impl Place<'_> {
    /// Where it starts; without meaning for an absolute path.
    fn start(&self) -> BorrowedFd<'_> {
        self.start.as_ref().unwrap_or(&self.caller.desk.root).as_fd()
    }

    /// Opens it as a place.
    pub(super) fn open(&self, links: Links) -> Result<OwnedFd, Errno> {
        let flags = match links {
            Links::Follow => OFlags::PATH | OFlags::CLOEXEC,
            Links::Leave => OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        };
        match (openat(self.start(), &self.path, flags, Mode::empty()), links) {
            (Err(Errno::NOENT), Links::Follow) => self.open_of_itself(),
            (other, Links::Follow | Links::Leave) => other,
        }
    }

    /// `/proc/self` is not there for this process, so paths that lead through it are followed by hand,
    /// as far as they consist of links to it.
    fn open_of_itself(&self) -> Result<OwnedFd, Errno> {
        let mut path = self.path.clone().into_bytes();
        for _ in 0..MOST_LINKS {
            if let Some(file) = self.caller.file_of_itself(&path) {
                return file;
            }
            let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let link = openat(self.start(), path.as_slice(), flags, Mode::empty())?;
            let target = readlinkat(&link, "", Vec::new())?.into_bytes();
            let parent = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            path.truncate(if target.starts_with(b"/") { 0 } else { parent });
            path.extend(target);
        }
        Err(Errno::LOOP)
    }

    /// Opens it for use.
    pub(super) fn open_with(&self, flags: OFlags, mode: u32) -> Result<OwnedFd, Errno> {
        openat(self.start(), &self.path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode))
    }

    /// Its directory and its last name, which may end with slashes. Nothing where it has no such name.
    pub(super) fn parent(&self) -> Result<Option<(OwnedFd, CString)>, Errno> {
        let path = self.path.as_bytes();
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let begin = path.get(..end).and_then(|path| path.iter().rposition(|byte| *byte == b'/'));
        let begin = begin.map_or(0, |slash| slash + 1);
        let name = path.get(begin..).unwrap_or_default();
        if begin == end || matches!(name, b"." | b".." | b"./" | b"../") {
            return Ok(None);
        }
        let parent = match path.get(..begin) {
            None | Some(b"") => c".".to_owned(),
            Some(parent) => CString::new(parent).map_err(|_| Errno::INVAL)?,
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = openat(self.start(), parent, flags, Mode::empty())?;
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        Ok(Some((parent, name)))
    }
}
