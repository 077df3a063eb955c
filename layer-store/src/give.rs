//! Gives a new file its attributes, and keeps what the file system refuses.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use defence::Defence;
use rustix::fs::{
    AtFlags, Gid, Mode as Bits, RawMode, Stat, Uid, XattrFlags, chmodat, chownat, fchmod, fchown,
    fremovexattr, fsetxattr, fstat, lremovexattr, lsetxattr, statat,
};
use rustix::io::Errno;

use crate::attributes::{Attributes, Kind};
use crate::error::{At, Result};
use crate::truth::{ACL_ACCESS, ACL_DEFAULT, Kept, TRUTH, Truth, is_internal, list_xattrs};

/// A file that gets its attributes.
pub(crate) enum Target<'a> {
    /// A regular file or directory. `host` is for error messages and reading only.
    Open { fd: BorrowedFd<'a>, host: &'a Path },
    /// A symbolic link or special file.
    Named { dir: BorrowedFd<'a>, name: &'a OsStr, host: &'a Path },
}

impl Target<'_> {
    fn host(&self) -> &Path {
        match self {
            Self::Open { host, .. } | Self::Named { host, .. } => host,
        }
    }

    fn chown(&self, uid: Option<Uid>, gid: Option<Gid>) -> rustix::io::Result<()> {
        match self {
            Self::Open { fd, .. } => fchown(fd, uid, gid),
            Self::Named { dir, name, .. } => chownat(dir, *name, uid, gid, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    fn chmod(&self, mode: Bits) -> rustix::io::Result<()> {
        match self {
            Self::Open { fd, .. } => fchmod(fd, mode),
            Self::Named { dir, name, .. } => chmodat(dir, *name, mode, AtFlags::empty()),
        }
    }

    fn set_xattr(&self, name: &OsStr, value: &[u8]) -> rustix::io::Result<()> {
        match self {
            Self::Open { fd, .. } => fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::Named { host, .. } => lsetxattr(*host, name, value, XattrFlags::empty()),
        }
    }

    fn stat(&self) -> rustix::io::Result<Stat> {
        match self {
            Self::Open { fd, .. } => fstat(fd),
            Self::Named { dir, name, .. } => statat(dir, *name, AtFlags::SYMLINK_NOFOLLOW),
        }
    }
}

/// What a file may have before it gets its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// Nothing: it is new.
    Bare,
    /// It is new in a directory whose default access list it got.
    BelowAccessList,
    /// It was there and has attributes.
    Before,
}

/// Owner, then mode, then extended attributes: each may undo the later ones.
/// Returns what must be kept aside for a link or special file; elsewhere it is kept on the file itself.
pub(crate) fn give(
    target: &Target<'_>,
    attributes: &Attributes,
    mut truth: Truth,
    made: Made,
) -> Result<Truth> {
    match made {
        Made::Before => forget_xattrs(target)?,
        Made::BelowAccessList => forget_access_lists(target),
        Made::Bare => {}
    }
    if !has_already(target, attributes, made)? {
        give_owner(target, attributes, &mut truth)?;
        if !matches!(attributes.kind, Kind::Symlink { .. }) {
            give_mode(target, attributes.mode, &mut truth)?;
        }
    }
    for (name, value) in &attributes.xattrs {
        if is_internal(name) && defence::stands(Defence::MarksDefused) {
            continue;
        }
        match target.set_xattr(name, value) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP | Errno::INVAL) => truth.keep_xattr(name, value),
            Err(error) => return Err(error).at(target.host()),
        }
    }
    if let (Target::Open { fd, host }, false) = (target, truth.is_empty()) {
        let text = crate::disk::to_json(host, &truth)?;
        fsetxattr(fd, TRUTH, &text, XattrFlags::empty()).at(host)?;
    }
    Ok(truth)
}

/// Gives an open regular file or directory outside of layers its owner, or keeps that beside it.
pub fn give_to(file: BorrowedFd<'_>, host: &Path, uid: u32, gid: u32) -> Result<()> {
    let target = Target::Open { fd: file, host };
    let mut attributes = Attributes::new(Kind::Directory, 0);
    (attributes.uid, attributes.gid) = (uid, gid);
    let mut truth = Truth::default();
    give_owner(&target, &attributes, &mut truth)?;
    match truth.is_empty() {
        true => Ok(()),
        false => fsetxattr(file, TRUTH, &crate::disk::to_json(host, &truth)?, XattrFlags::empty()).at(host),
    }
}

/// Whether a new file has its owner and mode by itself: looking costs less than a change.
fn has_already(target: &Target<'_>, attributes: &Attributes, made: Made) -> Result<bool> {
    let Target::Open { fd, host } = target else { return Ok(false) };
    if made != Made::Bare {
        return Ok(false);
    }
    let stat = fstat(fd).at(host)?;
    let shown = (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777);
    Ok(shown == (attributes.uid, attributes.gid, attributes.mode))
}

fn forget_xattrs(target: &Target<'_>) -> Result<()> {
    let Target::Open { fd, host } = target else { return Ok(()) };
    for name in list_xattrs(host)? {
        if name == TRUTH || !is_internal(&name) {
            match fremovexattr(fd, &name) {
                Ok(()) | Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::NOTSUP) => {}
                Err(error) => return Err(error).at(host),
            }
        }
    }
    Ok(())
}

/// Takes away what a new file got from its directory. Where that cannot be, there was none.
fn forget_access_lists(target: &Target<'_>) {
    for name in [ACL_ACCESS, ACL_DEFAULT] {
        let _ = match target {
            Target::Open { fd, .. } => fremovexattr(fd, name),
            Target::Named { host, .. } => lremovexattr(*host, name),
        };
    }
}

fn give_owner(target: &Target<'_>, attributes: &Attributes, truth: &mut Truth) -> Result<()> {
    let possible = |id: u32| id != u32::MAX;
    let uid = Some(attributes.uid).filter(|id| possible(*id)).map(Uid::from_raw);
    let gid = Some(attributes.gid).filter(|id| possible(*id)).map(Gid::from_raw);
    let refused =
        |error: Errno| matches!(error, Errno::PERM | Errno::INVAL | Errno::OVERFLOW | Errno::NOTSUP);
    match target.chown(uid, gid) {
        Ok(()) if uid.is_some() && gid.is_some() => return Ok(()),
        Ok(()) => {}
        Err(error) if refused(error) => {
            // One of the two may still be possible.
            let _ = target.chown(uid, None);
            let _ = target.chown(None, gid);
        }
        Err(error) => return Err(error).at(target.host()),
    }
    let stat = target.stat().at(target.host())?;
    let keep = |truth: u32, shown: u32| (truth != shown).then_some(Kept { truth, shown });
    truth.uid = keep(attributes.uid, stat.st_uid);
    truth.gid = keep(attributes.gid, stat.st_gid);
    Ok(())
}

fn give_mode(target: &Target<'_>, mode: u32, truth: &mut Truth) -> Result<()> {
    let set = target.chmod(Bits::from_raw_mode(mode as RawMode));
    match set {
        // The kernel drops the group bit in silence for a group that is not ours.
        Ok(()) if mode & 0o6000 == 0 => return Ok(()),
        Ok(()) | Err(Errno::PERM | Errno::NOTSUP) => {}
        Err(error) => return Err(error).at(target.host()),
    }
    let shown = target.stat().at(target.host())?.st_mode & 0o7777;
    truth.mode = (shown != mode).then_some(Kept { truth: mode, shown });
    Ok(())
}
