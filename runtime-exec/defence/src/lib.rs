//! The lines of defence that the escape museum attacks, by name.
//!
//! The code that defends asks [`stands`] at the one place where it does so. In what ships the answer is
//! constant, and nothing of this crate is left in the program. With the feature `switches`, in a build
//! with debug assertions, a test can take a defence down, to show that its attack then succeeds: a test
//! of an attack that fails for another reason would show nothing.
//!
//! Not here: what a defence does. See `tests/museum`.

mod list;
#[cfg(all(feature = "switches", debug_assertions))]
mod switches;

pub use list::Defence;
#[cfg(all(feature = "switches", debug_assertions))]
pub use switches::{Fallen, VARIABLE, handed_on, stands, take_down};

/// Whether a defence stands. It does.
#[cfg(not(all(feature = "switches", debug_assertions)))]
#[inline(always)]
pub const fn stands(_: Defence) -> bool {
    true
}

/// What a child with an empty environment has to be told. Nothing.
#[cfg(not(all(feature = "switches", debug_assertions)))]
#[inline(always)]
pub const fn handed_on() -> Option<(&'static str, String)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Run in a release build with the feature, too: see `tests/museum`.
    #[cfg(not(all(feature = "switches", debug_assertions)))]
    #[test]
    fn nothing_can_be_taken_down() {
        const { assert!(stands(Defence::ALL[0])) };
        assert!(Defence::ALL.iter().all(|defence| stands(*defence)));
        assert_eq!(handed_on(), None);
    }

    #[test]
    fn every_defence_has_a_name_of_its_own() {
        for (place, defence) in Defence::ALL.iter().enumerate() {
            assert_eq!(*defence as usize, place);
            assert_eq!(Defence::named(defence.name()), Some(*defence));
        }
        assert_eq!(Defence::named("None"), None);
    }
}
