//! Layers that another store made, under the names they have there.
//!
//! The name of a step's layer is random, so that the same name means the same layer in every store. A
//! layer that comes from elsewhere therefore keeps its name, and what records say of it keeps its meaning.

use std::io::Read;

use oci::{Descriptor, DiffId};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::layers::{Memo, Meta, Origin};
use crate::{ContentId, LayerId, Lease, Packing, Snapshot, Store};

/// A layer as another store can have it: what it is packed as, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackedLayer {
    /// The digest of its archive.
    pub diff_id: DiffId,
    /// The archive, packed.
    pub blob: Descriptor,
    /// How that was packed, where it is known exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packing: Option<Packing>,
    /// The digest of its changes, where it is known. Absent for a layer that hides whole directories,
    /// since an archive names what they hide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<ContentId>,
    /// When it was made, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<i64>,
}

impl Store {
    /// When a layer was made, in seconds since 1970: in the store it came from, if it came from one.
    pub fn made(&self, id: &LayerId) -> Option<i64> {
        if let Some(made) = self.meta(id).ok()?.and_then(|meta| meta.made) {
            return Some(made);
        }
        let created = std::fs::metadata(self.layer_dir(id)).and_then(|metadata| metadata.created()).ok()?;
        i64::try_from(created.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs()).ok()
    }
}

impl Lease {
    /// Packs a layer, and says what another store needs to know of it. See [`Lease::pack`].
    pub fn pack_for_others(&self, id: &LayerId, below: &Snapshot, how: &Packing) -> Result<PackedLayer> {
        let packed = self.pack(id, below, how)?;
        let meta = self.store().present_meta(id)?;
        Ok(PackedLayer {
            blob: packed.descriptor(),
            diff_id: packed.diff_id,
            packing: Some(*how),
            content_id: meta.content_id.filter(|_| meta.hides.is_none()),
            made: self.store().made(id),
        })
    }

    /// Unpacks a layer of another store under its own name. The stream is the uncompressed archive; it is
    /// read to its end and compared with the diff ID. An archive that needs what lies below it was not
    /// made from a step's layer and is refused. Does nothing where the layer is here.
    pub fn restore(&self, tar: &mut dyn Read, id: &LayerId, layer: &PackedLayer) -> Result<()> {
        if self.layer(id)?.is_some() {
            return Ok(());
        }
        let memo = layer.packing.map(|packing| Memo {
            packing,
            diff_id: layer.diff_id.clone(),
            digest: layer.blob.digest.clone(),
            size: layer.blob.size,
            below: None,
        });
        let meta = Meta {
            origin: Origin::Step,
            diff_id: Some(layer.diff_id.clone()),
            made: layer.made,
            blobs: vec![layer.blob.clone()],
            packed: memo.into_iter().collect(),
            ..Meta::default()
        };
        self.unpack_named(tar, id, &layer.diff_id, &meta)
    }
}
