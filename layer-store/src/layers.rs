//! Layers on disk: their documents, their marks, and how they get their names.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci::{ChainId, Descriptor, DiffId, Digest};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::disk::{Durable, Named, give_name, read_json, replace, to_json};
use crate::error::{At, Result, StoreError};
use crate::lease::Holding;
use crate::lock::{Hold, Lock};
use crate::seal::MARK;
use crate::truth::{Aside, read_aside, write_aside};
use crate::{ContentId, LayerId, Lease, Packing, Snapshot, Store};

/// Where a layer comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// From an image's archive.
    Image,
    /// From a step of a build.
    #[default]
    Step,
}

/// A layer that was packed once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Memo {
    pub(crate) packing: Packing,
    pub(crate) diff_id: DiffId,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// For layers with opaque directories: what lay below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) below: Option<Snapshot>,
}

/// How many of a layer's files have their digest in `contents`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Known {
    /// Some, or none.
    #[default]
    Part,
    /// All: of a file with several names, under one of them.
    All,
}

impl Known {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde takes")]
    fn is_part(&self) -> bool {
        *self == Self::Part
    }
}

/// `meta.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Meta {
    pub(crate) format: u64,
    pub(crate) origin: Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) diff_id: Option<DiffId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_id: Option<ContentId>,
    /// For layers with opaque directories: what they hide, and thus what their archive must delete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hides: Option<Snapshot>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) packed: Vec<Memo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) blobs: Vec<Descriptor>,
    /// Whether `contents` has the digest of every file.
    #[serde(skip_serializing_if = "Known::is_part")]
    pub(crate) known: Known,
    /// For layers of another store: when they were made there, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) made: Option<i64>,
}

/// A layer that is here and whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name.
    pub id: LayerId,
    /// Where it comes from.
    pub origin: Origin,
    /// The digest of its archive, where known.
    pub diff_id: Option<DiffId>,
    /// The digest of its changes, where known.
    pub content_id: Option<ContentId>,
}

impl Store {
    /// Looks a layer up. `None`: it is absent, damaged, or from a boot that ended before it was synced and not
    /// proven to be whole ([`Store::settle`]).
    pub fn layer(&self, id: &LayerId) -> Result<Option<Layer>> {
        let Some(meta) = self.meta(id)? else { return Ok(None) };
        Ok(Some(Layer {
            id: id.clone(),
            origin: meta.origin,
            diff_id: meta.diff_id,
            content_id: meta.content_id,
        }))
    }

