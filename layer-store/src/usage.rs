//! How much space the parts of the store take, as `du` counts it.

use std::collections::{BTreeMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{At, Result};
use crate::{LayerId, Store};

/// Bytes on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Each layer's directory. A file that several share counts once, for the first.
    pub layers: BTreeMap<LayerId, u64>,
    /// All blobs.
    pub blobs: u64,
    /// All cache mounts.
    pub mounts: u64,
    /// The journal of builds.
    pub journal: u64,
    /// The whole store, with what is unfinished.
    pub total: u64,
}

impl Store {
    /// Bytes that the file system of the store has left for this process.
    pub fn free_bytes(&self) -> Result<u64> {
        let found = rustix::fs::statvfs(self.root()).at(self.root())?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Measures the store. What vanishes meanwhile counts nothing.
    pub fn usage(&self) -> Result<Usage> {
        let mut seen = HashSet::new();
        let mut usage = self.layers_and_blobs(&Usage::default(), &mut seen);
        usage.mounts = du(&self.at("mounts"), &mut seen);
        usage.journal = du(&self.at("builds"), &mut seen);
        usage.total += usage.mounts + usage.journal + du(self.root(), &mut seen);
        Ok(usage)
    }

    /// What a store that was measured before takes, by a shorter look: layers never change, so only those that came
    /// since are measured, and the blobs. The rest counts as it was.
    pub fn usage_since(&self, known: &Usage) -> Usage {
        let rest = known.total - known.layers.values().sum::<u64>() - known.blobs;
        let mut usage = self.layers_and_blobs(known, &mut HashSet::new());
        usage.total += rest;
        Usage { mounts: known.mounts, journal: known.journal, ..usage }
    }

    /// Measures the layers that are not known, and the blobs.
    fn layers_and_blobs(&self, known: &Usage, seen: &mut HashSet<(u64, u64)>) -> Usage {
        let mut usage = Usage::default();
        let layers = self.at("layers");
        for entry in std::fs::read_dir(&layers).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if let Some(id) = name.to_str().and_then(|name| name.parse::<LayerId>().ok()) {
                let size = known.layers.get(&id).copied();
                usage.layers.insert(id, size.unwrap_or_else(|| du(&entry.path(), seen)));
            }
        }
        usage.blobs = du(&self.at("blobs"), seen);
        usage.total = usage.layers.values().sum::<u64>() + usage.blobs;
        usage
    }
}

/// The blocks of everything below a path that was not seen before.
pub(crate) fn du(top: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let Ok(metadata) = std::fs::symlink_metadata(top) else { return 0 };
    let device = metadata.dev();
    let mut total = 0;
    let mut open = Vec::new();
    let mut measure = |path: PathBuf, metadata: Metadata, open: &mut Vec<std::fs::ReadDir>| {
        let (is_dir, id) = (metadata.is_dir(), (metadata.dev(), metadata.ino()));
        // What is mounted below is elsewhere.
        if is_dir && metadata.dev() != device {
            return;
        }
        // What was measured before is not entered again; the top is what is asked about.
        if (is_dir || metadata.nlink() > 1) && !seen.insert(id) {
            return;
        }
        total += metadata.blocks() * 512;
        if is_dir {
            open.extend(std::fs::read_dir(path));
        }
    };
    measure(top.to_owned(), metadata, &mut open);
    while let Some(directory) = open.last_mut() {
        match directory.next() {
            None => drop(open.pop()),
            Some(Err(_)) => {}
            Some(Ok(entry)) => {
                if let Ok(metadata) = entry.metadata() {
                    measure(entry.path(), metadata, &mut open);
                }
            }
        }
    }
    total
}
