//! Which step of one build is which of another: by their stage and by the order of instructions.

use std::collections::BTreeMap;

use super::{Build, Step};

/// What a step was in the earlier build.
#[derive(Clone, Copy, Debug)]
pub(super) enum Was<'a> {
    /// The same instruction.
    Same(&'a Step),
    /// Another instruction in its place.
    Other(&'a Step),
    /// Nothing.
    Absent,
}

/// The steps of the newer build by number, and the steps of the earlier one that have no counterpart.
pub(super) struct Alignment<'a> {
    was: BTreeMap<u32, Was<'a>>,
    pub(super) removed: Vec<&'a Step>,
}

impl<'a> Alignment<'a> {
    pub(super) fn new(old: &'a Build, new: &Build) -> Self {
        let mut all = Self { was: BTreeMap::new(), removed: Vec::new() };
        let (mut before, after) = (stages(old), stages(new));
        for (stage, new) in after {
            all.stage(&before.remove(&stage).unwrap_or_default(), &new);
        }
        all.removed.extend(before.into_values().flatten());
        all
    }

    pub(super) fn was(&self, step: u32) -> Was<'a> {
        self.was.get(&step).copied().unwrap_or(Was::Absent)
    }

    fn stage(&mut self, old: &[&'a Step], new: &[&Step]) {
        let pairs = super::text::common(old, new, |old, new| wording(old) == wording(new));
        let (mut from, mut to) = (0, 0);
        for (at_old, at_new) in pairs.into_iter().chain([(old.len(), new.len())]) {
            self.gap(&old[from..at_old], &new[to..at_new]);
            if let (Some(old), Some(new)) = (old.get(at_old), new.get(at_new)) {
                self.was.insert(new.id, Was::Same(old));
            }
            (from, to) = (at_old + 1, at_new + 1);
        }
    }

    /// Between two instructions that stayed: what stands in the place of what.
    fn gap(&mut self, old: &[&'a Step], new: &[&Step]) {
        for (position, step) in new.iter().enumerate() {
            let was = old.get(position).map_or(Was::Absent, |old| Was::Other(old));
            self.was.insert(step.id, was);
        }
        self.removed.extend(old.iter().skip(new.len()));
    }
}

fn stages(build: &Build) -> BTreeMap<String, Vec<&Step>> {
    let mut all: BTreeMap<String, Vec<&Step>> = BTreeMap::new();
    for step in build.steps.iter().filter(|step| step.parts.is_some()) {
        all.entry(stage(&step.title)).or_default().push(step);
    }
    all
}

/// The stage in a title: what stands in brackets before the position.
fn stage(title: &str) -> String {
    let inside =
        title.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or("", |(inside, _)| inside);
    inside.rsplit_once(' ').map_or_else(String::new, |(stage, _)| stage.to_owned())
}

/// An instruction as it is written, else the title without its position.
pub(super) fn wording(step: &Step) -> &str {
    match &step.instruction {
        Some((text, _)) => text,
        None => step.title.split_once("] ").map_or(step.title.as_str(), |(_, rest)| rest),
    }
}
