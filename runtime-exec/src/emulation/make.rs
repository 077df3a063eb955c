//! The calls that make files: what a thread makes belongs to the user it takes itself for, or to the
//! group of a directory that hands its group on.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, mkdirat, mknodat, openat, symlinkat, unlinkat};
use rustix::io::Errno;
use rustix::thread::CapabilitySet as Cap;

use super::State;
use super::caller::Caller;
use super::calls::UNNAMED;
use super::files::errno;
use super::record::{KeptKind, Record};
use crate::sys::notify::{self, Answer, OnExec};

/// Who owns what is made; nothing where the kernel's own answer is the right one.
type NewOwner = Option<(u32, u32)>;

/// Where something is made, and whose it will be.
struct Spot {
    parent: OwnedFd,
    name: CString,
    owner: (u32, u32),
}

impl State {
    /// `open`, `openat` and `creat` with these arguments.
    pub(super) fn open(
        &mut self,
        caller: &Caller<'_>,
        (directory, path): (i32, u64),
        flags: u32,
        mode: u32,
    ) -> Result<Answer, Errno> {
        if flags & UNNAMED != 0 {
            return self.open_unnamed(caller, (directory, path), flags, mode);
        }
        if flags & libc::O_DIRECTORY as u32 != 0 {
            return Ok(Answer::Continue);
        }
        let Some(spot) = self.spot(caller, directory, path)? else { return Ok(Answer::Continue) };
        let flags = OFlags::from_bits_retain(flags) | OFlags::CREATE;
        let bits = Mode::from_raw_mode(mode & 0o7777 & !caller.umask()?);
        let exclusive = OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
        match openat(&spot.parent, &spot.name, flags | exclusive, bits) {
            Ok(file) => {
                self.record_owner(file.as_fd(), spot.owner, None)?;
                hand_over(caller, file.as_fd(), flags)
            }
            // What is there is opened, or refused, as ever.
            Err(_) => Ok(Answer::Continue),
        }
    }

    /// A file without a name in a directory.
    fn open_unnamed(
        &mut self,
        caller: &Caller<'_>,
        (directory, path): (i32, u64),
        flags: u32,
        mode: u32,
    ) -> Result<Answer, Errno> {
        let place = caller.place(directory, path)?;
        let Ok(dir) = place.open_with(OFlags::PATH | OFlags::DIRECTORY, 0) else {
            return Ok(Answer::Continue);
        };
        let Some(owner) = self.new_owner(caller, dir.as_fd())? else { return Ok(Answer::Continue) };
        let flags = OFlags::from_bits_retain(flags);
        let file = place.open_with(flags, mode & 0o7777 & !caller.umask()?)?;
        self.record_owner(file.as_fd(), owner, None)?;
        hand_over(caller, file.as_fd(), flags)
    }

    /// `openat2`: its flags lie in memory. Programs fall back to `openat` where it is missing.
    pub(super) fn open_how(&mut self, caller: &Caller<'_>) -> Result<Answer, Errno> {
        let flags = caller.read(caller.argument(2), 8)?.try_into().map_or(0, u64::from_ne_bytes);
        if flags & (libc::O_CREAT as u64 | u64::from(UNNAMED)) == 0 {
            return Ok(Answer::Continue);
        }
        match self.spot(caller, caller.word(0) as i32, caller.argument(1))? {
            Some(_) => Err(Errno::NOSYS),
            None => Ok(Answer::Continue),
        }
    }

    /// `mkdir`, `mkdirat`.
    pub(super) fn make_directory(
        &mut self,
        caller: &Caller<'_>,
        (directory, path): (i32, u64),
        mode: u32,
    ) -> Result<Answer, Errno> {
        let Some(spot) = self.spot(caller, directory, path)? else { return Ok(Answer::Continue) };
        let bits = Mode::from_raw_mode(mode & 0o1777 & !caller.umask()?);
        mkdirat(&spot.parent, &spot.name, bits)?;
        self.record_made(&spot, None)
    }

    /// `symlink`, `symlinkat`: the target comes first.
    pub(super) fn make_link(
        &mut self,
        caller: &Caller<'_>,
        target: u64,
        (directory, path): (i32, u64),
    ) -> Result<Answer, Errno> {
        let target = caller.text(target)?;
        let Some(spot) = self.spot(caller, directory, path)? else { return Ok(Answer::Continue) };
        symlinkat(target, &spot.parent, &spot.name)?;
        self.record_made(&spot, None)
    }

