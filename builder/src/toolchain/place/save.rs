//! Images of the store as one file: what `docker save` writes, or an OCI layout.

use std::path::PathBuf;

use oci::{Descriptor, Platform, Reference};

use super::content::Content;
use super::error::PlaceError;
use super::files::REF_NAME;
use super::name::Place;
use super::source::Source;
use super::to_archive::{Last, Sink, single, write};
use super::to_layout;
use crate::Session;
use crate::event::StepId;
use crate::export::{docker_manifest_json, named_entry};
use crate::request::CompressionChoice;

/// What images are saved as.
#[derive(Clone, Debug)]
pub enum SaveTarget {
    /// A docker archive, which holds an OCI layout as well. One platform of each image.
    Docker(Sink),
    /// An OCI layout in a tar.
    OciArchive(Sink),
    /// An OCI layout as a new directory.
    OciLayout(PathBuf),
}

/// How images are saved.
#[derive(Clone, Debug, Default)]
pub struct SaveOptions {
    /// One platform; all of them where absent, or this machine's in a docker archive.
    pub platform: Option<Platform>,
    /// How layers are packed that were never packed.
    pub compression: CompressionChoice,
}

struct Saved<'a> {
    name: &'a Reference,
    source: Source,
    content: Content,
}

/// Saves images of the store. The file appears when all of them are in it.
pub async fn save(
    session: &Session,
    names: &[Reference],
    target: &SaveTarget,
    options: &SaveOptions,
    step: StepId,
) -> Result<Vec<Descriptor>, PlaceError> {
    let platform = match (target, &options.platform) {
        (SaveTarget::Docker(_), None) => Some(Platform::host()),
        (SaveTarget::Docker(_) | SaveTarget::OciArchive(_) | SaveTarget::OciLayout(_), platform) => {
            platform.clone()
        }
    };
    let mut images = Vec::with_capacity(names.len());
    for name in names {
        let source = Source::open(session, &Place::Store(name.clone()), options.compression).await?;
        let content = Content::of(&source, platform.as_ref()).await?;
        images.push(Saved { name, source, content });
    }
    let index = entries(&images);
    let both: Vec<(&Source, &Content)> = images.iter().map(|image| (&image.source, &image.content)).collect();
    match target {
        SaveTarget::Docker(sink) => {
            let last = Last { index: index.clone(), docker: Some(docker(&images)?) };
            write(session, &both, sink, last, step).await?;
        }
        SaveTarget::OciArchive(sink) => {
            write(session, &both, sink, Last { index: index.clone(), docker: None }, step).await?;
        }
        SaveTarget::OciLayout(dir) => {
            if std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
                let reason = "it is not empty; `rbuild copy` adds images to a layout";
                return Err(PlaceError::refused(dir.display(), reason));
            }
            for ((source, content), entry) in both.into_iter().zip(&index) {
                to_layout::write_as(session, source, content, dir, vec![entry.clone()], step).await?;
            }
        }
    }
    Ok(index)
}

/// Entries of `index.json`. A tag that several images have would not tell them apart: then the whole name
/// is the tag.
fn entries(images: &[Saved<'_>]) -> Vec<Descriptor> {
    let same = |tag: Option<&str>| images.iter().filter(|other| other.name.tag() == tag).count() > 1;
    let entry = |image: &Saved<'_>| {
        let mut entry = named_entry(image.content.top.descriptor(), image.name);
        if same(image.name.tag()) {
            entry.annotations.insert(REF_NAME.to_owned(), image.name.familiar());
        }
        entry
    };
    images.iter().map(entry).collect()
}

/// `manifest.json`: an image with several names is there once.
fn docker(images: &[Saved<'_>]) -> Result<Vec<u8>, PlaceError> {
    let mut all: Vec<(&oci::Manifest, Vec<&Reference>)> = Vec::new();
    for image in images {
        let manifest = single(&image.content, &image.source.shown())?;
        match all.iter_mut().find(|(known, _)| known.config.digest == manifest.config.digest) {
            Some((_, names)) => names.push(image.name),
            None => all.push((manifest, vec![image.name])),
        }
    }
    Ok(docker_manifest_json(all))
}
