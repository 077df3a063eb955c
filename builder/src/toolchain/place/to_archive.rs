//! A tar as the target: an OCI layout, with a `manifest.json` for Docker where that is wanted.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use oci::{Descriptor, ImageDocument, Reference};

use super::content::Content;
use super::error::PlaceError;
use super::name::InLayout;
use super::pipe::into_blocking;
use super::source::Source;
use super::to_layout::entries;
use crate::Session;
use crate::event::StepId;
use crate::export::{
    LAYOUT_VERSION, UnfinishedFile, blob_path, docker_manifest_json, index_json, named_entry, tar_directory,
    tar_file,
};
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
    let index = entries(content, image, file)?;
    write(session, source, content, file, (index, None), step).await
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
    let ImageDocument::Manifest(manifest) = &content.top else {
        let reason = "a docker archive holds one platform: name it with --platform";
        return Err(PlaceError::NoRoom { place: format!("docker-archive:{}", file.display()), reason });
    };
    let manifest = manifest.parsed();
    let is_image =
        manifest.config.media_type.is_config() && manifest.layers.iter().all(|l| l.media_type.is_layer());
    if !is_image {
        let reason = "a docker archive holds images, and this is an artifact";
        return Err(PlaceError::NoRoom { place: format!("docker-archive:{}", file.display()), reason });
    }
    let top = content.top.descriptor();
    let entry = name.map_or_else(|| top.clone(), |name| named_entry(top, name));
    let docker = docker_manifest_json(manifest, name);
    write(session, source, content, file, (vec![entry], Some(docker)), step).await
}

async fn write(
    session: &Session,
    source: &Source,
    content: &Content,
    path: &Path,
    (index, docker): (Vec<Descriptor>, Option<Vec<u8>>),
    step: StepId,
) -> Result<usize, PlaceError> {
    let failed = |error: io::Error| PlaceError::io(path, error);
    let start = {
        let (path, content) = (path.to_owned(), content.clone());
        move || start(&path, &content)
    };
    let mut tar = blocking(Permit::free(), start).await?;
    for blob in &content.blobs {
        let reader = source.told_blob(session, blob, step).await?;
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
        let index = index_json(&index);
        tar_file(&mut tar, "index.json", index.len() as u64, &mut index.as_slice())?;
        if let Some(docker) = &docker {
            tar_file(&mut tar, "manifest.json", docker.len() as u64, &mut docker.as_slice())?;
        }
        tar_file(&mut tar, "oci-layout", LAYOUT_VERSION.len() as u64, &mut &*LAYOUT_VERSION)?;
        tar.into_inner()
    };
    let file = blocking(Permit::free(), finish).await.map_err(failed)?;
    blocking(Permit::free(), move || file.finish()).await?;
    Ok(0)
}

/// The directories and documents, which come before the blobs.
fn start(path: &Path, content: &Content) -> Result<Tar, PlaceError> {
    let failed = |error: io::Error| PlaceError::io(path, error);
    let mut tar = tar::Builder::new(UnfinishedFile::create(path)?);
    let documents: Vec<&ImageDocument> = content.documents().chain(&content.referrers).collect();
    let algorithms: BTreeSet<&str> = documents
        .iter()
        .map(|document| document.descriptor().digest.algorithm())
        .chain(content.blobs.iter().map(|blob| blob.digest.algorithm()))
        .map(oci::Algorithm::name)
        .collect();
    tar_directory(&mut tar, "blobs/").map_err(failed)?;
    for algorithm in algorithms {
        tar_directory(&mut tar, &format!("blobs/{algorithm}/")).map_err(failed)?;
    }
    for document in documents {
        let raw = document.raw();
        let name = blob_path(&document.descriptor().digest);
        tar_file(&mut tar, &name, raw.len() as u64, &mut raw.as_ref()).map_err(failed)?;
    }
    Ok(tar)
}
