//! Results of steps that are kept: the records that belong together, and what they take.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::Result;
use crate::{CacheKey, LayerId, Record, Store, Usage};

/// A result of a step that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedResult {
    /// Its keys: the definition key, the result key.
    pub keys: Vec<CacheKey>,
    /// Definition keys of all that it was made upon.
    pub inputs: HashSet<CacheKey>,
    /// The layers that it added.
    pub layers: Vec<LayerId>,
    /// Bytes of those layers. They become free when nothing that was made upon them is left.
    pub bytes: u64,
    /// How long it took to make, in milliseconds.
    pub millis: u64,
    /// Unix time at which it was made.
    pub created: i64,
    /// Unix time of its last use.
    pub used: i64,
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

/// The records of one result.
pub(crate) struct Group {
    pub(crate) result: CachedResult,
    /// All layers that its records name.
    pub(crate) layers: HashSet<LayerId>,
    /// Those that each of its records names: what it added.
    own: HashSet<LayerId>,
}

impl Store {
    /// All results that are kept.
    pub fn cached_results(&self) -> Result<Vec<CachedResult>> {
        let usage = self.usage()?;
        Ok(self.grouped_records(&usage)?.into_iter().map(|group| group.result).collect())
    }

    /// One group for each result, whatever the number of its keys.
    pub(crate) fn grouped_records(&self, usage: &Usage) -> Result<Vec<Group>> {
        let used: HashMap<CacheKey, i64> = self.last_uses()?.into_iter().collect();
        let mut groups: BTreeMap<Tops, Group> = BTreeMap::new();
        for (key, record) in self.every_record()? {
            let layers: HashSet<LayerId> =
                record.outputs.iter().flat_map(|snapshot| snapshot.0.clone()).collect();
            let last = used.get(&key).copied().unwrap_or(record.created);
            let group = groups.entry(Tops::of(&key, &record)).or_insert_with(|| Group {
                result: CachedResult {
                    keys: Vec::new(),
                    inputs: HashSet::new(),
                    layers: Vec::new(),
                    bytes: 0,
                    millis: record.millis,
                    created: record.created,
                    used: last,
                },
                layers: HashSet::new(),
                own: layers.clone(),
            });
            let result = &mut group.result;
            result.keys.push(key);
            result.inputs.extend(record.inputs.iter().map(|input| input.key));
            result.used = result.used.max(last);
            result.created = result.created.min(record.created);
            result.millis = result.millis.max(record.millis);
            group.own.retain(|layer| layers.contains(layer));
            group.layers.extend(layers);
        }
        let finish = |mut group: Group| {
            group.result.layers = group.own.iter().cloned().collect();
            group.result.layers.sort();
            let size = |layer| usage.layers.get(layer).copied().unwrap_or(0);
            group.result.bytes = group.result.layers.iter().map(size).sum();
            group
        };
        Ok(groups.into_values().map(finish).collect())
    }
}
