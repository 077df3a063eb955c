//! The local contexts of a build, each opened once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use graph::{ContextName, LocalSource};
use layer_store::{Snapshot, Store};
use thiserror::Error;
use tokio::sync::OnceCell;

use super::{Permit, blocking};
use crate::context::{ContextScan, scan};
use crate::error::{Categorised, Category, Cause};
use crate::request::{ContextMetadata, LocalContext};

/// A context that is used and was not given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the context {0:?} was not given")]
struct NotGiven(ContextName);

impl Categorised for NotGiven {
    fn category(&self) -> Category {
        Category::Usage
    }
}

type Opened = Arc<OnceCell<Arc<ContextScan>>>;

/// The contexts, by name and by the ignore rules they are seen through.
pub(super) struct Contexts {
    store: Store,
    given: BTreeMap<ContextName, LocalContext>,
    metadata: ContextMetadata,
    opened: Mutex<HashMap<(ContextName, Vec<String>), Opened>>,
}

impl Contexts {
    pub(super) fn new(
        store: Store,
        given: BTreeMap<ContextName, LocalContext>,
        metadata: ContextMetadata,
    ) -> Self {
        Self { store, given, metadata, opened: Mutex::default() }
    }

    /// The layers of a context that is a tree of the store.
    pub(super) fn layers(&self, source: &LocalSource) -> Option<&Snapshot> {
        match self.given.get(&source.context)? {
            LocalContext::Layers { snapshot, .. } => Some(snapshot),
            LocalContext::Directory(_) | LocalContext::Memory(_) => None,
        }
    }

    /// The context a source names; opened at the first call.
    pub(super) async fn scan(&self, source: &LocalSource) -> Result<Arc<ContextScan>, Cause> {
        let cell = {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(opened.entry((source.context.clone(), source.ignore.clone())).or_default())
        };
        cell.get_or_try_init(|| self.open(source)).await.cloned()
    }

    async fn open(&self, source: &LocalSource) -> Result<Arc<ContextScan>, Cause> {
        let context =
            self.given.get(&source.context).cloned().ok_or_else(|| NotGiven(source.context.clone()))?;
        let (index, source) = (self.store.stat_index(), source.clone());
        let opened = blocking(Permit::free(), move || {
            Ok::<_, Cause>(scan(&context, &source.ignore, &index)?.with_places(source.ignore_places))
        });
        Ok(Arc::new(opened.await?.with_metadata(self.metadata)))
    }
}
