//! Which files a step may have written: a few bits for each, so that a million cost no memory to speak of.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

/// Bits of the filter.
const BITS: u64 = 1 << 24;
/// Bits that each path sets.
const EACH: u64 = 4;

/// A filter of paths: it never denies one that was added.
#[derive(Default)]
pub(super) struct Leaves {
    hasher: RandomState,
    /// Empty until the first path.
    words: Vec<u64>,
}

impl Leaves {
    pub(super) fn add(&mut self, path: &Path) {
        if self.words.is_empty() {
            self.words = vec![0; (BITS / 64) as usize];
        }
        for bit in self.bits(path) {
            self.words[(bit / 64) as usize] |= 1 << (bit % 64);
        }
    }

    /// Whether a path was added; `true` may be wrong.
    pub(super) fn may_have(&self, path: &Path) -> bool {
        let set = |bit: u64| self.words[(bit / 64) as usize] & 1 << (bit % 64) != 0;
        !self.words.is_empty() && self.bits(path).into_iter().all(set)
    }

    fn bits(&self, path: &Path) -> [u64; EACH as usize] {
        let hash = self.hasher.hash_one(path.as_os_str());
        let (first, step) = (hash & 0xffff_ffff, hash >> 32 | 1);
        std::array::from_fn(|nth| (first + step * nth as u64) % BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_may_be_there_and_most_else_may_not() {
        let name = |number: usize| format!("dir/{number}");
        let mut leaves = Leaves::default();
        assert!(!leaves.may_have(Path::new(&name(0))));
        (0..100_000).for_each(|number| leaves.add(Path::new(&name(number))));
        assert!((0..100_000).all(|number| leaves.may_have(Path::new(&name(number)))));
        let wrong = (100_000..200_000).filter(|&number| leaves.may_have(Path::new(&name(number)))).count();
        assert!(wrong < 1000, "{wrong}");
    }
}
