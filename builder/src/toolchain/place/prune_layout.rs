//! Taking an image out of a layout, with the blobs that only it used.

use std::collections::BTreeSet;
use std::path::Path;

use oci::{Descriptor, Digest, ImageDocument};

use super::error::PlaceError;
use super::files::{MOST, choose, read_index};
use super::name::InLayout;
use super::span::Span;
use super::to_layout::small_file;
use crate::export::{blob_path, index_json};

/// Removes an image's entry, then the blobs that no other entry leads to.
pub(crate) fn remove_from_layout(dir: &Path, image: &InLayout) -> Result<(), PlaceError> {
    let shown = format!("oci:{}", dir.display());
    let entries = read_index(&shown, dir)?;
    let gone = match image {
        InLayout::Digest(digest) => entries
            .iter()
            .find(|entry| entry.digest == *digest)
            .ok_or_else(|| PlaceError::refused(&shown, format!("no image has the digest {digest}")))?,
        InLayout::Only | InLayout::Tag(_) => choose(&shown, &entries, image)?,
    };
    let kept: Vec<Descriptor> = entries.iter().filter(|entry| *entry != gone).cloned().collect();
    let (mut used, mut unused) = (BTreeSet::new(), BTreeSet::new());
    kept.iter().try_for_each(|entry| mark(dir, entry, &mut used))?;
    mark(dir, gone, &mut unused)?;
    small_file(&dir.join("index.json"), &index_json(&kept))?;
    for digest in unused.difference(&used) {
        let path = dir.join(blob_path(digest));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(PlaceError::io(&path, error));
            }
            Err(_) | Ok(()) => {}
        }
    }
    Ok(())
}

/// Everything that an entry leads to. What is not there leads nowhere.
fn mark(dir: &Path, entry: &Descriptor, marked: &mut BTreeSet<Digest>) -> Result<(), PlaceError> {
    if !marked.insert(entry.digest.clone()) {
        return Ok(());
    }
    if !(entry.media_type.is_manifest() || entry.media_type.is_index()) {
        return Ok(());
    }
    let path = dir.join(blob_path(&entry.digest));
    let span = Span::whole(path.clone()).map_err(|source| PlaceError::io(&path, source))?;
    let Some(span) = span else { return Ok(()) };
    let raw = span.read(MOST).map_err(|source| PlaceError::io(&path, source))?;
    let document = ImageDocument::parse(Some(&entry.media_type), raw)
        .map_err(|source| PlaceError::Document { place: path.display().to_string(), source })?;
    match document {
        ImageDocument::Index(index) => {
            index.parsed().manifests.iter().try_for_each(|entry| mark(dir, entry, marked))
        }
        ImageDocument::Manifest(manifest) => {
            let manifest = manifest.parsed();
            marked.insert(manifest.config.digest.clone());
            marked.extend(manifest.layers.iter().map(|layer| layer.digest.clone()));
            Ok(())
        }
    }
}
