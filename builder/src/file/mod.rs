//! File actions, executed upon a stack of layers without a mount.
//!
//! A step's actions end in one layer, written in place by the store's layer writer; what lies below
//! is asked of a stack view. The semantics are those of BuildKit's file operations.
//!
//! - `sources` and `plan` say which paths a copy reads: once, for the key ([`selection_digest`]) and
//!   for the execution ([`run_file`]);
//! - `tree` is what is read from, `dest` what is written to (upon `base`, with `leaves`); `links` follows links inside a root, for
//!   both;
//! - `earlier` is the layer that the same actions made before, from which unchanged files are linked;
//! - `copy` (whose files go in a `batch`), `make` and `archive` are the actions; `owner` and `chmod` what their flags say.
//!
//! Invariants:
//! - no path of a tree is ever given to the host with a link in it, on neither side;
//! - directories of the base that get new entries appear in the layer as they are in the base;
//! - a failed step leaves no layer.

mod archive;
mod base;
mod batch;
mod chmod;
mod copy;
mod dest;
mod difference;
mod digest;
mod earlier;
mod error;
mod leaves;
mod links;
mod listing;
mod make;
mod materialise;
mod missing;
mod owner;
mod plan;
mod sources;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use archive::{Form as PackedForm, newest_in_archive};

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use graph::FileAction;
use layer_store::{LayerId, Lease, Snapshot, Store, Time};

pub use difference::difference;
pub use digest::{bind_digest, selection_digest};
pub use earlier::Again;
pub use error::{FileError, Place};
pub(crate) use listing::{Hear, bind_listing, selection_listing};
pub use materialise::materialise;

use crate::context::ContextScan;
use dest::Dest;
use earlier::Earlier;
use owner::Unknown;
use tree::Tree;

/// What a file step reads from.
#[derive(Clone, Debug)]
pub enum FileInput {
    /// A stage, an image, anything with layers.
    Snapshot(Snapshot),
    /// A local context.
    Context(Arc<ContextScan>),
}

/// What the actions of one step made.
#[derive(Debug)]
pub struct Made {
    /// The one layer.
    pub layer: LayerId,
    /// What there is to say about it: names of owners that the tree does not know.
    pub remarks: Vec<String>,
}

/// Executes the actions of one step upon `base` and gives the one layer they make. Blocking.
///
/// The name of an owner that a tree does not know counts as root, as in BuildKit, and is remarked upon; on
/// the empty tree, which knows no name, it is an error there and here.
///
/// `inputs[0]` is the base; the actions name the others by position.
pub fn run_file(
    store: &Store,
    lease: &Lease,
    actions: &[FileAction],
    base: &Snapshot,
    inputs: &[FileInput],
    again: Again,
) -> Result<Made, FileError> {
    let unknown = if base.0.is_empty() { Unknown::Refused } else { Unknown::Remarked };
    let name = earlier::name(actions, inputs);
    let earlier = match again {
        Again::Files => Earlier::of(lease, name.as_ref())?,
        Again::Nothing => Earlier::default(),
    };
    let mut dest = Dest::new(store.stack(base)?, lease.write_layer(base)?, now(), unknown);
    for action in actions {
        match action {
            FileAction::Copy(copy) => {
                let input = inputs.get(copy.input).ok_or(FileError::NoInput(copy.input))?;
                copy::run(&mut dest, &Tree::open(store, input)?, copy, &earlier)?;
            }
            FileAction::MkDir(action) => make::directory(&mut dest, action)?,
            FileAction::MkFile(action) => make::file(&mut dest, action)?,
        }
    }
    let (writer, remarks) = dest.finish();
    let layer = writer.commit()?;
    earlier::note(lease, name.as_ref(), &layer);
    Ok(Made { layer, remarks })
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { secs: since.as_secs().try_into().unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
}
