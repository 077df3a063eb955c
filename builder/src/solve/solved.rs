//! Results of steps, as they are handed from one to the next.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Edge, VertexId};
use layer_store::{CacheKey, Record, RecordInput, ResultId, Snapshot};

use crate::keys;
use crate::request::StepCounts;

/// One result. A step has one in a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Solved {
    /// One snapshot for each output.
    pub(crate) outputs: Vec<Snapshot>,
    /// The results that went into it, by definition key: of all steps it used, directly or not.
    pub(crate) lineage: BTreeMap<CacheKey, ResultId>,
}

impl Solved {
    /// What a usable record says.
    pub(crate) fn from_record(record: &Record) -> Self {
        Self {
            outputs: record.outputs.clone(),
            lineage: record.inputs.iter().map(|input| (input.key, input.result)).collect(),
        }
    }

    /// Its identity.
    pub(crate) fn result(&self) -> ResultId {
        keys::identity(&self.outputs)
    }

    /// The lineage in the form of records.
    pub(crate) fn record_inputs(&self) -> Vec<RecordInput> {
        self.lineage.iter().map(|(&key, &result)| RecordInput { key, result }).collect()
    }
}

/// The results of all steps that were needed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Solution {
    /// By vertex.
    pub(crate) results: BTreeMap<VertexId, Solved>,
    /// Those of them that were found once their inputs were there.
    pub(crate) found: BTreeSet<VertexId>,
    /// How many steps ran and did not run.
    pub(crate) counts: StepCounts,
    /// The definition keys of all steps.
    pub(crate) keys: BTreeMap<VertexId, CacheKey>,
    /// The records that were used as they were found.
    pub(crate) used: BTreeMap<VertexId, Record>,
}

impl Solution {
    /// The snapshot of an edge, if that step was needed and has such an output.
    pub(crate) fn snapshot(&self, edge: Edge) -> Option<&Snapshot> {
        self.results.get(&edge.vertex)?.outputs.get(usize::from(edge.output))
    }
}
