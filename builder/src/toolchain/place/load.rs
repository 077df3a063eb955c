//! Images from a file into the store: docker archives, OCI archives and OCI layouts, with all that are
//! in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci::{Descriptor, Platform, Reference};

use super::content::Content;
use super::docker::{self, IMAGE_NAME};
use super::error::PlaceError;
use super::files::{FileSource, REF_NAME, Tree};
use super::members::Members;
use super::name::{InLayout, Place};
use super::source::Source;
use super::to_store;
use crate::Session;
use crate::event::StepId;
use crate::worker::{Permit, blocking};

/// What images are loaded from.
#[derive(Clone, Debug)]
pub enum LoadSource {
    /// A tar, which may be compressed, or the directory of an OCI layout.
    Path(PathBuf),
    /// A tar on standard input.
    Stdin,
}

/// How images are loaded.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The name of the only image there, whatever name it has.
    pub name: Option<Reference>,
    /// One platform; all that are there where absent.
    pub platform: Option<Platform>,
}

/// One image that was found.
struct Found {
    names: Vec<String>,
    source: FileSource,
}

/// Loads every image; their names in the store.
pub async fn load(
    session: &Session,
    from: &LoadSource,
    options: &LoadOptions,
    step: StepId,
) -> Result<Vec<Reference>, PlaceError> {
    let (lease, wanted) = (session.lease.clone(), from.clone());
    let found = blocking(Permit::free(), move || match wanted {
        LoadSource::Path(path) if path.is_dir() => layout(&path, Tree::Layout(path.clone())),
        LoadSource::Path(path) => archive(&path, Members::read(&path, &lease)?),
        LoadSource::Stdin => {
            let shown = Path::new("standard input");
            archive(shown, Members::of_stream(std::io::stdin().lock(), shown, &lease)?)
        }
    })
    .await?;
    if options.name.is_some() && found.len() != 1 {
        let reason = format!("it holds {} images, and one name is given", found.len());
        return Err(PlaceError::refused(shown(from).display(), reason));
    }
    let mut loaded = Vec::new();
    for image in found {
        let names = names(&image, options)?;
        let source = Source::Files(Arc::new(image.source));
        let content = content(&source, options.platform.as_ref()).await?;
        for name in &names {
            to_store::write(session, &source, &content, name, step).await?;
        }
        loaded.extend(names);
    }
    Ok(loaded)
}

fn shown(from: &LoadSource) -> &Path {
    match from {
        LoadSource::Path(path) => path,
        LoadSource::Stdin => Path::new("standard input"),
    }
}

/// The images of a tar. One with a `manifest.json` is a docker archive, whatever else it is.
fn archive(path: &Path, members: Members) -> Result<Vec<Found>, PlaceError> {
    if members.find("manifest.json").is_none() {
        return layout(path, Tree::Archive(members));
    }
    let open = |entry: docker::Entry| {
        let names = entry.tags().to_vec();
        let name = names.first().and_then(|name| name.parse().ok());
        let place = Place::DockerArchive { file: path.to_owned(), name: name.clone() };
        let source = FileSource::docker(&place, members.clone(), path, entry, name.as_ref())?;
        Ok(Found { names, source })
    };
    docker::list(&members, path)?.into_iter().map(open).collect()
}

/// The images of a layout. Entries for one image under several names are one image.
fn layout(path: &Path, tree: Tree) -> Result<Vec<Found>, PlaceError> {
    let entries = tree.index(&path.display().to_string())?;
    let is_image = |entry: &&Descriptor| {
        entry.artifact_type().is_none() && (entry.media_type.is_manifest() || entry.media_type.is_index())
    };
    let mut found: Vec<(Descriptor, Vec<String>)> = Vec::new();
    for entry in entries.iter().filter(is_image) {
        match found.iter_mut().find(|(known, _)| known.digest == entry.digest) {
            Some((_, names)) => names.extend(full_name(entry)),
            None => found.push((entry.clone(), full_name(entry).into_iter().collect())),
        }
    }
    if found.is_empty() {
        return Err(PlaceError::refused(path.display(), "it holds no image"));
    }
    let open = |(entry, names): (Descriptor, Vec<String>)| {
        let image = InLayout::Digest(entry.digest);
        let place = Place::Layout { dir: path.to_owned(), image: image.clone() };
        Ok(Found { names, source: FileSource::layout(&place, tree.clone(), &image)? })
    };
    found.into_iter().map(open).collect()
}

/// The name of an entry; a bare tag is none.
fn full_name(entry: &Descriptor) -> Option<String> {
    let full = entry.annotations.get(IMAGE_NAME).cloned();
    full.or_else(|| entry.annotations.get(REF_NAME).filter(|name| name.contains([':', '/'])).cloned())
}

fn names(image: &Found, options: &LoadOptions) -> Result<Vec<Reference>, PlaceError> {
    if let Some(name) = &options.name {
        return Ok(vec![name.clone()]);
    }
    let shown = image.source.shown();
    let parse = |name: &String| {
        name.parse().map_err(|error| PlaceError::refused(shown, format!("the name {name:?}: {error}")))
    };
    let names: Vec<Reference> = image.names.iter().map(parse).collect::<Result<_, _>>()?;
    if names.is_empty() {
        let digest = &image.source.top().descriptor().digest;
        return Err(PlaceError::refused(
            shown,
            format!("the image {digest} has no name: give it one with --tag"),
        ));
    }
    Ok(names)
}

/// What is loaded of an image. Docker saves the index of an image for several platforms with the parts for
/// its own one alone: then that one is what is there.
async fn content(source: &Source, platform: Option<&Platform>) -> Result<Content, PlaceError> {
    let all = Content::of(source, platform).await;
    let Source::Files(files) = source else { return all };
    let is_index = source.top().descriptor().media_type.is_index();
    let partial = match &all {
        Ok(content) => content.blobs.iter().any(|blob| !files.has(blob)),
        Err(PlaceError::Missing { .. }) => true,
        Err(_) => false,
    };
    match (platform, partial && is_index) {
        (None, true) => Content::of(source, Some(&Platform::host())).await,
        (Some(_), _) | (None, false) => all,
    }
}
