//! Layers of a step upon the layers it was given.
//!
//! Under a result key a record holds only the layers that the step added, since inputs of equal
//! content may consist of other layers each time: the layers that count are those of this build.

use graph::Op;
use layer_store::{LayerId, Snapshot};

use crate::worker::{Tree, Worker};

/// The layers that output `output` of an op stands upon.
fn base<'a>(op: &Op, output: usize, inputs: &'a [Tree]) -> &'a [LayerId] {
    let stands_on_root = match op {
        Op::Exec(_) => output == 0,
        Op::File(_) => true,
        Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::Merge | Op::Diff => false,
    };
    match inputs.first() {
        Some(Tree::Snapshot(snapshot)) if stands_on_root => &snapshot.0,
        Some(Tree::Snapshot(_) | Tree::Empty | Tree::Local(_)) | None => &[],
    }
}

/// Only the layers that the op added; `None` if an output does not stand upon its base.
pub(crate) fn added(op: &Op, inputs: &[Tree], outputs: &[Snapshot]) -> Option<Vec<Snapshot>> {
    let one = |(output, snapshot): (usize, &Snapshot)| {
        snapshot.0.strip_prefix(base(op, output, inputs)).map(|added| Snapshot(added.to_vec()))
    };
    outputs.iter().enumerate().map(one).collect()
}

/// The reverse of [`added`], upon the inputs of this build.
pub(crate) fn stacked(op: &Op, inputs: &[Tree], added: &[Snapshot]) -> Vec<Snapshot> {
    let one = |(output, snapshot): (usize, &Snapshot)| {
        Snapshot(base(op, output, inputs).iter().chain(&snapshot.0).cloned().collect())
    };
    added.iter().enumerate().map(one).collect()
}

/// Early cut-off: where the added layers of an output have the content of those that an older
/// result of the same step had, the older layers take their place.
pub(crate) async fn cut_off(
    worker: &dyn Worker,
    op: &Op,
    inputs: &[Tree],
    outputs: Vec<Snapshot>,
    older: &[Snapshot],
) -> Vec<Snapshot> {
    let mut settled = Vec::with_capacity(outputs.len());
    for (output, snapshot) in outputs.into_iter().enumerate() {
        let below = base(op, output, inputs).len().min(snapshot.0.len());
        let (kept, new) = snapshot.0.split_at(below);
        let old =
            older.get(output).and_then(|old| old.0.len().checked_sub(new.len()).map(|from| &old.0[from..]));
        match old {
            Some(old) if same_content(worker, new, old).await => settled.push(Snapshot([kept, old].concat())),
            Some(_) | None => settled.push(snapshot),
        }
    }
    settled
}

/// Layers whose content cannot be read are not the same as any.
async fn same_content(worker: &dyn Worker, new: &[LayerId], old: &[LayerId]) -> bool {
    for (new, old) in new.iter().zip(old) {
        if new == old {
            continue;
        }
        match (worker.content(new.clone()).await, worker.content(old.clone()).await) {
            (Ok(new), Ok(old)) if new == old => {}
            (Ok(_) | Err(_), Ok(_) | Err(_)) => return false,
        }
    }
    true
}
