//! Which manifests and indexes a repository has. The store keeps documents under no repository, so its
//! names decide: a document is of a repository if a name there leads to it.

use layer_store::{Store, StoredImage, StoredVariant};
use oci::{Descriptor, Digest, ImageDocument, Reference};

use crate::image::{ImageError, find_document};

/// Indexes deeper than this are hostile.
const DEEPEST: usize = 8;

/// The document under a name with a digest.
pub(super) fn find(store: &Store, name: &Reference) -> Result<Option<ImageDocument>, ImageError> {
    let Some(digest) = name.digest() else { return Ok(None) };
    let Some(document) = document(store, digest)? else { return Ok(None) };
    for (other, image) in store.images()? {
        if other.repository() == name.repository()
            && (other.digest() == Some(digest) || leads_to(store, &image, digest, &document)?)
        {
            return Ok(Some(document));
        }
    }
    Ok(None)
}

/// What deletion by digest finds.
pub(super) enum Holders {
    /// These names stand for it.
    Names(Vec<Reference>),
    /// It is a part of what this name stands for.
    Part(Reference),
}

/// Who holds the document under a name with a digest.
pub(super) fn holders(store: &Store, name: &Reference) -> Result<Holders, ImageError> {
    let mut names = Vec::new();
    let mut part_of = None;
    if let Some(digest) = name.digest()
        && let Some(document) = document(store, digest)?
    {
        for (other, image) in store.images()? {
            if other.repository() != name.repository() {
                continue;
            }
            if other.digest() == Some(digest) || is_top(store, &image, digest, &document)? {
                names.push(other);
            } else if leads_to(store, &image, digest, &document)? {
                part_of = Some(other);
            }
        }
    }
    Ok(match part_of {
        Some(other) if names.is_empty() => Holders::Part(other),
        Some(_) | None => Holders::Names(names),
    })
}

fn document(store: &Store, digest: &Digest) -> Result<Option<ImageDocument>, ImageError> {
    let Some(raw) = find_document(store, digest)? else { return Ok(None) };
    // Other blobs are no documents.
    Ok(ImageDocument::parse(None, raw).ok())
}

/// Whether an image's name stands for it: it says so, or it was made of all of the image's variants.
fn is_top(
    store: &Store,
    image: &StoredImage,
    digest: &Digest,
    document: &ImageDocument,
) -> Result<bool, ImageError> {
    if image.index.as_ref().is_some_and(|top| top.digest == *digest) {
        return Ok(true);
    }
    match (image.variants.as_slice(), document) {
        ([only], ImageDocument::Manifest(_)) => describes(store, only, digest),
        (several, ImageDocument::Index(index)) if several.len() > 1 => {
            let entries = &index.parsed().manifests;
            if entries.len() != several.len() {
                return Ok(false);
            }
            for (variant, entry) in several.iter().zip(entries) {
                if !describes(store, variant, &entry.digest)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (_, ImageDocument::Manifest(_) | ImageDocument::Index(_)) => Ok(false),
    }
}

/// Whether an image's name leads to it.
fn leads_to(
    store: &Store,
    image: &StoredImage,
    digest: &Digest,
    document: &ImageDocument,
) -> Result<bool, ImageError> {
    if is_top(store, image, digest, document)? {
        return Ok(true);
    }
    if let Some(top) = &image.index
        && is_below(store, top, digest, DEEPEST)?
    {
        return Ok(true);
    }
    for variant in &image.variants {
        if describes(store, variant, digest)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a manifest is a variant's. One that was never packed has none of its own; every manifest with
/// its config is one of it.
fn describes(store: &Store, variant: &StoredVariant, digest: &Digest) -> Result<bool, ImageError> {
    if let Some(own) = &variant.manifest {
        return Ok(own.digest == *digest);
    }
    Ok(match document(store, digest)? {
        Some(ImageDocument::Manifest(manifest)) => manifest.parsed().config.digest == variant.config.digest,
        Some(ImageDocument::Index(_)) | None => false,
    })
}

fn is_below(store: &Store, top: &Descriptor, digest: &Digest, depth: usize) -> Result<bool, ImageError> {
    if depth == 0 || !top.media_type.is_index() {
        return Ok(false);
    }
    let Some(raw) = find_document(store, &top.digest)? else { return Ok(false) };
    let Ok(ImageDocument::Index(index)) = ImageDocument::parse(Some(&top.media_type), raw) else {
        return Ok(false);
    };
    for entry in &index.parsed().manifests {
        if entry.digest == *digest || is_below(store, entry, digest, depth - 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}
