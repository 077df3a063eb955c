//! The doing: what the solver asks of the world.
//!
//! The solver decides, a [`Worker`] does: it reads, executes, and keeps records. The real one works
//! on the store and the host; a fake one serves the solver's tests, with neither.
//! [`blocking`] is the one door from async code to blocking threads.

mod claims;
mod contexts;
mod http;
mod permit;
mod real;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use graph::{Graph, LocalSource, Op, VertexId};
use layer_store::{CacheKey, Component, ContentId, Difference, LayerId, Record, Snapshot};

use crate::error::Cause;
use crate::event::StepId;
use crate::file::Again;
pub(crate) use crate::keys::Reading;
use crate::solve::Name;

pub(crate) use claims::claim;
pub use http::HttpError;
pub(crate) use http::fetch as fetch_url;
pub(crate) use permit::drop_aside;
pub use permit::{Permit, Permits, blocking};
pub(crate) use real::RealWorker;

/// A tree that a step works upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    /// The empty one.
    Empty,
    /// A result.
    Snapshot(Snapshot),
    /// A local context, never copied as a whole.
    Local(Arc<LocalSource>),
}

/// One step, ready to run.
#[derive(Debug)]
pub(crate) struct Job {
    /// Which step, for events.
    pub step: StepId,
    /// What to do.
    pub op: Arc<Op>,
    /// Upon what, by position.
    pub inputs: Vec<Tree>,
    /// What may serve again of what the step made before.
    pub again: Again,
    /// The right to run; goes to the thread that does the work.
    pub permit: Permit,
}

/// A recorded result that another store offers.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// What is recorded there.
    pub record: Record,
    /// Whether its layers can be had.
    pub reach: Reach,
}

/// Whether the layers of an offered result can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// They are here, or will be brought when a step needs them.
    Within,
    /// They cannot be had: the result only tells what other results were made from.
    Beyond,
}

/// Held while a key is being worked on, by one holder on the machine. Dropping releases.
pub(crate) type Claim = Box<dyn Send>;

/// What the solver asks of the world.
pub(crate) trait Worker: Send + Sync {
    /// The digest of a part of a tree: content without times (for [`Tree::Empty`], of nothing).
    fn digest(&self, tree: Tree, reading: Reading) -> BoxFuture<'_, Result<[u8; 32], Cause>>;

    /// The content of a layer, without times.
    fn content(&self, layer: LayerId) -> BoxFuture<'_, Result<ContentId, Cause>>;

    /// What differs between layers, position by position, from their files as they are now; not times.
    fn differences(
        &self,
        one: Vec<LayerId>,
        other: Vec<LayerId>,
    ) -> BoxFuture<'_, Result<Vec<Difference>, Cause>>;

    /// Runs a step. One snapshot for each output.
    fn execute(&self, job: Job) -> BoxFuture<'_, Result<Vec<Snapshot>, Cause>>;

    /// Marks of the secrets that a step is given, by which other values are told from these.
    fn secrets(&self, op: &Op) -> BoxFuture<'_, Vec<Component>>;

    /// What a key led to, if all of it is still there. A record that cannot be read is absent.
    fn record(&self, key: CacheKey) -> BoxFuture<'_, Option<Record>>;

    /// What other stores have recorded under that key, the best first.
    fn offers(&self, key: CacheKey) -> BoxFuture<'_, Vec<Offer>>;

    /// Hears of a step that will probably be executed, before any is: what it takes may be made ahead.
    fn expect(&self, op: &Op);

    /// Hears of the result of a step that this build uses.
    fn settled(&self, id: VertexId, outputs: &[Snapshot]);

    /// Files what keys led to: all of it, or nothing.
    fn file(&self, records: Vec<(CacheKey, Record)>) -> BoxFuture<'_, Result<(), Cause>>;

    /// Hears what the keys of the steps were made of, before any runs.
    fn planned(&self, graph: &Graph, order: &[VertexId], names: &BTreeMap<VertexId, Name>);

    /// Hears of a step that runs since nothing recorded could be used; tells the first cause.
    fn missed(&self, step: StepId) -> BoxFuture<'_, ()>;

    /// Waits until nobody else on this machine works on that key. `None`: claims cannot be had.
    fn claim(&self, key: CacheKey) -> BoxFuture<'_, Option<Claim>>;
}
