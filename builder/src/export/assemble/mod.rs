//! From layers and a config to the documents of an image. Pure.

mod documents;

use oci::{Compression, Descriptor, DiffId, History, ImageConfig, MediaType, Platform};

use crate::request::Output;
pub use documents::{AssembledImage, Style, image, image_with, index};

/// One layer as an image refers to it.
#[derive(Clone, Debug)]
pub struct LayerEntry {
    /// Digest of its tar.
    pub diff_id: DiffId,
    /// Its blob.
    pub blob: Descriptor,
}

/// Which family of media types a manifest speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// OCI's.
    Oci,
    /// Docker's.
    Docker,
}

impl Family {
    /// The one an output asks for.
    pub fn of(output: &Output) -> Self {
        match output.oci_media_types {
            true => Self::Oci,
            false => Self::Docker,
        }
    }

    /// A media type in this family.
    pub fn convert(self, media_type: &MediaType) -> MediaType {
        match self {
            Family::Oci => media_type.to_oci(),
            Family::Docker => media_type.to_docker(),
        }
    }

    /// Media type of a layer.
    pub fn layer(self, compression: Compression) -> MediaType {
        self.convert(&MediaType::OciLayer(compression))
    }
}

/// Times of what this build made, as RFC 3339 has them.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// The time that was asked for, for everything.
    pub epoch: Option<String>,
    /// When the new layers were made, bottom first.
    pub layers: Vec<Option<String>>,
}

/// Which parts of an image come from its base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BasePart {
    /// How many history entries.
    pub history: usize,
    /// How many layers.
    pub layers: usize,
}

/// The config of the finished image.
///
/// Afterwards the history entries that stand for a layer are as many as the layers. Times come from
/// layers, not from the clock, so that a build of which everything was found in the cache makes the
/// same image again.
pub fn finish_config(
    mut config: ImageConfig,
    base: BasePart,
    diff_ids: Vec<DiffId>,
    platform: &Platform,
    times: &Times,
) -> ImageConfig {
    let own = config.history.split_off(base.history.min(config.history.len()));
    let of_base = base.layers.min(diff_ids.len());
    let mut history = match_layers(config.history, of_base);
    let own_from = history.len();
    history.extend(match_layers(own, diff_ids.len() - of_base));
    let adds_something = history.len() > own_from;
    match &times.epoch {
        Some(epoch) => history[own_from..].iter_mut().for_each(|entry| entry.created = Some(epoch.clone())),
        None => {
            stamp_layers(&mut history[own_from..], &times.layers);
            fill_times(&mut history);
        }
    }
    let last = history.iter().rev().find_map(|entry| entry.created.clone());
    config.created = times.epoch.clone().filter(|_| adds_something).or(last).or(config.created);
    config.history = history;
    config.rootfs.diff_ids = diff_ids;
    fill_platform(&mut config, platform);
    config
}

/// Makes entries that stand for a layer as many as there are layers.
fn match_layers(mut entries: Vec<History>, layers: usize) -> Vec<History> {
    let mut standing = entries.iter().filter(|entry| !entry.empty_layer).count();
    if standing > layers {
        // Nobody can say which of them are wrong.
        entries.iter_mut().for_each(|entry| entry.empty_layer = true);
        standing = 0;
    }
    for _ in standing..layers {
        entries.push(History {
            comment: Some("layer without a history entry".to_owned()),
            ..History::default()
        });
    }
    entries
}

/// Entries that stand for a layer get its time.
fn stamp_layers(entries: &mut [History], times: &[Option<String>]) {
    let standing = entries.iter_mut().filter(|entry| !entry.empty_layer);
    for (entry, time) in standing.zip(times) {
        if entry.created.is_none() {
            entry.created.clone_from(time);
        }
    }
}

/// Entries without a time get that of the entry before; the first of them that of the next entry
/// with one, if there is any: else it would look as old as the base.
fn fill_times(history: &mut [History]) {
    let Some(first_gap) = history.iter().position(|entry| entry.created.is_none()) else { return };
    let after = history[first_gap..].iter().find_map(|entry| entry.created.clone());
    let before = history[..first_gap].iter().rev().find_map(|entry| entry.created.clone());
    let mut time = after.or(before);
    for entry in &mut history[first_gap..] {
        match &entry.created {
            Some(own) => time = Some(own.clone()),
            None => entry.created.clone_from(&time),
        }
    }
}

fn fill_platform(config: &mut ImageConfig, platform: &Platform) {
    if config.architecture.is_empty() {
        config.architecture.clone_from(&platform.architecture);
        config.variant.clone_from(&platform.variant);
    }
    if config.os.is_empty() {
        config.os.clone_from(&platform.os);
    }
}

#[cfg(test)]
mod tests;
