//! Signatures and the like that are found by a tag made of an image's digest, as cosign keeps them.

use oci::Digest;
use registry_client::RegistryError;

use super::content::Content;
use super::copy::write;
use super::error::PlaceError;
use super::files::layout_tags;
use super::name::{InLayout, Place};
use super::source::Source;
use crate::Session;
use crate::event::StepId;
use crate::request::CompressionChoice;
use crate::worker::{Permit, blocking};

/// What cosign keeps under tags: signatures, attestations, SBOMs.
const ENDINGS: [&str; 3] = ["sig", "att", "sbom"];

/// The tag made of a digest: `sha256-….sig`.
pub(crate) fn tag_of(digest: &Digest, ending: &str) -> String {
    format!("{}.{ending}", digest.to_string().replace(':', "-"))
}

/// The place of another tag beside the one that a source was opened at.
pub(crate) fn beside(source: &Source, place: &Place, tag: &str) -> Result<Place, PlaceError> {
    let named = |name: &oci::Reference| {
        name.with_tag(tag).map_err(|error| PlaceError::refused(place, error.to_string()))
    };
    match place {
        Place::Registry(name) => Ok(Place::Registry(named(name)?)),
        Place::Store(name) => Ok(Place::Store(named(name)?)),
        Place::Either(name) => match source {
            Source::Store(_) => Ok(Place::Store(named(name)?)),
            Source::Registry { .. } | Source::Files(_) | Source::Made(_) => Ok(Place::Registry(named(name)?)),
        },
        Place::Layout { dir, .. } => {
            Ok(Place::Layout { dir: dir.clone(), image: InLayout::Tag(tag.to_owned()) })
        }
        Place::LayoutArchive { file, .. } => {
            Ok(Place::LayoutArchive { file: file.clone(), image: InLayout::Tag(tag.to_owned()) })
        }
        Place::DockerArchive { .. } | Place::Directory(_) => {
            let reason = "it holds no signatures; copy it to a registry, the store or a layout";
            Err(PlaceError::refused(place, reason))
        }
    }
}

/// Opens a place that need not be there.
pub(crate) async fn open_if_there(session: &Session, place: &Place) -> Result<Option<Source>, PlaceError> {
    if let Place::Layout { image: InLayout::Tag(tag), .. }
    | Place::LayoutArchive { image: InLayout::Tag(tag), .. } = place
    {
        let (listed, lease) = (place.clone(), session.lease.clone());
        let tags = blocking(Permit::free(), move || layout_tags(&listed, &lease)).await?;
        if !tags.contains(tag) {
            return Ok(None);
        }
    }
    match Source::open(session, place, CompressionChoice::default()).await {
        Ok(source) => Ok(Some(source)),
        Err(PlaceError::NotStored { .. } | PlaceError::Registry(RegistryError::NotFound(_))) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Copies what is under tags made of the digests of an image's documents. The documents are returned.
pub(super) async fn copy_tagged(
    session: &Session,
    (source, from): (&Source, &Place),
    content: &Content,
    to: &Place,
    step: StepId,
) -> Result<usize, PlaceError> {
    if matches!(from, Place::DockerArchive { .. } | Place::Directory(_)) {
        return Ok(0);
    }
    let mut copied = 0;
    for document in content.documents() {
        for ending in ENDINGS {
            let tag = tag_of(&document.descriptor().digest, ending);
            let Some(found) = open_if_there(session, &beside(source, from, &tag)?).await? else { continue };
            if matches!(to, Place::LayoutArchive { .. }) {
                let reason = "an archive has no room for signatures that stand under a tag; copy to oci:DIR";
                return Err(PlaceError::NoRoom { place: to.to_string(), reason });
            }
            let inside = Content::of(&found, None).await?;
            write(session, &found, &inside, &beside(source, to, &tag)?, step).await?;
            copied += inside.documents().count();
        }
    }
    Ok(copied)
}
