//! Which blob stands for which layer.

use std::path::Path;

use futures::{StreamExt, TryStreamExt};
use graph::Target;
use layer_store::{ArchiveTimes, LayerId, Lease, Packing, Snapshot, StoredVariant};
use oci::{Compression, Descriptor, DiffId, ImageConfig};

use super::assemble::{Family, LayerEntry};
use super::error::{ExportError, compression_name};
use super::estargz;
use super::made::Made;
use super::recompress::recompress;
use super::request::{FinishedTarget, RemoteLayer, RemoteLayers};
use crate::Session;
use crate::event::StepId;
use crate::image::{BaseImage, base_image, ensure_blob};
use crate::request::{CompressionChoice, LayerIndex, Output, Rewrite};
use crate::worker::{Permit, Permits, blocking};

/// How the layers of one output are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub family: Family,
    pub compression: CompressionChoice,
    /// The times in new layers.
    pub times: ArchiveTimes,
}

impl Form {
    /// The form an output asks for.
    pub fn of(output: &Output, epoch: Option<i64>) -> Result<Self, ExportError> {
        let family = Family::of(output);
        if family == Family::Docker && output.compression.index == LayerIndex::Estargz {
            return Err(ExportError::NoDockerForm { compression: "estargz" });
        }
        match (family, output.compression.form) {
            (Family::Docker, Compression::Zstd) => {
                Err(ExportError::NoDockerForm { compression: compression_name(Compression::Zstd) })
            }
            (Family::Oci, _) | (Family::Docker, Compression::None | Compression::Gzip) => Ok(Self {
                family,
                compression: output.compression,
                times: match (output.rewrite, epoch) {
                    (Rewrite::No, _) | (_, None) => ArchiveTimes::Kept,
                    (Rewrite::NotAfter, Some(epoch)) => ArchiveTimes::NotAfter(epoch),
                    (Rewrite::Exactly, Some(epoch)) => ArchiveTimes::Exactly(epoch),
                },
            }),
        }
    }

    /// For layers of steps.
    pub fn packing_of_steps(&self) -> Packing {
        self.packing(false)
    }

    fn packing(&self, of_base: bool) -> Packing {
        Packing {
            compression: self.compression.form,
            level: self.compression.level,
            times: match of_base {
                true => ArchiveTimes::Kept,
                false => self.times,
            },
        }
    }
}

/// A target with what is known of its base.
#[derive(Clone, Debug)]
pub(super) struct Based {
    pub finished: FinishedTarget,
    pub base: Option<BaseImage>,
    /// Its layers that are not in the store.
    pub remote: RemoteLayers,
}

impl Based {
    /// Looks the base up.
    pub async fn find(
        session: &Session,
        finished: FinishedTarget,
        remote: RemoteLayers,
    ) -> Result<Self, ExportError> {
        let Some((reference, manifest)) = &finished.target.base else {
            return Ok(Self { finished, base: None, remote });
        };
        let base = base_image(session, reference, manifest).await?;
        let (layers, of_base) = (finished.snapshot.0.len(), base.diff_ids.len());
        if layers < of_base {
            return Err(ExportError::BaseLayers { reference: reference.clone(), layers, base: of_base });
        }
        Ok(Self { finished, base: Some(base), remote })
    }

    /// An image of the store, all of whose layers have a diff id already.
    pub fn of_stored(variant: &StoredVariant, config: &ImageConfig) -> Self {
        let target = Target {
            platform: variant.platform.clone(),
            root: None,
            config: config.clone(),
            base_history: config.history.len(),
            base: None,
            epoch: None,
            scans: Vec::new(),
        };
        Self {
            finished: FinishedTarget {
                target,
                snapshot: variant.snapshot.clone(),
                scans: Vec::new(),
                generated: None,
            },
            base: Some(BaseImage { diff_ids: config.rootfs.diff_ids.clone(), layers: None }),
            remote: RemoteLayers::new(),
        }
    }

    /// How many layers are the base's.
    pub fn base_layers(&self) -> usize {
        self.base.as_ref().map_or(0, |base| base.diff_ids.len())
    }

    fn places(&self) -> Vec<Place> {
        let mut below = Snapshot::default();
        let mut places = Vec::new();
        for (position, id) in self.finished.snapshot.0.iter().enumerate() {
            let expected = self.base.as_ref().and_then(|base| base.diff_ids.get(position)).cloned();
            let blobs = self.base.as_ref().and_then(|base| base.layers.as_ref());
            let blob = blobs.and_then(|blobs| blobs.get(position)).cloned();
            let remote = self.remote.get(id).cloned();
            places.push(Place { id: id.clone(), below: below.clone(), expected, blob, remote });
            below = below.with(id.clone());
        }
        places
    }
}

/// One layer in its place.
#[derive(Clone, Debug)]
struct Place {
    id: LayerId,
    below: Snapshot,
    /// Diff id, where the base's config says it.
    expected: Option<DiffId>,
    /// The base's own blob.
    blob: Option<Descriptor>,
    /// Where it is, if it is not in the store.
    remote: Option<RemoteLayer>,
}

