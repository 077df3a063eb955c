//! What differs between two layers, from all files as they are now.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::content::of_change;
use crate::error::Result;
use crate::walk::{Contents, LayerWalk};
use crate::{Catalogue, LayerId, Store};

/// A path at which two layers differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Below the root; empty for the root itself.
    pub path: PathBuf,
    /// Which of the two say something of it.
    pub side: Side,
}

/// Which of two layers say something of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The first alone.
    One,
    /// The second alone.
    Other,
    /// Both, and not the same.
    Both,
}

impl Store {
    /// The paths at which two layers differ, sorted by bytes: in what counts for a
    /// [content id](Store::content_id), so not in times. Every file is read, whatever is remembered of it.
    pub fn differences(&self, one: &LayerId, other: &LayerId) -> Result<Vec<Difference>> {
        let mut all = Vec::new();
        self.changes(one)?.compare(self.changes(other)?, &mut |path, one, other| {
            let side = match (one, other) {
                (Some(_), None) => Side::One,
                (None, _) => Side::Other,
                (Some(_), Some(_)) => Side::Both,
            };
            all.push(Difference { path, side });
            Ok(())
        })?;
        all.sort_by(|one, other| one.path.as_os_str().as_bytes().cmp(other.path.as_os_str().as_bytes()));
        Ok(all)
    }

    fn changes(&self, id: &LayerId) -> Result<Catalogue> {
        let mut all = self.catalogue();
        LayerWalk::with_marks(self, id)?.with_contents(Contents::Read).run(&mut |path, change| {
            let mut hasher = blake3::Hasher::new();
            of_change(&mut hasher, change, None)?;
            all.insert(path, hasher.finalize().as_bytes())
        })?;
        Ok(all)
    }
}
