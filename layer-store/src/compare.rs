//! What differs between two layers, from all files as they are now.

use std::cmp::Ordering;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::content::of_change;
use crate::error::Result;
use crate::walk::LayerWalk;
use crate::{LayerId, Store};

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

type Changes = Vec<(PathBuf, [u8; 32])>;

impl Store {
    /// The paths at which two layers differ, sorted by bytes: in what counts for a
    /// [content id](Store::content_id), so not in times. Every file is read, whatever is remembered of it.
    pub fn differences(&self, one: &LayerId, other: &LayerId) -> Result<Vec<Difference>> {
        Ok(merge(self.changes(one)?, self.changes(other)?))
    }

    fn changes(&self, id: &LayerId) -> Result<Changes> {
        let mut all = Changes::new();
        LayerWalk::with_marks(self, id)?.run(&mut |path, change| {
            let mut hasher = blake3::Hasher::new();
            of_change(&mut hasher, change, None)?;
            all.push((path.to_owned(), *hasher.finalize().as_bytes()));
            Ok(())
        })?;
        all.sort_by(|one, other| one.0.as_os_str().as_bytes().cmp(other.0.as_os_str().as_bytes()));
        Ok(all)
    }
}

fn merge(one: Changes, other: Changes) -> Vec<Difference> {
    let mut all = Vec::new();
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    loop {
        let order = match (one.peek(), other.peek()) {
            (None, None) => return all,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()),
        };
        let (mine, side, same) = match order {
            Ordering::Less => (one.next(), Side::One, false),
            Ordering::Greater => (other.next(), Side::Other, false),
            Ordering::Equal => {
                let (a, b) = (one.next(), other.next());
                let same = a == b;
                (a, Side::Both, same)
            }
        };
        if let (Some((path, _)), false) = (mine, same) {
            all.push(Difference { path, side });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_one_side_and_paths_that_differ() {
        let changes = |text: &str| -> Changes {
            text.split_whitespace()
                .map(|word| (PathBuf::from(&word[1..]), [word.as_bytes()[0]; 32]))
                .collect()
        };
        let told = |one: &str, other: &str| -> Vec<(String, Side)> {
            let all = merge(changes(one), changes(other));
            all.into_iter().map(|one| (one.path.display().to_string(), one.side)).collect()
        };
        assert_eq!(told("1a 2b", "1a 2b"), []);
        let expected = [("a", Side::One), ("c", Side::Both), ("d", Side::Other)];
        assert_eq!(told("1a 1b 1c", "1b 2c 1d"), expected.map(|(path, side)| (path.to_owned(), side)));
    }
}
