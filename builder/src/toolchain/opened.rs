//! An image of any place, opened to be looked into: its layers are in the store.
//!
//! What a registry or a file has is unpacked like a pull, under no name: the session's lease keeps it, and
//! afterwards it stays for the next look until the store is pruned.

use layer_store::{Snapshot, StackView, StoredVariant};
use oci::{Document, ImageConfig, Manifest, Platform, Reference};

use super::error::ToolError;
use super::place::{Content, Place, PlaceError, Source, stored_image, take_in};
use super::pull::fetch;
use crate::Session;
use crate::event::StepId;
use crate::image::{stored_document, stored_variant};
use crate::request::CompressionChoice;
use crate::worker::{Permit, blocking};

/// An image whose layers are in the store.
#[derive(Clone, Debug)]
pub struct OpenImage {
    /// How people know it.
    pub shown: String,
    /// Its config.
    pub config: ImageConfig,
    /// Its manifest, where it has one: one that was only built has none.
    pub manifest: Option<Manifest>,
    /// Its layers.
    pub snapshot: Snapshot,
    /// Its files.
    pub view: StackView,
}

/// Opens the image of a place for a platform.
pub async fn open_image(
    session: &Session,
    place: &Place,
    platform: &Platform,
    step: StepId,
) -> Result<OpenImage, ToolError> {
    let (name, variant) = match place {
        Place::Store(name) => (name.clone(), of_store(session, name, platform).await?),
        Place::Registry(name) => (name.clone(), fetch(session, name, platform, step).await?.variant),
        Place::Either(name) => match of_store(session, name, platform).await {
            Err(ToolError::NoImage { .. }) => {
                (name.clone(), fetch(session, name, platform, step).await?.variant)
            }
            stored => (name.clone(), stored?),
        },
        Place::Layout { .. }
        | Place::LayoutArchive { .. }
        | Place::DockerArchive { .. }
        | Place::Directory(_) => {
            let name = nowhere();
            let variant = of_files(session, place, &name, platform, step).await?;
            (name, variant)
        }
    };
    let (session, shown) = (session.clone(), place.to_string());
    blocking(Permit::free(), move || opened(&session, shown, &name, &variant)).await
}

fn opened(
    session: &Session,
    shown: String,
    name: &Reference,
    variant: &StoredVariant,
) -> Result<OpenImage, ToolError> {
    let config: Option<Document<ImageConfig>> = stored_document(&session.store, name, &variant.config)?;
    let config = config.ok_or_else(|| ToolError::NoImage { name: name.clone() })?.into_parsed();
    let manifest: Option<Document<Manifest>> = match &variant.manifest {
        Some(manifest) => stored_document(&session.store, name, manifest)?,
        None => None,
    };
    Ok(OpenImage {
        shown,
        config,
        manifest: manifest.map(Document::into_parsed),
        snapshot: variant.snapshot.clone(),
        view: session.store.stack(&variant.snapshot)?,
    })
}

async fn of_store(
    session: &Session,
    name: &Reference,
    platform: &Platform,
) -> Result<StoredVariant, ToolError> {
    let (lease, name, platform) = (session.lease.clone(), name.clone(), platform.clone());
    blocking(Permit::free(), move || {
        let image = lease.image(&name)?.ok_or_else(|| ToolError::NoImage { name: name.clone() })?;
        let variant = stored_variant(&image, &platform).cloned();
        variant.ok_or_else(|| ToolError::NoVariant { name: name.clone(), platform: platform.clone() })
    })
    .await
}

async fn of_files(
    session: &Session,
    place: &Place,
    name: &Reference,
    platform: &Platform,
    step: StepId,
) -> Result<StoredVariant, ToolError> {
    let source = Source::open(session, place, CompressionChoice::default()).await?;
    let content = Content::of(&source, Some(platform)).await?;
    take_in(session, &source, &content, step).await?;
    let image = stored_image(session, name, &content, step).await?;
    let refused = || PlaceError::refused(place, "it is no image whose layers could be unpacked");
    Ok(image.variants.into_iter().next().ok_or_else(refused)?)
}

/// A name that no registry has: what is in the store is all there is.
fn nowhere() -> Reference {
    match "opened.invalid/image".parse() {
        Ok(name) => name,
        Err(error) => unreachable!("a name: {error}"),
    }
}
