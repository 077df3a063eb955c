//! What is exported, and what came of it.

use std::path::PathBuf;

use graph::Target;
use layer_store::Snapshot;
use oci::{Descriptor, Digest, Reference};

use crate::event::StepId;
use crate::request::{BuildRequest, BuiltImage, Output};

/// A target whose tree is there.
#[derive(Clone, Debug)]
pub struct FinishedTarget {
    /// What was asked for; its `root` is not looked at any more.
    pub target: Target,
    /// Its layers; the first ones are those of its base image.
    pub snapshot: Snapshot,
}

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
    /// Write a JSON description here.
    pub metadata_file: Option<PathBuf>,
    /// Which step the events belong to.
    pub step: StepId,
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
            metadata_file: request.metadata_file.clone(),
            step,
        }
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
}
