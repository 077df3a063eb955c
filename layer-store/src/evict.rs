//! One quota for all: which results of steps go, so that the store takes no more than it may.

use std::collections::{HashMap, HashSet};

use crate::error::Result;
use crate::results::Group;
use crate::{CacheKey, CachedResult, Collected, JournalEntry, Keep, LayerId, Store, Usage, lease};

/// What an eviction is to reach. What images or live processes use always stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes that the store may take.
    pub most: Option<u64>,
    /// Unix time: results last used before it go in any case.
    pub unused_since: Option<i64>,
    /// Unix time: results last used at or after it stay, whatever the store takes.
    pub keep_since: Option<i64>,
}

/// What is to go, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvictionPlan {
    /// Results of steps: long unused, large and cheap ones first.
    pub victims: Vec<CachedResult>,
    /// Parts of the journal of builds, the oldest first, where the results are not enough.
    pub journal: Vec<JournalEntry>,
    /// Whether cache mounts that nobody uses go, too, where the journal is not enough either.
    pub mounts: MountsGo,
    /// What the store takes now.
    pub before: Usage,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evicted {
    /// What went.
    pub gone: Collected,
    /// Parts of the journal that went.
    pub journal: usize,
    /// Cache mounts that went.
    pub mounts: usize,
    /// What the store takes now.
    pub after: Usage,
}

/// A result that may go.
struct Candidate {
    group: Group,
    /// Its share of the bytes of all its layers that no image has.
    share: u64,
}

impl Store {
    /// Decides what has to go. `now` is the Unix time that idleness is counted from.
    pub fn plan_eviction(&self, quota: Quota, now: i64) -> Result<EvictionPlan> {
        let usage = self.usage()?;
        let kept = self.lasting_layers()?;
        let groups = self.grouped_records(&usage)?;
        let mut users: HashMap<LayerId, u64> = HashMap::new();
        for layer in groups.iter().flat_map(|group| &group.layers) {
            *users.entry(layer.clone()).or_default() += 1;
        }
        let size = |layer: &LayerId| usage.layers.get(layer).copied().unwrap_or(0);
        let candidate = |group: Group| {
            let freed = group.layers.iter().filter(|layer| !kept.contains(*layer));
            let share = freed.map(|layer| size(layer) / users[layer].max(1)).sum();
            Candidate { group, share }
        };
        let mut candidates: Vec<Candidate> = groups.into_iter().map(candidate).collect();
        candidates.sort_by(|one, other| weight(other, now).total_cmp(&weight(one, now)));
        // What nothing refers to goes by itself.
        let idle = usage.layers.iter().filter(|(id, _)| !kept.contains(*id) && !users.contains_key(*id));
        let mut left = usage.total - idle.map(|(_, size)| size).sum::<u64>().min(usage.total);
        let mut plan = EvictionPlan::default();
        for candidate in candidates {
            let used = candidate.group.result.used;
            let old = quota.unused_since.is_some_and(|time| used < time);
            // What would free nothing stays, too: an image or a living process has all of it.
            let fits = candidate.share == 0 || quota.most.is_none_or(|most| left <= most);
            if quota.keep_since.is_some_and(|time| used >= time) || (fits && !old) {
                continue;
            }
            for layer in &candidate.group.layers {
                let count = users.entry(layer.clone()).or_default();
                *count = count.saturating_sub(1);
                if *count == 0 && !kept.contains(layer) {
                    left = left.saturating_sub(size(layer));
                }
            }
            plan.victims.push(candidate.group.result);
        }
        let most = quota.most.unwrap_or(u64::MAX);
        for entry in self.journal() {
            if left <= most {
                break;
            }
            left = left.saturating_sub(entry.bytes);
            plan.journal.push(entry);
        }
        if usage.mounts > 0 && left > most {
            plan.mounts = MountsGo::Yes;
        }
        plan.before = usage;
        Ok(plan)
    }

    /// Does what a plan says. What living processes use stays.
    pub fn evict(&self, plan: &EvictionPlan) -> Result<Evicted> {
        let keys: Vec<CacheKey> = plan.victims.iter().flat_map(|victim| victim.keys.clone()).collect();
        let records = self.forget_records(&keys)?;
        // What is kept for a look at failures goes first.
        self.forget_states()?;
        let mut gone = self.collect(Keep::AllRecords)?;
        gone.records = records;
        for entry in &plan.journal {
            self.discard(&entry.path)?;
        }
        let mounts = match plan.mounts {
            MountsGo::Yes => self.remove_cache_mounts()?,
            MountsGo::No => 0,
        };
        let (journal, after) = (plan.journal.len(), self.usage()?);
        Ok(Evicted { gone, journal, mounts, after })
    }

    /// What stays whatever the quota is.
    fn lasting_layers(&self) -> Result<HashSet<LayerId>> {
        let images = self.images()?.into_iter();
        let variants = images.flat_map(|(_, image)| image.variants);
        let mut layers: HashSet<LayerId> = variants.flat_map(|variant| variant.snapshot.0).collect();
        layers.extend(self.layers_of_pins()?);
        layers.extend(lease::held_by_the_living(self)?.into_iter().flatten());
        Ok(layers)
    }
}

/// How much is won for what it would cost to make it again: bytes times idle seconds by seconds of work.
fn weight(candidate: &Candidate, now: i64) -> f64 {
    let idle = (now - candidate.group.result.used).max(1) as f64;
    let cost = (candidate.group.result.millis as f64 / 1000.0).max(0.1);
    candidate.share as f64 * idle / cost
}
