//! A tar as the target: an OCI layout, with a `manifest.json` for Docker where that is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use futures::{StreamExt, TryStreamExt};
use oci::{Descriptor, Digest, ImageDocument, Manifest, Reference};

use super::content::Content;
use super::error::PlaceError;
use super::name::InLayout;
use super::pipe::into_blocking;
use super::source::Source;
use super::to_layout::entries;
use super::to_registry::AT_ONCE;
use crate::Session;
use crate::event::StepId;
use crate::export::{
    LAYOUT_VERSION, UnfinishedFile, blob_path, docker_manifest_json, index_json, named_entry, tar_directory,
    tar_file,
};
use crate::image::staged_blob;
use crate::worker::{Permit, blocking};

type Tar = tar::Builder<UnfinishedFile>;

/// Writes an image as an OCI layout in a tar.
pub(super) async fn write_layout(
    session: &Session,
    source: &Source,
    content: &Content,
    file: &Path,
    image: &InLayout,
    step: StepId,
) -> Result<usize, PlaceError> {
    let last = Last { index: entries(content, image, file)?, docker: None };
    write(session, &[(source, content)], &Sink::File(file.to_owned()), last, step).await?;
    Ok(0)
}

/// Writes an image of one platform as a docker archive, which holds an OCI layout as well.
pub(super) async fn write_docker(
    session: &Session,
    source: &Source,
    content: &Content,
    file: &Path,
    name: Option<&Reference>,
    step: StepId,
) -> Result<usize, PlaceError> {
    let manifest = single(content, &format!("docker-archive:{}", file.display()))?;
    let top = content.top.descriptor();
    let entry = name.map_or_else(|| top.clone(), |name| named_entry(top, name));
    let docker = docker_manifest_json([(manifest, name.into_iter().collect())]);
    let last = Last { index: vec![entry], docker: Some(docker) };
    write(session, &[(source, content)], &Sink::File(file.to_owned()), last, step).await?;
    Ok(0)
}

/// The manifest of an image that a docker archive can hold.
pub(super) fn single<'a>(content: &'a Content, place: &str) -> Result<&'a Manifest, PlaceError> {
    let refused = |reason| PlaceError::NoRoom { place: place.to_owned(), reason };
    let ImageDocument::Manifest(manifest) = &content.top else {
        return Err(refused("a docker archive holds one platform: name it with --platform"));
    };
    let manifest = manifest.parsed();
    let is_image =
        manifest.config.media_type.is_config() && manifest.layers.iter().all(|l| l.media_type.is_layer());
    if is_image {
        return Ok(manifest);
    }
    Err(refused("a docker archive holds images, and this is an artifact"))
}

/// What comes last in a tar, when all that it names is there.
pub(super) struct Last {
    /// Entries of `index.json`.
    pub index: Vec<Descriptor>,
    /// `manifest.json`.
    pub docker: Option<Vec<u8>>,
}

/// Where a tar goes.
#[derive(Clone, Debug)]
pub enum Sink {
    /// Into a file, which appears when it is whole.
    File(PathBuf),
    /// To standard output.
    Stdout,
}

impl Sink {
    fn open(&self) -> Result<UnfinishedFile, PlaceError> {
        match self {
            Sink::File(path) => Ok(UnfinishedFile::create(path)?),
            Sink::Stdout => Ok(UnfinishedFile::stdout()?),
        }
    }

    fn failed(&self, error: io::Error) -> PlaceError {
        match self {
            Sink::File(path) => PlaceError::io(path, error),
            Sink::Stdout => PlaceError::io(Path::new("standard output"), error),
        }
    }
}

