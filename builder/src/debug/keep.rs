//! Leaving a failed step in the journal of its build.

use graph::ExecOp;
use layer_store::{LayerId, Snapshot};

use super::document::{FailedStep, Origin, Process};
use crate::event::StepId;
use crate::exec::{ExecError, FailedExec, StepResources};
use crate::history::Recorder;
use crate::worker::{Permit, blocking};

/// Keeps the state of a failed step, and gives back why it failed. What cannot be kept costs a look
/// at it later, never the message.
pub(crate) async fn keep(
    recorder: &Recorder,
    step: StepId,
    op: &ExecOp,
    inputs: &[Option<Snapshot>],
    resources: &StepResources,
    failed: FailedExec,
) -> ExecError {
    let FailedExec { error, left, ran } = failed;
    if !ran {
        return error;
    }
    let state = match left {
        Some(layer) => blocking(Permit::free(), move || layer.commit()).await.ok(),
        None => None,
    };
    let document = FailedStep {
        title: recorder.title(step),
        ending: error.to_string(),
        origin: Origin::Here,
        process: Process::of(op),
        network: resources.network.default,
        resolvers: resources.network.resolvers.clone(),
        inputs: inputs.to_vec(),
        state,
    };
    if let Ok(value) = serde_json::to_value(&document) {
        recorder.keep_state(step, &document.layers(), value);
    }
    error
}

impl FailedStep {
    /// All layers that it stands on, and the one that it left.
    pub(super) fn layers(&self) -> Vec<LayerId> {
        let below = self.inputs.iter().flatten().flat_map(|snapshot| snapshot.0.iter().cloned());
        let mut layers: Vec<LayerId> = below.chain(self.state.clone()).collect();
        layers.sort();
        layers.dedup();
        layers
    }
}
