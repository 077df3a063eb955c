//! Images that are mounted for others to look at, and stay so when this process has ended.

use std::path::{Path, PathBuf};

use layer_store::{Mounting, Pin, PinReview, Store};
use runtime_exec::{MountedAt, OutsideHelper, Presence, mount_stack, unmount};

use super::error::ToolError;
use super::opened::OpenImage;
use crate::Session;

/// A mounted image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountedImage {
    /// As it was named.
    pub image: String,
    /// The mount point.
    pub path: PathBuf,
    /// Whether this process sees the mount.
    pub seen: Seen,
}

/// Whether a mount is among those of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is.
    Here,
    /// It is in the mount namespace of other processes.
    Elsewhere,
}

/// Mounts an image for reading and gives the mount point. Its layers stay in the store until it is unmounted.
pub fn mount(session: &Session, image: &OpenImage) -> Result<PathBuf, ToolError> {
    match session.store.mounting() {
        Mounting::Possible => {}
        Mounting::Impossible => {
            return Err(ToolError::NoOverlay { path: session.store.root().to_owned() });
        }
    }
    let mut at = Err(None);
    let pin = session.lease.pin(&image.snapshot, &image.shown, |path| {
        at = MountedAt::here(path.to_owned()).map_err(Some);
        serde_json::json!(at.as_ref().ok())
    })?;
    if let Err(Some(error)) = at {
        return Err(error.into());
    }
    mount_stack(pin.lower(), &pin.mount_point())?;
    Ok(pin.commit())
}

/// The images that are mounted, after what is left of mounts that are gone was removed.
pub fn mounted(store: &Store, helper: &OutsideHelper) -> Result<Vec<MountedImage>, ToolError> {
    Ok(review(store, helper)?.left.into_iter().map(|(_, mounted)| mounted).collect())
}

/// Unmounts an image wherever it is mounted, or the one that is mounted at a path. Gives the paths.
pub fn unmount_image(
    store: &Store,
    helper: &OutsideHelper,
    which: Unmounting<'_>,
) -> Result<Vec<PathBuf>, ToolError> {
    let Reviewed { review, left } = review(store, helper)?;
    let mut gone = Vec::new();
    for (pin, mounted) in left.into_iter().filter(|(_, mounted)| which.fits(mounted)) {
        match mounted.seen {
            Seen::Here => unmount(&mounted.path)?,
            Seen::Elsewhere => return Err(ToolError::MountedElsewhere { path: mounted.path }),
        }
        review.release(&pin);
        gone.push(mounted.path);
    }
    Ok(gone)
}

/// Which mounts are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmounting<'a> {
    /// All of an image, as it was named, or the one at a path.
    Of(&'a str),
    /// All.
    All,
}

impl Unmounting<'_> {
    fn fits(self, mounted: &MountedImage) -> bool {
        match self {
            Unmounting::Of(name) => mounted.image == name || mounted.path == Path::new(name),
            Unmounting::All => true,
        }
    }
}

fn seen(pin: Pin, at: MountedAt, seen: Seen) -> (Pin, MountedImage) {
    let mounted = MountedImage { image: pin.image.clone(), path: at.path, seen };
    (pin, mounted)
}

struct Reviewed {
    review: PinReview,
    left: Vec<(Pin, MountedImage)>,
}

/// Releases what no mount is left of.
fn review(store: &Store, helper: &OutsideHelper) -> Result<Reviewed, ToolError> {
    let review = store.review_pins()?;
    review.release_spent()?;
    let place = |pin: &Pin| serde_json::from_value::<MountedAt>(pin.place.clone()).ok();
    let (pins, places): (Vec<Pin>, Vec<MountedAt>) =
        store.pins()?.into_iter().filter_map(|pin| place(&pin).map(|at| (pin, at))).unzip();
    // Nobody is asked where there is nothing to ask about.
    let found = if pins.is_empty() { Vec::new() } else { helper.look(&places)? };
    let mut left = Vec::new();
    for ((pin, at), presence) in pins.into_iter().zip(places).zip(found) {
        match presence {
            Presence::Gone => review.release(&pin),
            Presence::Here => left.push(seen(pin, at, Seen::Here)),
            Presence::Elsewhere | Presence::Unknown => left.push(seen(pin, at, Seen::Elsewhere)),
        }
    }
    Ok(Reviewed { review, left })
}