/// Writes images into one tar; what several have is there once.
pub(super) async fn write(
    session: &Session,
    images: &[(&Source, &Content)],
    sink: &Sink,
    last: Last,
    step: StepId,
) -> Result<(), PlaceError> {
    let start = {
        let contents: Vec<Content> = images.iter().map(|(_, content)| (*content).clone()).collect();
        let sink = sink.clone();
        move || start(&sink, &contents)
    };
    let blobs = distinct(images);
    let staged = stage(session, &blobs, step).await?;
    let mut tar = blocking(Permit::free(), start).await?;
    for (source, blob) in blobs {
        let reader = match source.origin(blob) {
            Some(repository) => {
                let staged = staged_blob(session, repository, blob, step).await?;
                Box::new(tokio::fs::File::from_std(staged.open()?))
            }
            None => source.told_blob(session, blob, step).await?,
        };
        let (name, size) = (blob_path(&blob.digest), blob.size);
        let written = into_blocking(reader, move |mut incoming| {
            tar_file(&mut tar, &name, size, &mut incoming)?;
            // The end is told, so that a blob that is too long is noticed.
            io::copy(&mut incoming, &mut io::sink())?;
            Ok(tar)
        });
        tar = written.await.map_err(|error| PlaceError::blob(&blob.digest, error))?;
    }
    let finish = move || {
        let index = index_json(&last.index);
        tar_file(&mut tar, "index.json", index.len() as u64, &mut index.as_slice())?;
        if let Some(docker) = &last.docker {
            tar_file(&mut tar, "manifest.json", docker.len() as u64, &mut docker.as_slice())?;
        }
        tar_file(&mut tar, "oci-layout", LAYOUT_VERSION.len() as u64, &mut &*LAYOUT_VERSION)?;
        tar.into_inner()
    };
    let file = blocking(Permit::free(), finish).await.map_err(|error| sink.failed(error))?;
    let store = session.store.clone();
    blocking(Permit::free(), move || {
        file.finish()?;
        staged.iter().try_for_each(|digest| store.forget_partial(digest))?;
        Ok(())
    })
    .await
}

/// The blobs of all images, each once.
fn distinct<'a>(images: &'a [(&'a Source, &'a Content)]) -> Vec<(&'a Source, &'a Descriptor)> {
    let mut seen = BTreeSet::new();
    let all = images.iter().flat_map(|(source, content)| content.blobs.iter().map(move |b| (*source, b)));
    all.filter(|(_, blob)| seen.insert(&blob.digest)).collect()
}

/// Fetches what is in registries, several blobs at once, and leaves it where a process finds it that has to
/// begin the archive anew; which blobs those are.
async fn stage(
    session: &Session,
    blobs: &[(&Source, &Descriptor)],
    step: StepId,
) -> Result<Vec<Digest>, PlaceError> {
    let mut fetches = Vec::new();
    for (source, blob) in blobs {
        if let Some(repository) = source.origin(blob) {
            fetches.push(async move {
                // Dropped, it stays; so an image of many layers needs few open files.
                drop(staged_blob(session, repository, blob, step).await?);
                Ok::<_, PlaceError>(blob.digest.clone())
            });
        }
    }
    futures::stream::iter(fetches).buffer_unordered(AT_ONCE).try_collect().await
}

/// The directories and documents, which come before the blobs.
fn start(sink: &Sink, contents: &[Content]) -> Result<Tar, PlaceError> {
    let failed = |error: io::Error| sink.failed(error);
    let mut tar = tar::Builder::new(sink.open()?);
    let documents: BTreeMap<&Digest, &ImageDocument> = contents
        .iter()
        .flat_map(|content| content.documents().chain(&content.referrers))
        .map(|document| (&document.descriptor().digest, document))
        .collect();
    let algorithms: BTreeSet<&str> = documents
        .keys()
        .copied()
        .chain(contents.iter().flat_map(|content| &content.blobs).map(|blob| &blob.digest))
        .map(|digest| digest.algorithm().name())
        .collect();
    tar_directory(&mut tar, "blobs/").map_err(failed)?;
    for algorithm in algorithms {
        tar_directory(&mut tar, &format!("blobs/{algorithm}/")).map_err(failed)?;
    }
    for (digest, document) in documents {
        let raw = document.raw();
        tar_file(&mut tar, &blob_path(digest), raw.len() as u64, &mut raw.as_ref()).map_err(failed)?;
    }
    Ok(tar)
}
