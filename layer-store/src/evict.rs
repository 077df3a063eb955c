//! One quota for all: which results of steps go, so that the store takes no more than it may.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::Result;
use crate::{CacheKey, Collected, Keep, LayerId, ResultId, Store, lease};

/// What an eviction is to reach. What images or live processes use always stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes that the store may take.
    pub most: Option<u64>,
    /// Unix time: results last used before it go in any case.
    pub unused_since: Option<i64>,
}

/// A result that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// Its keys.
    pub keys: Vec<CacheKey>,
    /// Bytes that only it uses, or its share of them.
    pub bytes: u64,
    /// How long it took to make, in milliseconds.
    pub millis: u64,
    /// Unix time of its last use.
    pub used: i64,
}

/// What is to go, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvictionPlan {
    /// Results of steps: long unused, large and cheap ones first.
    pub victims: Vec<Victim>,
    /// Whether cache mounts that nobody uses go, too: without them the rest would still be too large.
    pub mounts: MountsGo,
    /// Bytes that the store takes now.
    pub before: u64,
}

/// Whether cache mounts are part of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MountsGo {
    /// They are.
    Yes,
    /// They stay.
    #[default]
    No,
}

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evicted {
    /// Other processes use the store: nothing went, since they may need it.
    InUse,
    /// It was done.
    Done {
        /// What went.
        gone: Collected,
        /// Cache mounts that went.
        mounts: usize,
        /// Bytes that the store takes now.
        after: u64,
    },
}

/// A result that may go.
struct Candidate {
    victim: Victim,
    layers: HashSet<LayerId>,
}

impl Store {
    /// Decides what has to go. `now` is the Unix time that idleness is counted from.
    pub fn plan_eviction(&self, quota: Quota, now: i64) -> Result<EvictionPlan> {
        let usage = self.usage()?;
        let kept = self.layers_of_images()?;
        let mut candidates = self.candidates()?;
        let mut users: HashMap<LayerId, u64> = HashMap::new();
        for layer in candidates.iter().flat_map(|candidate| &candidate.layers) {
            *users.entry(layer.clone()).or_default() += 1;
        }
        let size = |layer: &LayerId| usage.layers.get(layer).copied().unwrap_or(0);
        for candidate in &mut candidates {
            let own = candidate.layers.iter().filter(|layer| !kept.contains(*layer));
            candidate.victim.bytes = own.map(|layer| size(layer) / users[layer].max(1)).sum();
        }
        candidates.sort_by(|one, other| weight(&other.victim, now).total_cmp(&weight(&one.victim, now)));
        // What nothing refers to goes by itself.
        let idle = usage.layers.iter().filter(|(id, _)| !kept.contains(*id) && !users.contains_key(*id));
        let mut left = usage.total - idle.map(|(_, size)| size).sum::<u64>().min(usage.total);
        let mut plan = EvictionPlan { before: usage.total, ..EvictionPlan::default() };
        for candidate in candidates {
            let old = quota.unused_since.is_some_and(|time| candidate.victim.used < time);
            if !old && quota.most.is_none_or(|most| left <= most) {
                continue;
            }
            for layer in &candidate.layers {
                let count = users.entry(layer.clone()).or_default();
                *count = count.saturating_sub(1);
                if *count == 0 && !kept.contains(layer) {
                    left = left.saturating_sub(size(layer));
                }
            }
            plan.victims.push(candidate.victim);
        }
        if usage.mounts > 0 && quota.most.is_some_and(|most| left > most) {
            plan.mounts = MountsGo::Yes;
        }
        Ok(plan)
    }

    /// Does what a plan says, unless other processes use the store.
    pub fn evict(&self, plan: &EvictionPlan) -> Result<Evicted> {
        lease::sweep_dead(self)?;
        if lease::any_alive(self)? {
            return Ok(Evicted::InUse);
        }
        let keys: Vec<CacheKey> = plan.victims.iter().flat_map(|victim| victim.keys.clone()).collect();
        self.forget_records(&keys)?;
        let mut gone = self.collect(Keep::AllRecords)?;
        gone.records = keys.len();
        let mounts = match plan.mounts {
            MountsGo::Yes => self.remove_cache_mounts()?,
            MountsGo::No => 0,
        };
        Ok(Evicted::Done { gone, mounts, after: self.usage()?.total })
    }

    fn layers_of_images(&self) -> Result<HashSet<LayerId>> {
        let images = self.images()?.into_iter();
        let variants = images.flat_map(|(_, image)| image.variants);
        Ok(variants.flat_map(|variant| variant.snapshot.0).collect())
    }

    /// One for each result, whatever the number of its keys.
    fn candidates(&self) -> Result<Vec<Candidate>> {
        let used: HashMap<CacheKey, i64> = self.last_uses()?.into_iter().collect();
        let mut found: BTreeMap<ResultId, Candidate> = BTreeMap::new();
        for (key, record) in self.every_record()? {
            let last = used.get(&key).copied().unwrap_or(record.created);
            let candidate = found.entry(record.result).or_insert_with(|| Candidate {
                victim: Victim { keys: Vec::new(), bytes: 0, millis: record.millis, used: last },
                layers: HashSet::new(),
            });
            candidate.victim.keys.push(key);
            candidate.victim.used = candidate.victim.used.max(last);
            candidate.victim.millis = candidate.victim.millis.max(record.millis);
            candidate.layers.extend(record.outputs.into_iter().flat_map(|snapshot| snapshot.0));
        }
        Ok(found.into_values().collect())
    }
}

/// How much is won for what it would cost to make it again: bytes times idle seconds by seconds of work.
fn weight(victim: &Victim, now: i64) -> f64 {
    let idle = (now - victim.used).max(1) as f64;
    let cost = (victim.millis as f64 / 1000.0).max(0.1);
    victim.bytes as f64 * idle / cost
}
