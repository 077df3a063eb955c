//! What an exhibit is, and when it is proven.

use std::path::{Path, PathBuf};

use defence::Defence;

use crate::modes::Mode;
use crate::support::Place;

/// What an attack got that it must not have; `None`: nothing.
pub type Loot = Option<String>;

/// One attack.
pub struct Exhibit {
    /// Its name, as the README has it.
    pub name: &'static str,
    /// What stops it; each alone is enough.
    pub defences: &'static [Defence],
    /// Where it is tried.
    pub hall: Hall,
}

/// Where an attack is tried.
#[derive(Clone, Copy)]
pub enum Hall {
    /// In a process that has entered one of these modes.
    Entered(&'static [Mode], fn(&Place) -> Loot),
    /// In a process that nothing is special about.
    Outside(fn(&Path) -> Loot),
}

impl Exhibit {
    pub const fn entered(
        name: &'static str,
        defences: &'static [Defence],
        modes: &'static [Mode],
        attack: fn(&Place) -> Loot,
    ) -> Exhibit {
        Exhibit { name, defences, hall: Hall::Entered(modes, attack) }
    }

    pub const fn outside(
        name: &'static str,
        defences: &'static [Defence],
        attack: fn(&Path) -> Loot,
    ) -> Exhibit {
        Exhibit { name, defences, hall: Hall::Outside(attack) }
    }

    /// Tries it with all defences, with each one alone, and with none: then it has to succeed, or it would
    /// show nothing.
    pub fn prove(&self, attack: impl Fn() -> Loot) {
        assert!(!self.defences.is_empty());
        assert_eq!(attack(), None, "{}: what it got", self.name);
        if self.defences.len() > 1 {
            for alone in self.defences {
                let others: Vec<Defence> =
                    self.defences.iter().copied().filter(|other| other != alone).collect();
                let _down = defence::take_down(&others);
                assert_eq!(attack(), None, "{}: what it got with {} alone", self.name, alone.name());
            }
        }
        let _down = defence::take_down(self.defences);
        assert!(
            attack().is_some(),
            "{}: it fails without its defences, too, and so shows nothing",
            self.name
        );
    }
}

/// A directory of the host with something to steal.
pub fn treasury(place: &Place) -> PathBuf {
    let dir = place.fresh();
    std::fs::write(dir.join("canary"), CANARY).unwrap();
    dir
}

/// What nobody inside may read.
pub const CANARY: &str = "of the host";

/// The output, if a secret of the host is in it.
pub fn stolen(said: &str) -> Loot {
    said.contains(CANARY).then(|| said.to_owned())
}
