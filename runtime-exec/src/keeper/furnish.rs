//! What a step finds in its root directory where nothing can be mounted: `/dev`, and the files of `/etc` that
//! tell of the host.
//!
//! What the image has in these places lies beside the root directory meanwhile, and is put back in the end, as
//! what is mounted over it would come to light again. So nothing of it gets into a layer.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, chmodat, fstat, mkdirat, mknodat, openat, renameat};
use rustix::io::Errno;

use super::stubs;
use crate::error::{Failure, Stage};
use crate::spec::{ProcessSpec, Root};
use crate::step::At;
use crate::step::devices::NODES;
use crate::step::resolve::{Kind, RootDir, Stub, open_real, set_times};

/// Directories that every root has.
const STANDING: [&str; 3] = ["/proc", "/dev", "/sys"];
/// Beside the root directory.
const ASIDE: &str = "aside";

/// What was put into a root directory. Dropping it takes it away.
#[derive(Debug)]
pub(super) struct Furnished {
    root: OwnedFd,
    aside: OwnedFd,
    place: PathBuf,
    pieces: Vec<Piece>,
    /// An `/etc` that the image does not have.
    stubs: Vec<Stub>,
}

/// A place that is taken meanwhile. What the image has there lies aside, under the number of the piece.
#[derive(Debug)]
struct Piece {
    parent: &'static str,
    name: &'static str,
}

impl Furnished {
    /// Furnishes the root directory, whose parent directory must be the step's own.
    pub(super) fn make(root: &OwnedFd, spec: &ProcessSpec) -> Result<Furnished, Failure> {
        let (Root::Directory(path) | Root::Overlay { upper: path, .. }) = &spec.root;
        let mut own = RootDir::new(root.try_clone().at(Stage::Root, "/")?).at(Stage::Root, "/")?;
        for target in STANDING {
            own.standing_mount_point(target).at(Stage::Root, target)?;
        }
        own.mount_point("/etc", Kind::Directory).at(Stage::Root, "/etc")?;
        let place = path.with_file_name(ASIDE);
        let noun = place.to_string_lossy().into_owned();
        mkdirat(CWD, &place, Mode::RWXU).at(Stage::Root, &noun)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let aside = openat(CWD, &place, flags, Mode::empty()).at(Stage::Root, &noun)?;
        let root = root.try_clone().at(Stage::Root, "/")?;
        let mut furnished = Furnished { root, aside, place, pieces: Vec::new(), stubs: own.stubs().to_vec() };
        furnished.devices()?;
        for (name, bytes) in [("hosts", &spec.etc.hosts), ("resolv.conf", &spec.etc.resolv_conf)] {
            if let Some(bytes) = bytes {
                furnished.file(name, bytes).at(Stage::Mount, name)?;
            }
        }
        Ok(furnished)
    }

    /// Makes room for something; returns the directory that it is to lie in.
    fn take(&mut self, parent: &'static str, name: &'static str) -> io::Result<OwnedFd> {
        let above = open_real(self.root.as_fd(), Path::new(parent), OFlags::DIRECTORY)?;
        let before = fstat(&above)?;
        match renameat(&above, name, &self.aside, held(self.pieces.len())) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        self.pieces.push(Piece { parent, name });
        set_times(above.as_fd(), &before)?;
        Ok(above)
    }

    fn devices(&mut self) -> Result<(), Failure> {
        let make = |furnished: &mut Self| -> io::Result<OwnedFd> {
            let above = furnished.take("", "dev")?;
            let before = fstat(&above)?;
            mkdirat(&above, "dev", Mode::from_raw_mode(0o755))?;
            set_times(above.as_fd(), &before)?;
            let dev = open_real(above.as_fd(), Path::new("dev"), OFlags::DIRECTORY)?;
            mkdirat(&dev, "shm", Mode::RWXU)?;
            chmodat(&dev, "shm", Mode::from_raw_mode(0o1777), rustix::fs::AtFlags::empty())?;
            Ok(dev)
        };
        let dev = make(self).at(Stage::Devices, "/dev")?;
        for (name, major, minor) in NODES {
            let mode = Mode::from_raw_mode(0o666);
            let device = rustix::fs::makedev(major, minor);
            mknodat(&dev, name, FileType::CharacterDevice, mode, device).at(Stage::Devices, name)?;
            chmodat(&dev, name, mode, rustix::fs::AtFlags::empty()).at(Stage::Devices, name)?;
        }
        // A file system without devices would show it only now.
        let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
        openat(&dev, "null", flags, Mode::empty())
            .at(Stage::Devices, "null (where the store lies, device nodes do not work: --root elsewhere)")?;
        Ok(())
    }

    fn file(&mut self, name: &'static str, bytes: &[u8]) -> io::Result<()> {
        let above = self.take("etc", name)?;
        let before = fstat(&above)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(&above, name, flags, Mode::from_raw_mode(0o644))?;
        File::from(file).write_all(bytes)?;
        Ok(set_times(above.as_fd(), &before)?)
    }

    /// Puts back what the image has in a place. No link of the step's is followed, nothing is deleted here.
    fn restore(&self, number: usize, piece: &Piece) -> io::Result<()> {
        let above = open_real(self.root.as_fd(), Path::new(piece.parent), OFlags::DIRECTORY)?;
        let before = fstat(&above)?;
        match renameat(&above, piece.name, &self.aside, format!("spent-{number}")) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        match renameat(&self.aside, held(number), &above, piece.name) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(set_times(above.as_fd(), &before)?)
    }
}

fn held(number: usize) -> String {
    format!("held-{number}")
}

impl Drop for Furnished {
    fn drop(&mut self) {
        for (number, piece) in self.pieces.iter().enumerate().rev() {
            // A directory that the step removed has nothing to be put back into.
            let _ = self.restore(number, piece);
        }
        let _ = std::fs::remove_dir_all(&self.place);
        stubs::remove(self.root.as_fd(), &self.stubs);
    }
}
