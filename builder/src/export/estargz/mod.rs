//! Layers that can be read in parts: eStargz, a gzip layer of many members with an index.
//!
//! - `entry`: an entry of the archive, from its headers;
//! - `index`: what is said of each entry and chunk, as JSON;
//! - `writer`: cuts an archive into members while it passes.
//!
//! Each chunk of a file is a member of its own, and so is what lies between files. The index is the last file of the
//! archive, `stargz.index.json`, and a last empty member says where it begins. All members together are the layer, so
//! that the index belongs to what the diff ID is of. Nothing is prefetched: there is no landmark file, as with BuildKit.

mod entry;
mod index;
mod writer;

use std::io::{self, BufWriter};
use std::path::Path;

use layer_store::{LayerId, Lease, Packing, Snapshot};
use oci::{Compression, Descriptor, MediaType};

use super::assemble::LayerEntry;
use super::error::ExportError;
use writer::EstargzWriter;

/// The annotation with the digest of the index.
const INDEX_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
/// The annotation with the size of the archive.
const ARCHIVE_SIZE: &str = "io.containers.estargz.uncompressed-size";

/// Packs a layer into a blob of the store. Its diff ID is another one than without the index.
pub(super) fn pack(
    lease: &Lease,
    (id, below): (&LayerId, &Snapshot),
    how: &Packing,
) -> Result<LayerEntry, ExportError> {
    let failed = |source: io::Error| ExportError::io(Path::new(&id.to_string()), source);
    let sink = BufWriter::with_capacity(256 << 10, lease.blob()?);
    let mut writer = EstargzWriter::new(sink, how.level);
    lease.pack_into(id, below, &Packing { times: how.times, ..Packing::PLAIN }, &mut writer)?;
    let made = writer.finish().map_err(failed)?;
    let blob = made.to.into_inner().map_err(|error| failed(error.into_error()))?;
    let (digest, size) = blob.commit()?;
    let mut blob = Descriptor::new(MediaType::OciLayer(Compression::Gzip), digest, size);
    blob.annotations.insert(INDEX_DIGEST.to_owned(), made.index.to_string());
    blob.annotations.insert(ARCHIVE_SIZE.to_owned(), made.archive_size.to_string());
    Ok(LayerEntry { diff_id: made.diff_id, blob })
}