/// Diff ids of all layers, without packing anything.
pub(super) async fn diff_ids(session: &Session, based: &Based) -> Result<Vec<DiffId>, ExportError> {
    let permits = Permits::new(session.jobs);
    futures::stream::iter(based.places())
        .map(|place| {
            let (lease, permits) = (session.lease.clone(), permits.clone());
            async move {
                match (place.expected, place.remote) {
                    (Some(diff_id), _) => Ok(diff_id),
                    (None, Some(remote)) => Ok(remote.packed.diff_id),
                    (None, None) => {
                        Ok(blocking(permits.acquire().await, move || lease.diff_id(&place.id)).await?)
                    }
                }
            }
        })
        .buffered(session.jobs.max(1))
        .try_collect()
        .await
}

/// Diff id and blob of all layers; new ones are packed, several at once.
///
/// Blobs of the base are named, not fetched: [`ensure_base_blobs`] does that where they are needed.
pub(super) async fn entries(
    session: &Session,
    based: &Based,
    form: Form,
) -> Result<Vec<LayerEntry>, ExportError> {
    let permits = Permits::new(session.jobs);
    futures::stream::iter(based.places())
        .map(|place| {
            let permits = permits.clone();
            async move { entry(session, place, form, permits).await }
        })
        .buffered(session.jobs.max(1))
        .try_collect()
        .await
}

async fn entry(
    session: &Session,
    place: Place,
    form: Form,
    permits: Permits,
) -> Result<LayerEntry, ExportError> {
    if let (Some(diff_id), Some(blob)) = (&place.expected, &place.blob)
        && !must_change(blob, form)
    {
        return Ok(LayerEntry { diff_id: diff_id.clone(), blob: blob.clone() });
    }
    if let Some(remote) = place.remote {
        return Ok(LayerEntry { diff_id: remote.packed.diff_id, blob: remote.packed.blob });
    }
    let lease = session.lease.clone();
    blocking(permits.acquire().await, move || packed(&lease, &place, form)).await
}

/// Whether a base's blob cannot be taken as it is.
fn must_change(blob: &Descriptor, form: Form) -> bool {
    let now = blob.media_type.compression();
    match form.family {
        _ if form.compression.force => now != Some(form.compression.form),
        Family::Oci => false,
        Family::Docker => now == Some(Compression::Zstd),
    }
}

fn packed(lease: &Lease, place: &Place, form: Form) -> Result<LayerEntry, ExportError> {
    let of_base = place.expected.is_some();
    if of_base && let Some(entry) = from_known_blob(lease, place, form)? {
        return Ok(entry);
    }
    if !of_base && form.compression.index == LayerIndex::Estargz {
        return estargz::pack(lease, (&place.id, &place.below), &form.packing(false));
    }
    let packed = lease.pack(&place.id, &place.below, &form.packing(of_base))?;
    if let Some(expected) = &place.expected
        && *expected != packed.diff_id
    {
        return Err(ExportError::DiffId { expected: expected.clone(), actual: packed.diff_id });
    }
    let blob = Descriptor::new(form.family.layer(packed.compression), packed.digest, packed.size);
    Ok(LayerEntry { diff_id: packed.diff_id, blob })
}

/// A layer of a base must keep its diff id, which packing its directory anew does not promise: so
/// its own blob is taken, or compressed anew.
fn from_known_blob(lease: &Lease, place: &Place, form: Form) -> Result<Option<LayerEntry>, ExportError> {
    let Some(diff_id) = place.expected.clone() else { return Ok(None) };
    let known: Vec<Descriptor> = place.blob.iter().cloned().chain(lease.known_blobs(&place.id)?).collect();
    let mut here = known
        .into_iter()
        .filter(|blob| lease.store().has_blob(blob) && blob.media_type.compression().is_some());
    let Some(blob) = here.clone().find(|blob| !must_change(blob, form)).or_else(|| here.next()) else {
        return Ok(None);
    };
    if !must_change(&blob, form) {
        return Ok(Some(LayerEntry { diff_id, blob }));
    }
    let how = form.packing(true);
    let compression = match (form.family, how.compression) {
        (Family::Docker, Compression::Zstd) => Compression::Gzip,
        (Family::Oci | Family::Docker, other) => other,
    };
    let (digest, size) = recompress(lease, &blob, compression, how.level)
        .map_err(|source| ExportError::io(Path::new(&blob.digest.to_string()), source))?;
    let blob = Descriptor::new(form.family.layer(compression), digest, size);
    lease.adopt_blob(&place.id, &blob)?;
    Ok(Some(LayerEntry { diff_id, blob }))
}

/// Fetches blobs of bases that are not in the store, for outputs that contain them.
pub(super) async fn ensure_base_blobs_of(
    session: &Session,
    targets: &[Based],
    made: &Made,
    step: StepId,
) -> Result<(), ExportError> {
    for (based, image) in targets.iter().zip(&made.images) {
        let Some((reference, _)) = &based.finished.target.base else { continue };
        let blobs = image.manifest.parsed().layers.iter().take(based.base_layers());
        let fetches: Vec<_> =
            blobs.map(|blob| ensure_blob(session, reference.repository(), blob, step)).collect();
        futures::stream::iter(fetches).buffered(4).try_collect::<()>().await?;
    }
    Ok(())
}

/// A permit for work that is not counted.
pub(super) fn free() -> Permit {
    Permit::free()
}