    /// `mknod`, `mknodat`. For a device, an empty file stands.
    pub(super) fn make_node(
        &mut self,
        caller: &Caller<'_>,
        (directory, path): (i32, u64),
        mode: u32,
        device: u32,
    ) -> Result<Answer, Errno> {
        let device = u64::from(device);
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let kind = FileType::from_raw_mode(mode & libc::S_IFMT);
        let kept = match kind {
            FileType::CharacterDevice => Some(KeptKind::CharDevice { major, minor }),
            FileType::BlockDevice => Some(KeptKind::BlockDevice { major, minor }),
            FileType::RegularFile | FileType::Fifo | FileType::Socket => None,
            FileType::Unknown if mode & libc::S_IFMT == 0 => None,
            FileType::Directory | FileType::Symlink | FileType::Unknown => return Ok(Answer::Continue),
        };
        let place = caller.place(directory, path)?;
        let Some((parent, name)) = place.parent()? else { return Ok(Answer::Continue) };
        let owner = self.new_owner(caller, parent.as_fd())?;
        if kept.is_some() && !self.threads.of(&caller.desk.proc, caller.thread())?.may(Cap::MKNOD) {
            return Err(Errno::PERM);
        }
        if kept.is_none() && owner.is_none() {
            return Ok(Answer::Continue);
        }
        let kind = match kind {
            FileType::Fifo | FileType::Socket => kind,
            FileType::RegularFile
            | FileType::Directory
            | FileType::Symlink
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => FileType::RegularFile,
        };
        let bits = Mode::from_raw_mode(mode & 0o7777 & !caller.umask()?);
        mknodat(&parent, &name, kind, bits, 0)?;
        self.record_made(&Spot { parent, name, owner: owner.unwrap_or((0, 0)) }, kept)
    }

    /// Where a path makes something, if its owner has to be recorded.
    fn spot(&mut self, caller: &Caller<'_>, directory: i32, path: u64) -> Result<Option<Spot>, Errno> {
        let place = caller.place(directory, path)?;
        // What is wrong with the path is best said by the kernel.
        let Ok(Some((parent, name))) = place.parent() else { return Ok(None) };
        let owner = self.new_owner(caller, parent.as_fd())?;
        Ok(owner.map(|owner| Spot { parent, name, owner }))
    }

    fn new_owner(&mut self, caller: &Caller<'_>, parent: BorrowedFd<'_>) -> Result<NewOwner, Errno> {
        let who = self.threads.of(&caller.desk.proc, caller.thread())?;
        let (user, mut group) = (who.user.files, who.group.files);
        let mode = rustix::fs::fstat(parent)?.st_mode;
        if mode & libc::S_ISGID != 0 {
            group = self.owner(parent)?.truth.1;
        }
        Ok(((user, group) != (0, 0)).then_some((user, group)))
    }

    fn record_made(&mut self, spot: &Spot, kind: Option<KeptKind>) -> Result<Answer, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let recorded = openat(&spot.parent, &spot.name, flags, Mode::empty())
            .and_then(|made| self.record_owner(made.as_fd(), spot.owner, kind));
        if recorded.is_err() && kind.is_some() {
            // An empty file is no device.
            let _ = unlinkat(&spot.parent, &spot.name, rustix::fs::AtFlags::empty());
        }
        recorded.map(|()| Answer::Value(0))
    }

    fn record_owner(
        &mut self,
        made: BorrowedFd<'_>,
        owner: (u32, u32),
        kind: Option<KeptKind>,
    ) -> Result<(), Errno> {
        let shown = self.owner(made)?.shown;
        let mut record = Record::of(owner, shown);
        record.kind = kind;
        if record.is_empty() { Ok(()) } else { self.set_record(made, record) }
    }
}

/// Gives the thread the file as its own new descriptor; that is the answer.
fn hand_over(caller: &Caller<'_>, file: BorrowedFd<'_>, flags: OFlags) -> Result<Answer, Errno> {
    let on_exec = if flags.contains(OFlags::CLOEXEC) { OnExec::Close } else { OnExec::Keep };
    let id = caller.notification.id;
    notify::answer_with_file(caller.desk.listener.as_fd(), id, file, on_exec)
        .map_err(|error| errno(&error))?;
    Ok(Answer::Given)
}
