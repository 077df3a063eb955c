//! The documents of one output.

use std::collections::BTreeMap;
use std::sync::Arc;

use oci::{Descriptor, Document, Index, Platform, Reference};

use super::assemble::{self, AssembledImage, BasePart, Family, Style, Times, finish_config};
use super::attested::{Attest, of_images};
use super::error::ExportError;
use super::layers::{Based, Form, entries};
use super::stamp;
use crate::Session;
use crate::attest::AttestationManifest;
use crate::request::{AnnotationPlace, AttestationForm, AttestationPlace, Output};

/// The images of one output, and the index over them where there is one.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// One for each platform, never none.
    pub images: Vec<AssembledImage>,
    /// The index.
    pub index: Option<Document<Index>>,
    /// Annotations of its descriptor.
    pub annotations: BTreeMap<String, String>,
    /// Attestations: named by the index, else manifests that refer to the image.
    pub attestations: Vec<AttestationManifest>,
}

impl Made {
    /// The index, else the manifest of the one image; annotated.
    pub(crate) fn descriptor(&self) -> Descriptor {
        match (&self.index, self.images.first()) {
            (Some(index), _) => {
                Descriptor { annotations: self.annotations.clone(), ..index.descriptor().clone() }
            }
            (None, Some(image)) => image.descriptor(),
            (None, None) => unreachable!("an output has at least one image"),
        }
    }

    /// Attestations that no index names.
    pub(crate) fn referrers(&self) -> &[AttestationManifest] {
        match self.index {
            Some(_) => &[],
            None => &self.attestations,
        }
    }
}

/// Packs layers and writes the documents of an output.
pub(super) async fn make(
    session: &Session,
    output: &Output,
    targets: &[Based],
    request_epoch: Option<i64>,
    force_index: bool,
    (attest, names): (Option<&Arc<Attest>>, &[Reference]),
) -> Result<Made, ExportError> {
    let mut images = Vec::with_capacity(targets.len());
    let family = Family::of(output);
    let style = Style { family, annotations: &output.annotations, foreign_layers: output.foreign_layers };
    for based in targets {
        let epoch = based.finished.epoch(output, request_epoch);
        let form = Form::of(output, epoch)?;
        let entries = entries(session, based, form).await?;
        let diff_ids = entries.iter().map(|entry| entry.diff_id.clone()).collect();
        let config = config(based, diff_ids, &times(session, based, epoch)?);
        images.push(assemble::image(&based.finished.target.platform, config, entries, &style));
    }
    let inline = output.attestation_place == AttestationPlace::Index && attest.is_some();
    let with_index = force_index || images.len() > 1 || inline;
    let form = if with_index { output.attestation_form } else { AttestationForm::Artifact };
    let attestations = match attest {
        Some(attest) => {
            let made = targets.iter().zip(&images);
            of_images(session, attest, (output, request_epoch), made, names, form).await?
        }
        None => Vec::new(),
    };
    let entries: Vec<Descriptor> = attestations.iter().map(|one| one.entry.clone()).collect();
    let index = with_index.then(|| assemble::index(&images, &entries, &style));
    let annotations = style.annotations(AnnotationPlace::IndexDescriptor, None);
    Ok(Made { images, index, annotations, attestations })
}

/// Times of what this build made. A layer is as old as its directory in the store where it was made.
pub(super) fn times(session: &Session, based: &Based, epoch: Option<i64>) -> Result<Times, ExportError> {
    let made = |id: &layer_store::LayerId| {
        let remote = based.remote.get(id).and_then(|layer| layer.packed.made);
        stamp::text(remote.or_else(|| session.store.made(id))?).ok()
    };
    let now = stamp::text(stamp::now())?;
    let own = based.finished.snapshot.0.iter().skip(based.base_layers());
    Ok(Times {
        epoch: epoch.map(stamp::text).transpose()?,
        layers: own.map(|id| made(id).or_else(|| Some(now.clone()))).collect(),
    })
}

/// A target's config with its layers.
pub(super) fn config(based: &Based, diff_ids: Vec<oci::DiffId>, times: &Times) -> oci::ImageConfig {
    let target = &based.finished.target;
    let base = BasePart { history: target.base_history, layers: based.base_layers() };
    finish_config(target.config.clone(), base, diff_ids, &target.platform, times)
}

/// Directory of a platform's files where an output has several: `linux_amd64`.
pub(super) fn platform_directory(platform: &Platform) -> String {
    platform.to_string().replace('/', "_")
}
