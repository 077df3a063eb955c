//! `--squash=auto`: layers of the build become one where a layer removes or replaces bytes of another.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use layer_store::{CacheKey, Component, Lease, Record, Snapshot};
use oci::History;

use crate::error::{Category, Cause};
use crate::export::FinishedTarget;
use crate::file::difference;
use crate::keys;
use crate::session::Session;
use crate::toolchain::hiding_layers;
use crate::worker::{Permit, blocking};

/// Name of the component of a record that holds which layers were merged.
const MERGED: &str = "merged";

/// Neighbours among the layers that a build made, bottom first, each range to become one layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ranges(Vec<RangeInclusive<usize>>);

/// Merges layers of a target above the first `base` ones. The layers must be in the store, unless an
/// earlier build merged the same.
pub(super) struct AutoSquash<'a> {
    session: &'a Session,
    snapshot: Snapshot,
    base: usize,
}

impl<'a> AutoSquash<'a> {
    /// Of a target whose first `base` layers stay. `None` where there is nothing to merge.
    pub(super) fn of(session: &'a Session, finished: &FinishedTarget, base: usize) -> Option<Self> {
        let snapshot = finished.snapshot.clone();
        (snapshot.0.len() > base + 1).then_some(Self { session, snapshot, base })
    }

    /// What an earlier build made of the same layers.
    pub(super) async fn earlier(&self) -> Option<Squashed> {
        let (lease, key) = (self.session.lease.clone(), self.key());
        let record = blocking(Permit::free(), move || lease.record(&key).ok()?).await?;
        let ranges = record.components.iter().find(|component| component.name == MERGED)?;
        Some(Squashed { ranges: Ranges::parse(&ranges.value)?, snapshot: record.outputs.first()?.clone() })
    }

    /// Looks for dead bytes, merges, and remembers it.
    pub(super) async fn make(&self) -> Result<Squashed, Cause> {
        let (lease, key) = (self.session.lease.clone(), self.key());
        let (snapshot, base) = (self.snapshot.clone(), self.base);
        blocking(Permit::free(), move || {
            let squashed = squash(&lease, &snapshot, base)?;
            let outputs = vec![squashed.snapshot.clone()];
            let merged = Component { name: MERGED.to_owned(), value: squashed.ranges.to_text() };
            let record = Record {
                result: keys::identity(&outputs),
                outputs,
                inputs: Vec::new(),
                components: vec![merged],
                content: None,
                created: 0,
                millis: 0,
            };
            lease.put_record(&key, &record)?;
            Ok(squashed)
        })
        .await
    }

    /// Not the key of any step.
    fn key(&self) -> CacheKey {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"rbuild layers without dead bytes 1\0").update(&(self.base as u64).to_be_bytes());
        for id in &self.snapshot.0 {
            hasher.update(id.as_str().as_bytes()).update(b"\0");
        }
        CacheKey(*hasher.finalize().as_bytes())
    }
}

/// Layers some of which were merged.
pub(super) struct Squashed {
    ranges: Ranges,
    snapshot: Snapshot,
}

impl Squashed {
    /// Gives the target its new layers. Of the history entries of a merged range the last stands for it.
    pub(super) fn put(self, finished: &mut FinishedTarget) {
        let from = finished.target.base_history.min(finished.target.config.history.len());
        self.ranges.mark(&mut finished.target.config.history[from..]);
        finished.snapshot = self.snapshot;
    }
}

fn squash(lease: &Lease, snapshot: &Snapshot, base: usize) -> Result<Squashed, Cause> {
    let local = |error| Cause::new(Category::Local, error);
    let ranges = Ranges::hiding(hiding_layers(lease, snapshot, base).map_err(local)?);
    let mut made = Snapshot(snapshot.0[..base].to_vec());
    let mut next = base;
    for range in &ranges.0 {
        let (first, last) = (base + range.start(), base + range.end());
        made.0.extend_from_slice(&snapshot.0[next..first]);
        let upper = Snapshot(snapshot.0[..=last].to_vec());
        let layer = difference(lease.store(), lease, &made, &upper)
            .map_err(|error| Cause::new(Category::Local, error))?;
        made = made.with(layer);
        next = last + 1;
    }
    made.0.extend_from_slice(&snapshot.0[next..]);
    Ok(Squashed { ranges, snapshot: made })
}

impl Ranges {
    /// From each layer with dead bytes to one that hides them; ranges that share a layer are one.
    fn hiding(pairs: BTreeSet<(usize, usize)>) -> Self {
        let mut ranges: Vec<RangeInclusive<usize>> = Vec::new();
        for (first, last) in pairs {
            match ranges.last_mut() {
                Some(range) if first <= *range.end() => *range = *range.start()..=last.max(*range.end()),
                Some(_) | None => ranges.push(first..=last),
            }
        }
        Self(ranges)
    }

    fn mark(&self, history: &mut [History]) {
        let standing = history.iter_mut().filter(|entry| !entry.empty_layer);
        for (layer, entry) in standing.enumerate() {
            entry.empty_layer = self.0.iter().any(|range| range.contains(&layer) && layer != *range.end());
        }
    }

    fn to_text(&self) -> String {
        let ranges = self.0.iter().map(|range| format!("{}-{}", range.start(), range.end()));
        ranges.collect::<Vec<_>>().join(",")
    }

    fn parse(text: &str) -> Option<Self> {
        let range = |text: &str| {
            let (first, last) = text.split_once('-')?;
            Some(first.parse().ok()?..=last.parse().ok()?)
        };
        text.split(',').filter(|part| !part.is_empty()).map(range).collect::<Option<_>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(hidden: &[(usize, usize)]) -> Ranges {
        Ranges::hiding(hidden.iter().copied().collect())
    }

    #[test]
    fn layers_are_merged_from_the_one_with_dead_bytes_to_the_one_that_hides_them() {
        for (hidden, expected) in [
            (&[][..], ""),
            (&[(0, 1)][..], "0-1"),
            (&[(0, 2), (4, 6)][..], "0-2,4-6"),
            (&[(4, 6), (0, 2), (2, 3)][..], "0-3,4-6"),
            (&[(0, 5), (1, 2)][..], "0-5"),
            (&[(0, 1), (2, 3)][..], "0-1,2-3"),
        ] {
            let found = ranges(hidden);
            assert_eq!(found.to_text(), expected, "{hidden:?}");
            assert_eq!(Ranges::parse(expected), Some(found));
        }
    }

    #[test]
    fn the_last_entry_of_a_range_stands_for_its_layer() {
        let entry = |empty_layer| History { empty_layer, ..History::default() };
        let mut history = [false, true, false, false, true, false].map(entry);
        ranges(&[(1, 2)]).mark(&mut history);
        assert_eq!(history.map(|entry| entry.empty_layer), [false, true, true, false, true, false]);
    }
}
