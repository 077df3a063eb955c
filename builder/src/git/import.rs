//! A directory of files as a layer, in one shape for every machine.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use graph::GitSource;
use layer_store::{Attributes, Content, Kind, LayerId, LayerWriter, Lease, Snapshot, Time};

use super::GitError;
use super::checkout::Checkout;

/// What becomes of `.git`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machinery {
    /// It stays.
    Keep,
    /// It is left out, in submodules too.
    Drop,
}

impl Machinery {
    pub(super) fn of(source: &GitSource) -> Self {
        if source.keep_git_dir { Self::Keep } else { Self::Drop }
    }
}

/// Makes the layer.
pub(super) fn import(lease: &Lease, tree: &Checkout, machinery: Machinery) -> Result<LayerId, GitError> {
    let mut writer = lease.write_layer(&Snapshot::default())?;
    let metadata = stat(&tree.root)?;
    writer.directory(Path::new(""), &tree.attributes(Kind::Directory, &metadata))?;
    directory(&mut writer, tree, machinery)?;
    Ok(writer.commit()?)
}

fn directory(writer: &mut LayerWriter, tree: &Checkout, machinery: Machinery) -> Result<(), GitError> {
    let mut waiting = vec![PathBuf::new()];
    while let Some(dir) = waiting.pop() {
        let host = tree.root.join(&dir);
        let io = |source| GitError::Io { path: host.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&host).map_err(io)? {
            names.push(entry.map_err(io)?.file_name());
        }
        names.sort();
        for name in names.into_iter().filter(|name| machinery == Machinery::Keep || name != ".git") {
            let path = dir.join(name);
            if entry(writer, tree, &path)? {
                waiting.push(path);
            }
        }
    }
    Ok(())
}

/// Writes one entry; `true`: it is a directory.
fn entry(writer: &mut LayerWriter, tree: &Checkout, path: &Path) -> Result<bool, GitError> {
    let host = tree.root.join(path);
    let io = |source| GitError::Io { path: host.clone(), source };
    let metadata = stat(&host)?;
    if metadata.is_dir() {
        writer.directory(path, &tree.attributes(Kind::Directory, &metadata))?;
        return Ok(true);
    }
    if metadata.is_symlink() {
        let target = fs::read_link(&host).map_err(io)?;
        writer.symlink(path, &tree.attributes(Kind::Symlink { target }, &metadata))?;
    } else if metadata.is_file() {
        let file = File::open(&host).map_err(io)?;
        writer.file(
            path,
            &tree.attributes(Kind::File { size: metadata.len() }, &metadata),
            Content::File(&file),
        )?;
    }
    Ok(false)
}

fn stat(path: &Path) -> Result<Metadata, GitError> {
    path.symlink_metadata().map_err(|source| GitError::Io { path: path.to_owned(), source })
}

impl Checkout {
    /// As a umask of 022 makes them, whatever this machine's is.
    fn attributes(&self, kind: Kind, metadata: &Metadata) -> Attributes {
        let mode = match kind {
            Kind::Directory => 0o755,
            Kind::Symlink { .. } => 0o777,
            Kind::File { .. }
            | Kind::Fifo
            | Kind::CharDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Socket => {
                let user = metadata.mode() >> 6 & 7;
                user << 6 | (user & 5) << 3 | (user & 5)
            }
        };
        let mut attributes = Attributes::new(kind, mode);
        attributes.mtime = match self.time {
            Some(secs) => Time { secs, nanos: 0 },
            None => Time { secs: metadata.mtime(), nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or(0) },
        };
        attributes
    }
}
