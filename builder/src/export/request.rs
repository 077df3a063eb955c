//! What is exported, and what came of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use graph::Target;
use layer_store::{LayerId, PackedLayer, Snapshot};
use oci::{Compression, Descriptor, Digest, Reference, Repository};

use super::attested::Attest;
use super::early::SentBlobs;
use crate::event::StepId;
use crate::request::{BuildRequest, BuiltImage, Keep, Output, OutputKind, Push, Rewrite};

/// A target whose tree is there.
#[derive(Clone, Debug)]
pub struct FinishedTarget {
    /// What was asked for; its `root` is not looked at any more.
    pub target: Target,
    /// Its layers; the first ones are those of its base image.
    pub snapshot: Snapshot,
    /// Trees whose software is listed beside its own, by name.
    pub scans: Vec<(String, Snapshot)>,
    /// The tree of a generator that listed their software.
    pub generated: Option<Snapshot>,
}

impl FinishedTarget {
    /// The epoch that holds for it in an output: the output's own, else the target's, else the request's.
    pub(super) fn epoch(&self, output: &Output, request: Option<i64>) -> Option<i64> {
        output.source_date_epoch.or(self.target.epoch).or(request)
    }
}

/// A layer that is not in the store and that a registry has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteLayer {
    /// What it is there.
    pub packed: PackedLayer,
    /// Where.
    pub repository: Repository,
}

/// Layers that are not in the store, by name.
pub type RemoteLayers = BTreeMap<LayerId, RemoteLayer>;

/// Everything an export needs.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// What to make.
    pub outputs: Vec<Output>,
    /// Names for outputs that have none of their own.
    pub tags: Vec<Reference>,
    /// One target for each platform.
    pub targets: Vec<FinishedTarget>,
    /// The index form even for a single platform.
    pub force_index: bool,
    /// Time for everything made, in seconds since 1970, where neither output nor target have one.
    pub source_date_epoch: Option<i64>,
    /// Write the image id here.
    pub iidfile: Option<PathBuf>,
    /// What is attested, where anything is.
    pub attest: Option<Arc<Attest>>,
    /// Which step the events belong to.
    pub step: StepId,
    /// Layers of the targets that are not in the store; only outputs that [`takes_remote`] can be made then.
    pub remote: RemoteLayers,
    /// Repositories that may have blobs of the layers already.
    pub beside: Vec<Repository>,
    /// Blobs that repositories got while steps ran.
    pub sent: SentBlobs,
}

impl ExportRequest {
    /// What a build's request asks for, once its targets are finished.
    pub fn of(request: &BuildRequest, targets: Vec<FinishedTarget>, step: StepId) -> Self {
        Self {
            outputs: request.outputs.clone(),
            tags: request.tags.clone(),
            targets,
            force_index: request.force_index,
            source_date_epoch: request.source_date_epoch,
            iidfile: request.iidfile.clone(),
            attest: None,
            step,
            remote: RemoteLayers::new(),
            beside: Vec::new(),
            sent: SentBlobs::default(),
        }
    }
}

/// Whether an output needs of a layer no more than that a registry has it.
pub fn takes_remote(output: &Output, layer: &PackedLayer) -> bool {
    let compression = layer.blob.media_type.compression();
    match &output.kind {
        OutputKind::Image(image) => {
            let handed_on = image.push != Push::No && image.store == Keep::No;
            let fits = !output.compression.force || compression == Some(output.compression.form);
            let spoken = output.oci_media_types || compression != Some(Compression::Zstd);
            handed_on && fits && spoken && output.rewrite == Rewrite::No
        }
        OutputKind::CacheOnly => true,
        OutputKind::Oci(..)
        | OutputKind::Docker(_)
        | OutputKind::Load(_)
        | OutputKind::Local(..)
        | OutputKind::Tar(..) => false,
    }
}

/// What came of an export.
#[derive(Clone, Debug, Default)]
pub struct Exported {
    /// The config digest of the first platform's image; `None` where no image was made.
    pub image_id: Option<Digest>,
    /// The manifest or index, where one was made.
    pub descriptor: Option<Descriptor>,
    /// One for each platform.
    pub images: Vec<BuiltImage>,
    /// Names that were given.
    pub names: Vec<Reference>,
    /// Names under which it was pushed, with what each stands for there.
    pub pushed: Vec<(Reference, Descriptor)>,
}
