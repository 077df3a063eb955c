//! A place in memory, over the host's tree, that exists while a sandbox is set up.
//!
//! Mounts have to hang somewhere before parts of them can be viewed, and files that exist in memory
//! only have to be written somewhere. Nothing may ever lie over the root itself: `..` of the root
//! would lead there. So all of it, the root included, hangs side by side in here, and goes with the
//! host's tree; what is left are the views that were mounted.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chmodat, fchmod, fchown, mkdirat, mknodat, openat,
};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MoveMountFlags, move_mount};

use super::tree::{self, Below};
use crate::emulation;
use crate::spec::Identities;
use crate::sys::mount_attr;

/// The place.
#[derive(Debug)]
pub(super) struct Hall {
    memory: OwnedFd,
    entries: u32,
}

impl Hall {
    /// Makes it. Kernels since 6.4 can be asked to keep it out of swap, outside user namespaces.
    pub(super) fn new() -> io::Result<Hall> {
        let memory = tree::new("tmpfs", &["mode=700", "noswap"], MountAttrFlags::empty())
            .or_else(|_| tree::new("tmpfs", &["mode=700"], MountAttrFlags::empty()))?;
        // Paths still start below it, in the host's tree.
        move_mount(&memory, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        Ok(Hall { memory, entries: 0 })
    }

    /// Hangs a mount into it.
    pub(super) fn attach(&mut self, mount: BorrowedFd<'_>) -> io::Result<()> {
        let name = self.next_name();
        mkdirat(&self.memory, name.as_str(), Mode::RWXU)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let place = openat(&self.memory, name.as_str(), flags, Mode::empty())?;
        tree::put(mount, place)
    }

    /// A view of a new file with this content.
    pub(super) fn file(
        &mut self,
        bytes: &[u8],
        mode: u32,
        (uid, gid): (u32, u32),
        identities: &Identities,
    ) -> io::Result<OwnedFd> {
        let name = self.next_name();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.memory, name.as_str(), flags, Mode::RUSR)?);
        file.write_all(bytes)?;
        match identities {
            Identities::Kernel => fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?,
            Identities::Emulated { .. } => emulation::record_owner(file.as_fd(), uid, gid)?,
        }
        fchmod(&file, Mode::from_raw_mode(mode))?;
        let view = tree::view(file.as_fd(), Below::Left)?;
        let inert = mount_attr::NOSUID | mount_attr::NODEV | mount_attr::NOEXEC;
        mount_attr::set(view.as_fd(), inert, mount_attr::ThisOnly)?;
        Ok(view)
    }

    /// A view of a new character device with mode 0666; `None`: nodes cannot be made, or not used, here.
    pub(super) fn device(&mut self, device: u64) -> io::Result<Option<OwnedFd>> {
        let (name, mode) = (self.next_name(), Mode::from_raw_mode(0o666));
        match mknodat(&self.memory, name.as_str(), FileType::CharacterDevice, mode, device) {
            Ok(()) => {}
            Err(Errno::PERM) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
        chmodat(&self.memory, name.as_str(), mode, AtFlags::empty())?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let node = openat(&self.memory, name.as_str(), flags, Mode::empty())?;
        Ok(Some(tree::view(node.as_fd(), Below::Left)?))
    }

    fn next_name(&mut self) -> String {
        self.entries += 1;
        self.entries.to_string()
    }
}
