//! The layer that the same actions made of the same contexts before: a file that is as it was then gets one name
//! more instead of a copy.
//!
//! Which layer that is only decides how much is copied. A file of it is used where its content has the digest that
//! the context's file has, and its attributes are those that the copy is to have, the time included.

use std::path::{Path, PathBuf};

use graph::{FileAction, Op};
use layer_store::{KnownContents, LayerId, Lease};

use super::{FileError, FileInput};
use crate::context::ContentDigest;

/// What a step that copies may take of the layer that it made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Files that are as they were then.
    Files,
    /// Nothing, since the cache is not to be relied on.
    Nothing,
}

/// What such a layer has.
#[derive(Default)]
pub(super) struct Earlier {
    files: PathBuf,
    contents: KnownContents,
}

impl Earlier {
    /// The layer that was last noted under a name, if it is still here. It is in use from then on.
    pub(super) fn of(lease: &Lease, name: Option<&[u8; 32]>) -> Result<Self, FileError> {
        let store = lease.store();
        let Some(noted) = name.map(|name| store.listing(name)).transpose()?.flatten() else {
            return Ok(Self::default());
        };
        let id: Option<LayerId> = std::str::from_utf8(&noted).ok().and_then(|text| text.parse().ok());
        match id.map(|id| lease.layer(&id)).transpose()?.flatten() {
            Some(layer) => {
                Ok(Self { files: store.layer_dir(&layer.id), contents: store.known_contents(&layer.id)? })
            }
            None => Ok(Self::default()),
        }
    }

    /// Its file at a path, if it has this content.
    pub(super) fn file(&self, path: &Path, content: Option<ContentDigest>) -> Option<PathBuf> {
        let content = content?;
        (self.contents.get(path)? == content).then(|| self.files.join(path))
    }
}

/// Notes which layer a name now stands for. Without it the next build only has more to copy.
pub(super) fn note(lease: &Lease, name: Option<&[u8; 32]>, layer: &LayerId) {
    if let Some(name) = name {
        drop(lease.put_listing(name, layer.as_str().as_bytes()));
    }
}

/// A name for what these actions make of these contexts, whatever is in them; `None` where they read no
/// directory.
pub(super) fn name(actions: &[FileAction], inputs: &[FileInput]) -> Option<[u8; 32]> {
    use std::os::unix::ffi::OsStrExt;
    let mut hasher = blake3::Hasher::new_derive_key("rbuild earlier layer of file actions");
    hasher.update(&Op::File(actions.to_vec()).canonical());
    let mut directories = 0;
    for input in inputs {
        let place = match input {
            FileInput::Context(scan) => scan.place(),
            FileInput::Snapshot(_) => None,
        };
        directories += usize::from(place.is_some());
        let bytes = place.map_or(&[][..], |place| place.as_os_str().as_bytes());
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }
    (directories > 0).then(|| *hasher.finalize().as_bytes())
}
