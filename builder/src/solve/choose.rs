//! Which of several recorded results of a step is looked at, where other stores offer some too.
//!
//! A result fixes the results of all that went into it. So the choice begins at the targets: the first
//! result of a step for which all that went into it can be had alike is taken together with that; what is
//! here comes before what is offered. Steps for which there is no such result are left as they are here.

use std::collections::{BTreeMap, BTreeSet};

use graph::VertexId;
use layer_store::{CacheKey, Record, ResultId};

use super::name::Name;
use super::web::Web;
use crate::worker::Reach;

/// Where a recorded result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In this store, with its layers.
    Here,
    /// Another store offers it.
    Offered(Reach),
}

/// One of the recorded results of a step.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) record: Record,
    pub(crate) origin: Origin,
}

/// By step, in order of preference.
pub(crate) type Candidates = BTreeMap<VertexId, Vec<Candidate>>;

/// At most one result for each step.
pub(crate) fn choose(
    web: &Web,
    names: &BTreeMap<VertexId, Name>,
    candidates: &Candidates,
    salted: &BTreeSet<VertexId>,
) -> BTreeMap<VertexId, Candidate> {
    let mut chosen: BTreeMap<VertexId, Candidate> = BTreeMap::new();
    for &id in web.order().iter().rev() {
        if salted.contains(&id) || chosen.contains_key(&id) {
            continue;
        }
        let fitting = of(candidates, id).iter().find_map(|candidate| {
            let cone = alike(web, names, candidates, &chosen, id, &candidate.record)?;
            Some((candidate, cone))
        });
        if let Some((candidate, cone)) = fitting {
            chosen.extend(cone);
            chosen.insert(id, candidate.clone());
        }
    }
    for (&id, all) in candidates {
        if let Some(here) = all.iter().find(|candidate| candidate.origin == Origin::Here) {
            chosen.entry(id).or_insert_with(|| here.clone());
        }
    }
    chosen
}

fn of(candidates: &Candidates, id: VertexId) -> &[Candidate] {
    candidates.get(&id).map_or(&[], Vec::as_slice)
}

/// The results that a record was made from, as far as they are recorded; `None`: another one is recorded
/// or chosen for one of those steps.
fn alike(
    web: &Web,
    names: &BTreeMap<VertexId, Name>,
    candidates: &Candidates,
    chosen: &BTreeMap<VertexId, Candidate>,
    id: VertexId,
    record: &Record,
) -> Option<Vec<(VertexId, Candidate)>> {
    let named: BTreeMap<CacheKey, ResultId> =
        record.inputs.iter().map(|input| (input.key, input.result)).collect();
    let mut cone = Vec::new();
    for &used in web.cone(id) {
        let wanted = named.get(&names[&used].key)?;
        match chosen.get(&used) {
            Some(other) if other.record.result == *wanted => {}
            Some(_) => return None,
            None => {
                let recorded = of(candidates, used);
                let found = recorded.iter().find(|candidate| candidate.record.result == *wanted);
                match found {
                    Some(found) => cone.push((used, found.clone())),
                    None if recorded.is_empty() => {}
                    None => return None,
                }
            }
        }
    }
    Some(cone)
}
