//! From one place to another, byte for byte.

use oci::{Descriptor, Platform};

use super::beside::copy_tagged;
use super::content::Content;
use super::crypt::{LayerCrypt, changed};
use super::error::PlaceError;
use super::name::Place;
use super::source::Source;
use super::types::{Types, converted};
use super::{to_archive, to_directory, to_layout, to_registry, to_store};
use crate::Session;
use crate::event::StepId;
use crate::request::CompressionChoice;

/// What refers to an image (signatures, attestations …).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Referrers {
    /// Stays behind.
    #[default]
    Leave,
    /// Comes with it.
    Follow,
}

/// How an image is copied.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// One platform of an index; all of them where absent.
    pub platform: Option<Platform>,
    /// What refers to it.
    pub referrers: Referrers,
    /// How layers of the store's images are packed that were never packed.
    pub compression: CompressionChoice,
    /// Whether layers are encrypted or decrypted. What refers to the image cannot come along then.
    pub crypt: LayerCrypt,
    /// The media types of its documents; the same is true of these.
    pub types: Types,
}

/// What was copied.
#[derive(Clone, Debug)]
pub struct Copied {
    /// What the image's name stands for at its new place.
    pub top: Descriptor,
    /// How many manifests and indexes it consists of, what refers to it included.
    pub documents: usize,
    /// How many configs and layers.
    pub blobs: usize,
    /// How many of those were not sent, because they were there or could be mounted.
    pub present: usize,
}

/// Copies an image. Nothing is visible under the target's name before all of it is there.
pub async fn copy(
    session: &Session,
    from: &Place,
    to: &Place,
    options: &CopyOptions,
    step: StepId,
) -> Result<Copied, PlaceError> {
    judge(to, options)?;
    let (keeps, types) = (matches!(options.crypt, LayerCrypt::Keep), options.types);
    if options.referrers == Referrers::Follow && (!keeps || types != Types::Keep) {
        let reason = "what refers to an image does not refer to it any longer when its documents change";
        return Err(PlaceError::NoRoom { place: to.to_string(), reason });
    }
    let source = Source::open(session, from, options.compression).await?;
    let content = match (to, &options.platform) {
        // A docker archive holds one platform.
        (Place::DockerArchive { .. }, None) => Content::of(&source, Some(&Platform::host())).await?,
        (_, platform) => Content::of(&source, platform.as_ref()).await?,
    };
    let (source, content) = match &options.crypt {
        LayerCrypt::Keep => (source, content),
        crypt @ (LayerCrypt::Encrypt(..) | LayerCrypt::Decrypt(_)) => {
            changed(session, &source, content, crypt, step).await?
        }
    };
    let (source, content) = match options.types {
        Types::Keep => (source, content),
        Types::Of(family) => converted(source, content, family).await?,
    };
    let content = match options.referrers {
        Referrers::Leave => content,
        Referrers::Follow => content.with_referrers(&source).await?,
    };
    // What speaks about the image is there before the image has its name.
    let tagged = match options.referrers {
        Referrers::Leave => 0,
        Referrers::Follow => copy_tagged(session, (&source, from), &content, to, step).await?,
    };
    let present = write(session, &source, &content, to, step).await?;
    Ok(Copied {
        top: content.top.descriptor().clone(),
        documents: content.documents().count() + content.referrers.len() + tagged,
        blobs: content.blobs.len(),
        present,
    })
}

/// Refuses what the target cannot hold, before anything is read.
fn judge(to: &Place, options: &CopyOptions) -> Result<(), PlaceError> {
    match (to, options.referrers) {
        (Place::Either(name), _) => Err(PlaceError::Ambiguous { name: name.familiar() }),
        (Place::DockerArchive { .. } | Place::Directory(_), Referrers::Follow) => {
            Err(PlaceError::NoRoom { place: to.to_string(), reason: "it has no room for referrers" })
        }
        (
            Place::Registry(_)
            | Place::Store(_)
            | Place::Layout { .. }
            | Place::LayoutArchive { .. }
            | Place::DockerArchive { .. }
            | Place::Directory(_),
            Referrers::Leave | Referrers::Follow,
        ) => Ok(()),
    }
}

/// Writes all of an image; how many blobs needed no transfer.
pub(crate) async fn write(
    session: &Session,
    source: &Source,
    content: &Content,
    to: &Place,
    step: StepId,
) -> Result<usize, PlaceError> {
    match to {
        Place::Registry(name) => to_registry::write(session, source, content, name, step).await,
        Place::Store(name) => to_store::write(session, source, content, name, step).await,
        Place::Layout { dir, image } => to_layout::write(session, source, content, dir, image, step).await,
        Place::LayoutArchive { file, image } => {
            to_archive::write_layout(session, source, content, file, image, step).await
        }
        Place::DockerArchive { file, name } => {
            to_archive::write_docker(session, source, content, file, name.as_ref(), step).await
        }
        Place::Directory(dir) => to_directory::write(session, source, content, dir, step).await,
        Place::Either(name) => Err(PlaceError::Ambiguous { name: name.familiar() }),
    }
}
