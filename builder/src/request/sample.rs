//! How many of the cached steps are run again.

use std::num::NonZeroU8;

/// A part of the steps that are found, and which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSample {
    /// How many; at least one, where there is any.
    pub percent: Percent,
    /// The same seed chooses the same among the same steps.
    pub seed: u64,
}

/// From 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(NonZeroU8);

impl Percent {
    /// `None`: not from 1 to 100.
    pub fn new(number: u8) -> Option<Self> {
        NonZeroU8::new(number).filter(|number| number.get() <= 100).map(Self)
    }

    /// So much of a number, rounded up.
    pub fn of(self, number: usize) -> usize {
        number.saturating_mul(usize::from(self.0.get())).div_ceil(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_rounded_up() {
        let of = |percent, number| Percent::new(percent).map(|percent| percent.of(number));
        for (percent, number, part) in [(1, 0, 0), (1, 1, 1), (10, 7, 1), (34, 3, 2), (50, 7, 4), (100, 7, 7)]
        {
            assert_eq!(of(percent, number), Some(part), "{percent} % of {number}");
        }
        assert_eq!((Percent::new(0), Percent::new(101)), (None, None));
    }
}
