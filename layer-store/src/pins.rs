//! Pins: layers that are in use though no process of ours lives, since an image is mounted.
//!
//! A pin is a directory with a document, a mount point, and what an overlay of the layers needs beside
//! them. Whether the mount is still there is for others to find out: the store neither mounts nor looks at
//! mounts. A pin of an earlier boot holds nothing.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::{Durable, make_dir, read_json, replace, to_json};
use crate::error::{At, Result, StoreError};
use crate::ids::random_hex;
use crate::lock::{Hold, Lock};
use crate::tree::Tree;
use crate::writer::root_attributes;
use crate::{LayerId, Lease, Snapshot, Store};

const DOCUMENT: &str = "pin.json";
const HEAD: &str = "head";
const EMPTY: &str = "empty";
const ROOT: &str = "root";

/// A pin as it is on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    image: String,
    boot: String,
    layers: Vec<LayerId>,
    place: serde_json::Value,
}

/// A pin that holds layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Pin {
    /// The image, as the caller named it.
    pub image: String,
    /// What the caller noted of the place.
    pub place: serde_json::Value,
    dir: PathBuf,
}

/// A pin whose mount is being made. Dropping it removes the pin.
#[derive(Debug)]
pub struct UnfinishedPin {
    dir: PathBuf,
    lower: Vec<PathBuf>,
    /// While it is held, nobody decides that the mount is gone.
    _deciding: Lock,
    kept: bool,
}

/// The right to decide which pins are no longer needed: no mount is being made meanwhile.
#[derive(Debug)]
pub struct PinReview {
    store: Store,
    _deciding: Lock,
}

impl Lease {
    /// Pins the layers of a snapshot. `place` is what the caller wants to know of the mount point later.
    pub fn pin(
        &self,
        snapshot: &Snapshot,
        image: &str,
        place: impl FnOnce(&Path) -> serde_json::Value,
    ) -> Result<UnfinishedPin> {
        for id in &snapshot.distinct().0 {
            self.hold(id)?;
        }
        let store = self.store();
        let view = store.stack(snapshot)?;
        let deciding = Lock::take(&store.at("locks/pins"), Hold::Shared)?;
        let dir = store.at("pins").join(random_hex());
        make_dir(&dir)?;
        let mut pin = UnfinishedPin { dir, lower: Vec::new(), _deciding: deciding, kept: false };
        for name in [HEAD, EMPTY, ROOT] {
            make_dir(&pin.dir.join(name))?;
        }
        // The root of the merged tree looks like the topmost directory.
        let mut head = Tree::open(&pin.dir.join(HEAD), store.marks())?;
        head.directory(Path::new(""), &root_attributes(&view)?)?;
        head.date_directories()?;
        pin.lower.push(pin.dir.join(EMPTY));
        pin.lower.extend(snapshot.distinct().0.iter().map(|id| store.layer_dir(id)));
        pin.lower.push(pin.dir.join(HEAD));
        let kept = Kept {
            image: image.to_owned(),
            boot: store.0.boot.clone(),
            layers: snapshot.0.clone(),
            place: place(&pin.mount_point()),
        };
        let path = pin.dir.join(DOCUMENT);
        replace(&path, &pin.dir.join("unfinished"), &to_json(&path, &kept)?, Durable::No)?;
        Ok(pin)
    }
}

impl UnfinishedPin {
    /// Directories to stack, bottom first.
    pub fn lower(&self) -> &[PathBuf] {
        &self.lower
    }

    /// Where to mount them.
    pub fn mount_point(&self) -> PathBuf {
        self.dir.join(ROOT)
    }

    /// Keeps the pin: the mount is there.
    pub fn commit(mut self) -> PathBuf {
        self.kept = true;
        self.mount_point()
    }
}

impl Drop for UnfinishedPin {
    fn drop(&mut self) {
        if !self.kept {
            remove(&self.dir);
        }
    }
}

impl Store {
    /// All pins of this boot. A damaged one is none.
    pub fn pins(&self) -> Result<Vec<Pin>> {
        Ok(self
            .kept_pins()?
            .into_iter()
            .map(|(dir, kept)| Pin { image: kept.image, place: kept.place, dir })
            .collect())
    }

    /// Waits until no mount is being made, and lets none be made while the review lasts.
    pub fn review_pins(&self) -> Result<PinReview> {
        let deciding = Lock::take(&self.at("locks/pins"), Hold::Exclusive)?;
        Ok(PinReview { store: self.clone(), _deciding: deciding })
    }

    /// The layers that pins hold.
    pub(crate) fn layers_of_pins(&self) -> Result<HashSet<LayerId>> {
        Ok(self.kept_pins()?.into_iter().flat_map(|(_, kept)| kept.layers).collect())
    }

    /// The documents of pins that cannot be read.
    pub(crate) fn damaged_pins(&self) -> Result<Vec<PathBuf>> {
        let paths = self.pin_directories()?.into_iter().map(|dir| dir.join(DOCUMENT));
        Ok(paths.filter(|path| matches!(read_json::<Kept>(path), Err(StoreError::Json { .. }))).collect())
    }

    fn kept_pins(&self) -> Result<Vec<(PathBuf, Kept)>> {
        let mut found = Vec::new();
        for dir in self.pin_directories()? {
            match read_json::<Kept>(&dir.join(DOCUMENT)) {
                Ok(Some(kept)) if kept.boot == self.0.boot => found.push((dir, kept)),
                Ok(_) | Err(StoreError::Json { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn pin_directories(&self) -> Result<Vec<PathBuf>> {
        let top = self.at("pins");
        let entries = std::fs::read_dir(&top).at(&top)?;
        let mut all = entries.map(|entry| Ok(entry.at(&top)?.path())).collect::<Result<Vec<_>>>()?;
        all.sort();
        Ok(all)
    }
}

impl PinReview {
    /// Removes a pin whose mount is gone.
    pub fn release(&self, pin: &Pin) {
        remove(&pin.dir);
    }

    /// Removes what no mount can belong to: pins of earlier boots, and of processes that died too early.
    pub fn release_spent(&self) -> Result<()> {
        let kept: HashSet<PathBuf> = self.store.kept_pins()?.into_iter().map(|(dir, _)| dir).collect();
        for dir in self.store.pin_directories()?.into_iter().filter(|dir| !kept.contains(dir)) {
            remove(&dir);
        }
        Ok(())
    }
}

/// Removes a pin, part by part: nothing below a mount point is ever touched. What is mounted stays, and
/// with it the document.
fn remove(dir: &Path) {
    let gone = |done: std::io::Result<()>| match done {
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        Ok(()) => true,
    };
    if gone(std::fs::remove_dir(dir.join(ROOT))) {
        for name in [HEAD, EMPTY] {
            let _ = std::fs::remove_dir(dir.join(name));
        }
        for name in ["unfinished", DOCUMENT] {
            let _ = std::fs::remove_file(dir.join(name));
        }
        let _ = std::fs::remove_dir(dir);
    }
}
