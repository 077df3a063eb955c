//! One step, from op to snapshot.

use graph::ExecOp;
use layer_store::{ActiveLayer, LayerId, Snapshot, Spent, StoreError};
use runtime_exec::{Exit, Stage};

use super::error::ExecError;
use super::resources::StepResources;
use super::{full, mounts, prepare, sandboxed};
use crate::Session;
use crate::event::StepId;
use crate::worker::{Permit, blocking, drop_aside};

/// A step that has no result.
#[derive(Debug)]
pub struct FailedExec {
    /// Why.
    pub error: ExecError,
    /// What its program left, where it ran and there is room for that.
    pub left: Option<ActiveLayer>,
    /// Whether it came to running the program; one that cannot be found or executed counts.
    pub ran: bool,
}

impl From<ExecError> for FailedExec {
    fn from(error: ExecError) -> Self {
        let ran = matches!(&error, ExecError::Spawn(spawn) if spawn.stage() == Some(Stage::Exec));
        Self { error, left: None, ran }
    }
}

/// Runs a step upon its inputs; input 0 is the root, `None` being the empty tree. The one output is
/// the root with one more layer. Dropping the future kills the step.
pub async fn run_exec(
    session: &Session,
    op: &ExecOp,
    inputs: &[Option<Snapshot>],
    step: StepId,
    resources: &StepResources,
) -> Result<Vec<Snapshot>, FailedExec> {
    let base = inputs.first().cloned().flatten().unwrap_or_default();
    let prepared = {
        let (session, op, inputs, resources) =
            (session.clone(), op.clone(), inputs.to_vec(), resources.clone());
        blocking(Permit::free(), move || prepare::prepare(&session, &op, &inputs, &resources)).await?
    };
    let ended = sandboxed::run(prepared, session, step, resources.timeouts).await;
    let ended = ended.map_err(|error| mounts::explain(error, &op.mounts))?;
    let sandboxed::Ended { exit, tail, late, layer } = ended;
    let late = match late {
        sandboxed::Late::No => None,
        sandboxed::Late::TooLong(after) => Some(ExecError::TooLong { after, tail: tail.clone() }),
        sandboxed::Late::Idle(after) => Some(ExecError::Idle { after, tail: tail.clone() }),
    };
    if let Some(error) = late {
        return Err(FailedExec { error, left: Some(layer), ran: true });
    }
    if let Err(error) = check(exit, &op.valid_exit_codes, tail) {
        let error = full::explain(error, session.store.root());
        // On a full disk it is better to make room.
        let left = (!matches!(error, ExecError::DiskFull { .. })).then_some(layer);
        return Err(FailedExec { error, left, ran: true });
    }
    let (layer, spent) = blocking(Permit::free(), move || commit(layer)).await.map_err(ExecError::from)?;
    drop_aside(spent);
    Ok(vec![base.with(layer)])
}

fn commit(layer: ActiveLayer) -> Result<(LayerId, Spent), StoreError> {
    let spent = layer.spend()?;
    Ok((layer.commit()?, spent))
}

/// Whether a step that ended so did what it should.
fn check(exit: Exit, valid: &[i32], tail: Vec<String>) -> Result<(), ExecError> {
    match exit {
        Exit::Code(0) if valid.is_empty() => Ok(()),
        Exit::Code(code) if valid.contains(&i32::from(code)) => Ok(()),
        Exit::PerhapsOutOfMemory { code: Some(code) } if valid.contains(&i32::from(code)) => Ok(()),
        Exit::Code(code) => Err(ExecError::Exit { code, tail }),
        Exit::Signal(signal) => Err(ExecError::Signal { signal, tail }),
        Exit::OutOfMemory { peak } => Err(ExecError::OutOfMemory { peak, tail }),
        Exit::PerhapsOutOfMemory { .. } => Err(ExecError::PerhapsOutOfMemory { tail }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_codes_are_success() {
        let ok = |exit, valid: &[i32]| check(exit, valid, Vec::new()).is_ok();
        assert!(ok(Exit::Code(0), &[]));
        assert!(!ok(Exit::Code(1), &[]));
        assert!(ok(Exit::Code(3), &[3]));
        assert!(!ok(Exit::Code(0), &[3]));
        assert!(!ok(Exit::Signal(9), &[]));
        assert!(!ok(Exit::OutOfMemory { peak: None }, &[0]));
        assert!(ok(Exit::PerhapsOutOfMemory { code: Some(137) }, &[137]));
        assert!(!ok(Exit::PerhapsOutOfMemory { code: Some(137) }, &[0]));
        assert!(!ok(Exit::PerhapsOutOfMemory { code: None }, &[137]));
    }
}
