//! Digests of files of a layer that were known when it was written: neither its content id nor the next layer of
//! its kind needs those files read.
//!
//! They lie in `contents` beside the layer's files. What they say is never more than a hint for what is read
//! otherwise; `store check` reads the files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::{LayerId, Store, disk};

/// The name of the document beside a layer's files.
pub(crate) const DOCUMENT: &str = "contents";

/// BLAKE3 digests of the contents of files, by their paths in a layer. Not all files need be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownContents(BTreeMap<PathBuf, [u8; 32]>);

impl KnownContents {
    /// The digest of a file's content.
    pub fn get(&self, path: &Path) -> Option<&[u8; 32]> {
        self.0.get(path)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn insert(&mut self, path: PathBuf, digest: [u8; 32]) {
        self.0.insert(path, digest);
    }

    /// Forgets a path and all below it.
    pub(crate) fn forget(&mut self, path: &Path) {
        if !self.0.is_empty() {
            crate::tree::forget_below(&mut self.0, path);
        }
    }

    /// For each file its path, a zero, and the digest.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (path, digest) in &self.0 {
            bytes.extend_from_slice(path.as_os_str().as_bytes());
            bytes.push(0);
            bytes.extend_from_slice(digest);
        }
        bytes
    }

    /// What is left of a damaged document is nothing.
    fn read(mut bytes: &[u8]) -> Option<Self> {
        let mut known = BTreeMap::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == 0)?;
            let (path, rest) = bytes.split_at(end);
            let (digest, rest) = rest[1..].split_first_chunk()?;
            known.insert(PathBuf::from(OsString::from_vec(path.to_vec())), *digest);
            bytes = rest;
        }
        Some(Self(known))
    }
}

impl Store {
    /// What is known of the contents of a layer's files.
    pub fn known_contents(&self, id: &LayerId) -> Result<KnownContents> {
        let bytes = disk::read(&self.layer_path(id).join(DOCUMENT))?;
        Ok(bytes.and_then(|bytes| KnownContents::read(&bytes)).unwrap_or_default())
    }
}
