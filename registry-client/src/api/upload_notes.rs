//! Notes of uploads under way, one small file each, so that another process can go on with them. They are
//! hints: what they say is asked of the registry first, and one that is lost costs a new upload.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use oci::Digest;
use reqwest::Url;

use super::upload::{Session, Upload};

/// A note that is longer is none of ours.
const LONGEST: u64 = 16 << 10;

/// The place for one upload's note; nowhere, where none are taken.
pub(super) struct Note(Option<PathBuf>);

impl Note {
    pub(super) fn of(folder: Option<&Path>, upload: &Upload<'_>) -> Self {
        let name = format!("{}/{} {}", upload.endpoint.host, upload.endpoint.path, upload.descriptor.digest);
        Self(folder.map(|folder| folder.join(format!("upload-{}", Digest::sha256(name).hex()))))
    }

    /// The session's URL as an earlier process noted it.
    pub(super) fn read(&self) -> Option<Url> {
        let path = self.0.as_ref()?;
        let metadata = std::fs::symlink_metadata(path).ok()?;
        if !metadata.is_file() || metadata.len() > LONGEST {
            return None;
        }
        Url::parse(std::fs::read_to_string(path).ok()?.trim()).ok()
    }

    /// Notes a session, for its owner's eyes only: its URL may be all it takes to write to it.
    pub(super) fn write(&self, session: &Session) {
        let Some(path) = &self.0 else { return };
        if let Some(folder) = path.parent() {
            // where it cannot be made, writing fails
            let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        }
        let fresh = path.with_extension(format!("{:08x}", rand::random::<u32>()));
        let mut options = std::fs::OpenOptions::new();
        let written = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .and_then(|mut file| file.write_all(session.url.as_str().as_bytes()))
            .and_then(|()| std::fs::rename(&fresh, path));
        if written.is_err() {
            // without a note the upload goes on all the same
            let _ = std::fs::remove_file(&fresh);
        }
    }

    /// The upload is over.
    pub(super) fn remove(&self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