    /// Looks a layer of an image up by the names it may have.
    pub fn find_layer(&self, diff: &DiffId, chain: &ChainId) -> Result<Option<LayerId>> {
        for id in [LayerId::from_diff(diff), LayerId::from_chain(chain)] {
            if self.meta(&id)?.is_some() {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// The directory of a layer, for use as an overlay lower directory.
    pub fn layer_dir(&self, id: &LayerId) -> PathBuf {
        self.layer_path(id).join("fs")
    }

    pub(crate) fn meta(&self, id: &LayerId) -> Result<Option<Meta>> {
        match usable(&self.layer_path(id), &self.0.boot)? {
            Usable::Yes(meta) => Ok(Some(meta)),
            Usable::IfProven(meta) => self.prove(id, meta),
            Usable::No => Ok(None),
        }
    }

    pub(crate) fn present_meta(&self, id: &LayerId) -> Result<Meta> {
        self.meta(id)?.ok_or_else(|| StoreError::AbsentLayer { id: id.clone() })
    }

    /// Changes a layer's document; processes that do so at once follow one another.
    pub(crate) fn update_meta(&self, id: &LayerId, change: &mut dyn FnMut(&mut Meta)) -> Result<()> {
        let dir = self.layer_path(id);
        let lock = File::open(&dir).at(&dir)?;
        while let Err(error) = flock(&lock, FlockOperation::LockExclusive) {
            if error != rustix::io::Errno::INTR {
                return Err(error).at(&dir);
            }
        }
        let mut meta = self.present_meta(id)?;
        let before = meta.clone();
        change(&mut meta);
        if meta == before {
            return Ok(());
        }
        let path = dir.join("meta.json");
        let scratch = self.at("tmp").join(format!("file-{}", crate::ids::random_hex()));
        replace(&path, &scratch, &to_json(&path, &meta)?, Durable::No)
    }

    pub(crate) fn aside(&self, id: &LayerId) -> Result<Arc<Aside>> {
        let path = self.layer_path(id).join("attrs");
        match std::fs::read(&path) {
            Ok(text) => {
                let aside = read_aside(&text).ok_or_else(|| StoreError::AbsentLayer { id: id.clone() })?;
                Ok(Arc::new(aside))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Arc::default()),
            Err(error) => Err(error).at(&path),
        }
    }
}

/// Whether a layer may be used in this boot.
enum Usable {
    Yes(Meta),
    /// If its files are those that its document tells of: it was not synced, and another boot made it.
    IfProven(Meta),
    No,
}

/// Reads the document of a layer directory.
fn usable(dir: &Path, boot: &str) -> Result<Usable> {
    let wrap = match std::fs::read_to_string(dir.join(MARK)) {
        Ok(mark) if mark != boot => Usable::IfProven,
        Ok(_) => Usable::Yes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Usable::Yes,
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Usable::IfProven,
        Err(error) => return Err(error).at(dir),
    };
    let meta = match read_json::<Meta>(&dir.join("meta.json")) {
        Ok(Some(meta)) if meta.format == 1 => meta,
        Ok(_) | Err(StoreError::Json { .. }) => return Ok(Usable::No),
        Err(error) => return Err(error),
    };
    let whole = std::fs::symlink_metadata(dir.join("fs")).is_ok_and(|metadata| metadata.is_dir());
    Ok(if whole { wrap(meta) } else { Usable::No })
}

impl Lease {
    /// Looks a layer up, and says that it is in use. Where that was news it is looked up again: a
    /// collection may have been faster.
    pub fn layer(&self, id: &LayerId) -> Result<Option<Layer>> {
        let found = self.store().layer(id)?;
        match found.is_some() && self.take_hold(id)? == Holding::News {
            true => self.store().layer(id),
            false => Ok(found),
        }
    }

    /// Looks a layer of an image up, as [`Lease::layer`] does a layer by its name.
    pub fn find_layer(&self, diff: &DiffId, chain: &ChainId) -> Result<Option<LayerId>> {
        let Some(id) = self.store().find_layer(diff, chain)? else { return Ok(None) };
        match self.take_hold(&id)? {
            Holding::Already => Ok(Some(id)),
            Holding::News => self.store().find_layer(diff, chain),
        }
    }

    /// Writes the documents of an unfinished layer and gives it its name.
    /// Where somebody was faster, theirs is used and ours vanishes.
    pub(crate) fn publish(&self, dir: &Path, id: &LayerId, meta: &Meta, aside: &Aside) -> Result<()> {
        let store = self.store();
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.join(name);
            std::fs::write(&path, bytes).at(&path)
        };
        write("meta.json", &to_json(dir, &Meta { format: 1, ..meta.clone() })?)?;
        write(MARK, store.0.boot.as_bytes())?;
        if !aside.is_empty() {
            let text =
                write_aside(aside).map_err(|source| StoreError::Json { path: dir.join("attrs"), source })?;
            write("attrs", &text)?;
        }
        self.hold(id)?;
        let target = store.layer_path(id);
        while give_name(dir, &target)? == Named::Theirs {
            if store.meta(id)?.is_some() {
                return store.discard(dir);
            }
            let repairing = Lock::take(&store.at("locks/repair"), Hold::Exclusive)?;
            if store.meta(id)?.is_none() {
                store.discard(&target)?;
            }
            drop(repairing);
        }
        Ok(())
    }

    /// Remembers that a blob, pulled from elsewhere, is that layer packed.
    pub fn adopt_blob(&self, id: &LayerId, blob: &Descriptor) -> Result<()> {
        self.store().update_meta(id, &mut |meta| {
            if !meta.blobs.iter().any(|known| known.digest == blob.digest) {
                meta.blobs.push(blob.clone());
            }
        })
    }

    /// The blobs known to be that layer packed, pulled or made here. They need not be in the store.
    pub fn known_blobs(&self, id: &LayerId) -> Result<Vec<Descriptor>> {
        let meta = self.store().present_meta(id)?;
        let made = meta.packed.iter().filter(|memo| meta.diff_id.as_ref() == Some(&memo.diff_id));
        let made = made.map(|memo| {
            let media_type = oci::MediaType::OciLayer(memo.packing.compression);
            Descriptor::new(media_type, memo.digest.clone(), memo.size)
        });
        let mut blobs = meta.blobs.clone();
        for blob in made {
            if !blobs.iter().any(|known| known.digest == blob.digest) {
                blobs.push(blob);
            }
        }
        Ok(blobs)
    }
}
