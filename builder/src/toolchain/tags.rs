//! The tags of a repository, and taking them away.

use oci::Repository;

use super::error::ToolError;
use super::place::{Place, PlaceError, layout_tags, remove_from_layout};
use crate::Session;
use crate::worker::{Permit, blocking};

/// Where tags are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagsOf {
    /// A repository of a registry.
    Registry(Repository),
    /// A repository of the store.
    Store(Repository),
    /// A layout or archive.
    Files(Place),
}

/// All tags, in the order in which the place has them.
pub async fn tags(session: &Session, of: &TagsOf) -> Result<Vec<String>, ToolError> {
    match of {
        TagsOf::Registry(repository) => {
            Ok(session.client.tags(repository).await.map_err(PlaceError::from)?)
        }
        TagsOf::Store(repository) => {
            let (store, repository) = (session.store.clone(), repository.clone());
            let images = blocking(Permit::free(), move || store.images()).await?;
            let ours = images.iter().filter(|(name, _)| *name.repository() == repository);
            Ok(ours.filter_map(|(name, _)| name.tag().map(str::to_owned)).collect())
        }
        TagsOf::Files(place) => {
            let (place, lease) = (place.clone(), session.lease.clone());
            Ok(blocking(Permit::free(), move || layout_tags(&place, &lease)).await?)
        }
    }
}

/// The repositories of a registry, as far as it tells them.
pub async fn catalog(session: &Session, registry: &str) -> Result<Vec<String>, ToolError> {
    Ok(session.client.catalog(registry).await.map_err(PlaceError::from)?)
}

/// What is deleted at a registry under a name with a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The manifest, and with it all of its tags.
    Manifest,
    /// The tag alone.
    Tag,
}

/// Deletes an image from where it is. Its blobs go when that place collects what nobody uses; those of
/// a layout go at once.
pub async fn delete(session: &Session, place: &Place, what: Deletion) -> Result<(), ToolError> {
    match place {
        Place::Registry(name) => {
            let deleted = match what {
                Deletion::Tag => session.client.delete_tag(name).await,
                Deletion::Manifest => match name.digest() {
                    Some(_) => session.client.delete_manifest(name).await,
                    None => {
                        let found = session.client.resolve(name).await.map_err(PlaceError::from)?;
                        let pinned = name.repository().with_digest(found.digest);
                        session.client.delete_manifest(&pinned).await
                    }
                },
            };
            Ok(deleted.map_err(PlaceError::from)?)
        }
        Place::Store(name) => {
            let (store, wanted) = (session.store.clone(), name.clone());
            match blocking(Permit::free(), move || store.remove_image(&wanted)).await? {
                true => Ok(()),
                false => Err(ToolError::NoImage { name: name.clone() }),
            }
        }
        Place::Layout { dir, image } => {
            let (dir, image) = (dir.clone(), image.clone());
            Ok(blocking(Permit::free(), move || remove_from_layout(&dir, &image)).await?)
        }
        Place::Either(name) => Err(PlaceError::Ambiguous { name: name.familiar() }.into()),
        Place::LayoutArchive { .. } | Place::DockerArchive { .. } | Place::Directory(_) => {
            Err(PlaceError::refused(place, "nothing can be taken out of it; remove the file itself").into())
        }
    }
}
