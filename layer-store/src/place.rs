//! A name in a tree that is being written, where a regular file is to stand.
//!
//! Places are made one after the other and filled side by side: each has its own directory descriptor.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use defence::Defence;
use rustix::fs::{AtFlags, CWD, Mode as Bits, OFlags, linkat, openat};
use rustix::io::Errno;

use crate::attributes::Attributes;
use crate::error::{At, Result};
use crate::give::{Made, Target, give};
use crate::tree::timestamps;
use crate::truth::Truth;

/// A place where nothing stands.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: Arc<OwnedFd>,
    pub(crate) name: OsString,
    /// For error messages and reading only.
    pub(crate) host: PathBuf,
    pub(crate) made: Made,
}

impl Place {
    pub(crate) fn host(&self) -> &Path {
        &self.host
    }

    /// Creates the file; `fill` writes its content.
    pub(crate) fn create(
        &self,
        attributes: &Attributes,
        truth: Truth,
        fill: &mut dyn FnMut(&File) -> Result<()>,
    ) -> Result<()> {
        let mut flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        if defence::stands(Defence::FilesNew) {
            flags |= OFlags::EXCL | OFlags::NOFOLLOW;
        }
        // As a rule that is the mode it is to have; `give` looks.
        let bits = Bits::from_raw_mode(attributes.mode & 0o777);
        let file = File::from(openat(&*self.dir, &self.name, flags, bits).at(&self.host)?);
        fill(&file)?;
        give(&Target::Open { fd: file.as_fd(), host: &self.host }, attributes, truth, self.made)?;
        rustix::fs::futimens(&file, &timestamps(attributes.mtime)).at(&self.host)
    }

    /// Gives a file outside the tree a name here. `false`: the file system refuses.
    pub(crate) fn adopt(&self, host: &Path) -> Result<bool> {
        match linkat(CWD, host, &*self.dir, &self.name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::NOTSUP) => Ok(false),
            Err(error) => Err(error).at(&self.host),
        }
    }
}
