//! One quota for all: which results of steps go, so that the store takes no more than it may.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::Result;
use crate::{CacheKey, Collected, JournalEntry, Keep, LayerId, Record, Store, lease};

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

/// A result that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// Its keys.
    pub keys: Vec<CacheKey>,
    /// Bytes of the layers that it added. They become free when nothing that was made upon them is left.
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
    /// Parts of the journal of builds, the oldest first, where the results are not enough.
    pub journal: Vec<JournalEntry>,
    /// Whether cache mounts that nobody uses go, too, where the journal is not enough either.
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
    /// Other processes use the store, and may need what is there: results were forgotten, and what they
    /// take goes with the next collection.
    InUse {
        /// How many keys were forgotten.
        records: usize,
    },
    /// It was done.
    Done {
        /// What went.
        gone: Collected,
        /// Parts of the journal that went.
        journal: usize,
        /// Cache mounts that went.
        mounts: usize,
        /// Bytes that the store takes now.
        after: u64,
    },
}

/// A result that may go.
struct Candidate {
    victim: Victim,
    /// All layers that its records name.
    layers: HashSet<LayerId>,
    /// Those that each of its records names: what it added.
    own: HashSet<LayerId>,
    /// Its share of the bytes of all its layers that no image has.
    share: u64,
}

/// What makes two records those of one result: the topmost layers. A record under a definition key has the
/// layers below as well, one under a result key has not.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Tops {
    Layers(Vec<LayerId>),
    /// It added none.
    Nothing(CacheKey),
}

impl Tops {
    fn of(key: &CacheKey, record: &Record) -> Self {
        let tops: Vec<LayerId> =
            record.outputs.iter().filter_map(|snapshot| snapshot.0.last().cloned()).collect();
        if tops.is_empty() { Tops::Nothing(*key) } else { Tops::Layers(tops) }
    }
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
            let freed = candidate.layers.iter().filter(|layer| !kept.contains(*layer));
            candidate.share = freed.map(|layer| size(layer) / users[layer].max(1)).sum();
            candidate.victim.bytes = candidate.own.iter().map(size).sum();
        }
        candidates.sort_by(|one, other| weight(other, now).total_cmp(&weight(one, now)));
        // What nothing refers to goes by itself.
        let idle = usage.layers.iter().filter(|(id, _)| !kept.contains(*id) && !users.contains_key(*id));
        let mut left = usage.total - idle.map(|(_, size)| size).sum::<u64>().min(usage.total);
        let mut plan = EvictionPlan { before: usage.total, ..EvictionPlan::default() };
        for candidate in candidates {
            let used = candidate.victim.used;
            let old = quota.unused_since.is_some_and(|time| used < time);
            let fits = quota.most.is_none_or(|most| left <= most);
            if quota.keep_since.is_some_and(|time| used >= time) || (fits && !old) {
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
        let Some(most) = quota.most else { return Ok(plan) };
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
        Ok(plan)
    }

    /// Does what a plan says, as far as no other process uses the store.
    pub fn evict(&self, plan: &EvictionPlan) -> Result<Evicted> {
        let keys: Vec<CacheKey> = plan.victims.iter().flat_map(|victim| victim.keys.clone()).collect();
        let records = self.forget_records(&keys)?;
        lease::sweep_dead(self)?;
        if lease::any_alive(self)? {
            return Ok(Evicted::InUse { records });
        }
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
        let (journal, after) = (plan.journal.len(), self.usage()?.total);
        Ok(Evicted::Done { gone, journal, mounts, after })
    }

    fn layers_of_images(&self) -> Result<HashSet<LayerId>> {
        let images = self.images()?.into_iter();
        let variants = images.flat_map(|(_, image)| image.variants);
        Ok(variants.flat_map(|variant| variant.snapshot.0).collect())
    }

    /// One for each result, whatever the number of its keys.
    fn candidates(&self) -> Result<Vec<Candidate>> {
        let used: HashMap<CacheKey, i64> = self.last_uses()?.into_iter().collect();
        let mut found: BTreeMap<Tops, Candidate> = BTreeMap::new();
        for (key, record) in self.every_record()? {
            let last = used.get(&key).copied().unwrap_or(record.created);
            let layers: HashSet<LayerId> =
                record.outputs.iter().flat_map(|snapshot| snapshot.0.clone()).collect();
            let candidate = found.entry(Tops::of(&key, &record)).or_insert_with(|| Candidate {
                victim: Victim { keys: Vec::new(), bytes: 0, millis: record.millis, used: last },
                layers: HashSet::new(),
                own: layers.clone(),
                share: 0,
            });
            candidate.victim.keys.push(key);
            candidate.victim.used = candidate.victim.used.max(last);
            candidate.victim.millis = candidate.victim.millis.max(record.millis);
            candidate.own.retain(|layer| layers.contains(layer));
            candidate.layers.extend(layers);
        }
        Ok(found.into_values().collect())
    }
}

/// How much is won for what it would cost to make it again: bytes times idle seconds by seconds of work.
fn weight(candidate: &Candidate, now: i64) -> f64 {
    let idle = (now - candidate.victim.used).max(1) as f64;
    let cost = (candidate.victim.millis as f64 / 1000.0).max(0.1);
    candidate.share as f64 * idle / cost
}
