//! Taking defences down, in tests.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Defence;

/// Names of the defences that are down in a process and all that it starts, with commas.
pub const VARIABLE: &str = "RBUILD_TEST_DEFENCES_DOWN";

static DOWN: [AtomicBool; Defence::ALL.len()] = [const { AtomicBool::new(false) }; Defence::ALL.len()];
static READ: Once = Once::new();

/// Whether a defence stands.
pub fn stands(defence: Defence) -> bool {
    READ.call_once(read);
    !DOWN[defence as usize].load(Ordering::SeqCst)
}

#[allow(clippy::disallowed_methods, reason = "keepers start with nothing but this; tests alone have it")]
fn read() {
    let names = std::env::var(VARIABLE).unwrap_or_default();
    for name in names.split(',').filter(|name| !name.is_empty()) {
        match Defence::named(name) {
            Some(defence) => DOWN[defence as usize].store(true, Ordering::SeqCst),
            None => panic!("{VARIABLE} names no defence: {name}"),
        }
    }
}

/// Takes defences down in this process and in the keepers that it starts, until the value is dropped.
pub fn take_down(defences: &[Defence]) -> Fallen {
    READ.call_once(read);
    defences.iter().for_each(|defence| DOWN[*defence as usize].store(true, Ordering::SeqCst));
    Fallen(defences.to_vec())
}

/// Defences that are down. Dropping it raises them.
#[derive(Debug)]
pub struct Fallen(Vec<Defence>);

impl Drop for Fallen {
    fn drop(&mut self) {
        self.0.iter().for_each(|defence| DOWN[*defence as usize].store(false, Ordering::SeqCst));
    }
}

/// What a child with an empty environment has to be told.
pub fn handed_on() -> Option<(&'static str, String)> {
    let down: Vec<&str> = Defence::ALL.iter().filter(|it| !stands(**it)).map(|it| it.name()).collect();
    (!down.is_empty()).then(|| (VARIABLE, down.join(",")))
}
