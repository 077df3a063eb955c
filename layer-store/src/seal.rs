//! What survives a power cut: layers that are synced, and layers that are proven to be whole afterwards.
//!
//! Layers are not synced when they get their names; they carry a mark with the identity of the boot instead. One
//! `syncfs` makes many of them durable, and their marks go. A layer with the mark of another boot may be torn. It
//! counts as absent, unless its content id is known and its files, read once more, have it.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

use rustix::fs::syncfs;

use crate::attributes::Kind;
use crate::disk::{Durable, replace};
use crate::error::{At, Result};
use crate::ids::random_hex;
use crate::layers::{Known, Meta};
use crate::walk::{Change, LayerWalk};
use crate::{KnownContents, LayerId, Lease, Origin, Store};

/// The file beside a layer's files that says which boot has not synced it.
pub(crate) const MARK: &str = "unsynced";

/// What the mark says of a layer that turned out to be torn.
const TORN: &str = "torn";

/// After so long the kernel has written back what was written: `dirty_expire_centisecs` is 30 s, and twice that is
/// enough for a disk that is not busy.
const WRITTEN_BACK: Duration = Duration::from_secs(60);

impl Store {
    /// Syncs the store's file system once; what is here now then survives a power cut: all blobs, and the layers that
    /// the lease's process made or uses, whoever made them in this boot.
    pub fn seal(&self, lease: &Lease) -> Result<()> {
        debug_assert_eq!(lease.store().root(), self.root());
        let mut marked: Vec<PathBuf> = self.unsynced(lease).iter().map(|id| self.mark(id)).collect();
        marked.extend(self.marked_blobs()?);
        if marked.is_empty() {
            return Ok(());
        }
        let root = File::open(self.root()).at(self.root())?;
        syncfs(&root).at(self.root())?;
        for mark in &marked {
            match std::fs::remove_file(mark) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).at(mark),
                Err(_) | Ok(()) => {}
            }
        }
        // The removals themselves, and so the names of the layers.
        let places: BTreeSet<_> = marked.iter().filter_map(|mark| mark.parent()).collect();
        for place in places {
            File::open(place).and_then(|place| place.sync_all()).at(place)?;
        }
        Ok(())
    }

    /// Leaves what the lease's process made or uses as durable as it has to be at the end of a build.
    ///
    /// Nothing is synced if each layer could be proven after a power cut: waiting for the disk costs several times what
    /// reading the layers does, and what is lost is made again. Layers that cannot be proven are synced, and so are
    /// those that are old: the kernel has written them already, and to say so costs nothing.
    pub fn settle(&self, lease: &Lease) -> Result<()> {
        let unsynced = self.unsynced(lease);
        // Blobs alone are no reason: their names prove them.
        if unsynced.is_empty() {
            return Ok(());
        }
        let is_old = |id: &LayerId| {
            let made = std::fs::metadata(self.mark(id)).and_then(|found| found.modified()).ok();
            made.and_then(|made| made.elapsed().ok()).is_some_and(|age| age > WRITTEN_BACK)
        };
        if unsynced.iter().all(is_old) {
            return self.seal(lease);
        }
        for id in &unsynced {
            if !self.can_be_proven(id)? {
                return self.seal(lease);
            }
        }
        Ok(())
    }

    /// Whether what is known of a layer suffices to prove it later. Of a layer that a step made it does from here on.
    fn can_be_proven(&self, id: &LayerId) -> Result<bool> {
        let meta = self.present_meta(id)?;
        Ok(match (meta.known, meta.origin) {
            (Known::All, _) => true,
            (Known::Part, Origin::Step) => self.content_id(id).is_ok(),
            (Known::Part, Origin::Image) => meta.content_id.is_some(),
        })
    }

    /// Compares a layer that another boot left unsynced with what is known of it. Files that hold what they should
    /// are whole: names, owners and modes are in the file system's journal before the layer has its name. What is
    /// proven counts as of this boot.
    pub(crate) fn prove(&self, id: &LayerId, meta: Meta) -> Result<Option<Meta>> {
        // Who waits finds it decided.
        let _one = self.0.proving.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = self.mark(id);
        match std::fs::read_to_string(&mark) {
            Ok(text) if text == self.0.boot => return Ok(Some(meta)),
            Ok(text) if text == TORN => return Ok(None),
            Ok(_) | Err(_) => {}
        }
        let text = match self.files_are_known(id, &meta) {
            Ok(Proof::Whole) => self.0.boot.as_str(),
            Ok(Proof::Torn) => TORN,
            Ok(Proof::Unknown) | Err(_) => return Ok(None),
        };
        let scratch = self.at("tmp").join(format!("file-{}", random_hex()));
        replace(&mark, &scratch, text.as_bytes(), Durable::No)?;
        Ok((text != TORN).then_some(meta))
    }

    /// Compares all files of a layer with the digests that were noted when it was made. Reads them.
    pub(crate) fn files_are_known(&self, id: &LayerId, meta: &Meta) -> Result<Proof> {
        let is_whole = match (meta.content_id, meta.known) {
            (Some(expected), _) => self.content_of(id)? == expected,
            (None, Known::All) => has_contents(&self.walk_unproven(id)?, &self.known_contents(id)?)?,
            (None, Known::Part) => return Ok(Proof::Unknown),
        };
        Ok(if is_whole { Proof::Whole } else { Proof::Torn })
    }

    fn mark(&self, id: &LayerId) -> PathBuf {
        self.layer_path(id).join(MARK)
    }

    /// The layers of the lease that this boot has not synced. Each is looked at by its name: a store holds many
    /// layers that a build has nothing to do with.
    fn unsynced(&self, lease: &Lease) -> Vec<LayerId> {
        let of_this_boot =
            |id: &LayerId| std::fs::read_to_string(self.mark(id)).is_ok_and(|boot| boot == self.0.boot);
        lease.held().into_iter().filter(of_this_boot).collect()
    }
}

/// What is known of a layer's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// They are those that the layer was made with.
    Whole,
    /// They are others.
    Torn,
    /// Nothing was noted.
    Unknown,
}

/// Whether every file has the digest that is known of it, under one of its names at least.
fn has_contents(walk: &LayerWalk<'_>, known: &KnownContents) -> Result<bool> {
    let mut seen = HashMap::new();
    let mut all = true;
    walk.run(&mut |path, change| {
        let Change::Entry { attributes, host, inode, links, .. } = change else { return Ok(()) };
        if !matches!(attributes.kind, Kind::File { .. }) {
            return Ok(());
        }
        let found = match known.get(path) {
            Some(expected) => Some(digest_of(host)? == expected),
            None => None,
        };
        match (found, *links > 1) {
            (Some(is_right), true) => drop(seen.insert(*inode, is_right)),
            (None, true) => drop(seen.entry(*inode).or_insert(false)),
            (found, false) => all &= found == Some(true),
        }
        Ok(())
    })?;
    Ok(all && seen.into_values().all(|is_right| is_right))
}

fn digest_of(host: &Path) -> Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(host).at(host)?).at(host)?;
    Ok(hasher.finalize().into())
}
