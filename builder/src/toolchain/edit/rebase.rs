//! An image on another base: the base's layers are swapped, what is above them stays.

use oci::{Platform, Reference};

use super::Image;
use crate::Session;
use crate::toolchain::error::ToolError;
use crate::toolchain::place::{Place, PlaceError};

const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// Swaps the base. Bases that are not given are those that the image's annotations name.
pub(super) async fn rebase(
    session: &Session,
    image: Image,
    platform: Option<&Platform>,
    (old, new): (Option<&Place>, Option<&Place>),
) -> Result<Image, ToolError> {
    let own_platform = image.config.platform();
    let platform = Some(platform.unwrap_or(&own_platform));
    let (old, new) = (
        old.cloned().map_or_else(|| noted(&image, Pin::Digest), Ok)?,
        new.cloned().map_or_else(|| noted(&image, Pin::Nothing), Ok)?,
    );
    let old_base = Image::open(session, &old, platform).await?;
    let new_base = Image::open(session, &new, platform).await?;
    let swapped = swap(image, &old_base, new_base).map_err(|reason| PlaceError::refused(&old, reason))?;
    Ok(note(swapped, &new))
}

/// Whether a noted base is taken as it was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pin {
    Digest,
    Nothing,
}

/// The base that the image says it has.
fn noted(image: &Image, pin: Pin) -> Result<Place, ToolError> {
    let refuse =
        |what: &str| PlaceError::refused(&image.shown, format!("it does not say its base ({what}): name it"));
    let annotations = &image.manifest.annotations;
    let name = annotations.get(BASE_NAME).ok_or_else(|| refuse(BASE_NAME))?;
    let name: Reference = name.parse().map_err(|_| refuse(BASE_NAME))?;
    if pin == Pin::Nothing {
        return Ok(Place::Registry(name));
    }
    let digest = annotations.get(BASE_DIGEST).and_then(|digest| digest.parse().ok());
    Ok(Place::Registry(name.repository().with_digest(digest.ok_or_else(|| refuse(BASE_DIGEST))?)))
}

fn swap(mut image: Image, old: &Image, new: Image) -> Result<Image, String> {
    let count = old.config.rootfs.diff_ids.len();
    if !image.config.rootfs.diff_ids.starts_with(&old.config.rootfs.diff_ids) {
        return Err(format!("{} does not lie upon it", image.shown));
    }
    let differs = |what: &str| Err(format!("the new base is for another {what}"));
    if new.config.os != image.config.os {
        return differs("operating system");
    }
    if new.config.architecture != image.config.architecture {
        return differs("architecture");
    }
    image.pad_history();
    let mut base_history = old.config.history.len();
    if !image.config.history.starts_with(&old.config.history) {
        // The base was built by something that wrote its history anew: count layers instead.
        base_history = after_layers(&image.config.history, count);
    }
    let mut history = {
        let mut padded = new;
        padded.pad_history();
        image.parts.extend(padded.parts);
        let own = image.manifest.layers.split_off(count);
        let convert = |mut layer: oci::Descriptor| {
            layer.media_type = image.family.convert(&layer.media_type);
            layer
        };
        image.manifest.layers = padded.manifest.layers.into_iter().map(convert).chain(own).collect();
        let own = image.config.rootfs.diff_ids.split_off(count);
        image.config.rootfs.diff_ids = padded.config.rootfs.diff_ids.into_iter().chain(own).collect();
        padded.config.history
    };
    history.extend(image.config.history.split_off(base_history));
    image.config.history = history;
    Ok(image)
}

/// How many entries belong to the first layers.
fn after_layers(history: &[oci::History], layers: usize) -> usize {
    let mut left = layers;
    for (at, entry) in history.iter().enumerate() {
        if left == 0 {
            return at;
        }
        left -= usize::from(!entry.empty_layer);
    }
    history.len()
}

/// Writes down the new base.
fn note(mut image: Image, base: &Place) -> Image {
    if let (Place::Registry(name), Some(source)) = (base, image.parts.last()) {
        let digest = source.top().descriptor().digest.to_string();
        image.manifest.annotations.insert(BASE_DIGEST.to_owned(), digest);
        image.manifest.annotations.insert(BASE_NAME.to_owned(), name.to_string());
    }
    image
}
