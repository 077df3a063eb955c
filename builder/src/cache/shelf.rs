//! What the sources of a build offer. Records are read at the start; a layer is brought when a step or an
//! output needs its files, and never otherwise.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use graph::{Graph, ImageSource, Op};
use layer_store::{CacheKey, ContentId, LayerId, PackedLayer, Record, Snapshot, open_layer_stream};
use oci::{ChainId, Compression};

use super::error::CacheError;
use super::place::Place;
use super::read;
use super::request::CacheSource;
use crate::Session;
use crate::error::Cause;
use crate::event::{Event, StepId};
use crate::export::{RemoteLayer, RemoteLayers};
use crate::image::{base_image, pull_image};
use crate::plan::Extra;
use crate::worker::{Offer, Permit, Reach, blocking};

/// What the sources offer. Clones share it. Without sources it offers nothing and costs nothing.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Option<Arc<Inner>>);

struct Inner {
    session: Session,
    /// Shows the import.
    step: StepId,
    /// By key, the best first.
    records: HashMap<CacheKey, Vec<Record>>,
    /// Layers and the places that have them.
    layers: HashMap<LayerId, Vec<(Place, PackedLayer)>>,
    /// The images of the graph that layers come from which are named after their content.
    images: OnceLock<BTreeMap<LayerId, ImageSource>>,
    /// Layers that could not be had.
    lost: Mutex<BTreeSet<LayerId>>,
    /// Layers that are here.
    here: Mutex<HashSet<LayerId>>,
    /// One at a time brings a layer.
    bringing: Mutex<HashMap<LayerId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Shelf {
    /// Reads the sources, all at once. One that cannot be read is a warning.
    pub(crate) async fn open(session: &Session, sources: &[CacheSource], extra: &Extra) -> Self {
        let reading = sources.iter().map(|source| async move {
            let place = Place::from(source);
            let step = extra.begin(format!("importing cache manifest from {place}"), None).await;
            let found = read::read(session, &place).await;
            let id = step.id;
            extra.end(step, &Ok::<_, CacheError>(())).await;
            (id, place, found)
        });
        let read = futures::future::join_all(reading).await;
        let Some(&(step, ..)) = read.first() else { return Self::default() };
        let mut inner = Inner {
            session: session.clone(),
            step,
            records: HashMap::new(),
            layers: HashMap::new(),
            images: OnceLock::new(),
            lost: Mutex::default(),
            here: Mutex::default(),
            bringing: Mutex::default(),
        };
        for (_, place, found) in read {
            match found {
                Ok(found) => {
                    for fault in &found.faults {
                        warn(session, &place, fault).await;
                    }
                    inner.take(&place, found);
                }
                Err(fault) => warn(session, &place, &fault).await,
            }
        }
        Self(Some(Arc::new(inner)))
    }

    /// Takes note of the images of a graph, whose layers results may stand upon.
    pub(crate) async fn know_images(&self, graph: &Graph) {
        let Some(inner) = &self.0 else { return };
        let mut images = BTreeMap::new();
        for (_, vertex) in graph.vertices() {
            let Op::Image(source) = &vertex.op else { continue };
            let Ok(base) = base_image(&inner.session, &source.reference, &source.manifest).await else {
                continue;
            };
            let mut chain: Option<ChainId> = None;
            for diff in &base.diff_ids {
                let this = ChainId::extend(chain.as_ref(), diff);
                for name in [LayerId::from_diff(diff), LayerId::from_chain(&this)] {
                    images.entry(name).or_insert_with(|| source.clone());
                }
                chain = Some(this);
            }
        }
        let _ = inner.images.set(images);
    }

    /// What is offered under a key, the best first.
    pub(crate) async fn offers(&self, key: CacheKey) -> Vec<Offer> {
        let Some(inner) = &self.0 else { return Vec::new() };
        let Some(records) = inner.records.get(&key) else { return Vec::new() };
        let mut offers = Vec::with_capacity(records.len());
        for record in records {
            let mut reach = Reach::Within;
            for id in record.outputs.iter().flat_map(|snapshot| &snapshot.0) {
                if !inner.within_reach(id).await {
                    reach = Reach::Beyond;
                }
            }
            offers.push(Offer { record: record.clone(), reach });
        }
        offers
    }

    /// The content of a layer that is not here, as the source tells it.
    pub(crate) async fn content(&self, id: &LayerId) -> Option<ContentId> {
        let inner = self.0.as_ref()?;
        let offered = inner.layers.get(id)?.iter().find_map(|(_, layer)| layer.content_id)?;
        (!inner.is_here(id).await).then_some(offered)
    }

    /// When an offered layer was made, in seconds since 1970.
    pub(crate) fn made(&self, id: &LayerId) -> Option<i64> {
        self.0.as_ref()?.layers.get(id)?.iter().find_map(|(_, layer)| layer.made)
    }

    /// Brings all layers of a snapshot that are not here, as part of a step, or else of the import.
    pub(crate) async fn bring(&self, snapshot: &Snapshot, step: Option<StepId>) -> Result<(), Cause> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let step = step.unwrap_or(inner.step);
        let bringing = snapshot.0.iter().map(|id| inner.bring(id, step));
        futures::future::try_join_all(bringing).await?;
        Ok(())
    }

    /// How many layers could not be had so far.
    pub(crate) fn lost(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| lock(&inner.lost).len())
    }

    /// The layers of snapshots that are not here and that a registry has.
    pub(crate) async fn remote(&self, snapshots: impl Iterator<Item = &Snapshot>) -> RemoteLayers {
        let mut remote = RemoteLayers::new();
        let Some(inner) = &self.0 else { return remote };
        for id in snapshots.flat_map(|snapshot| &snapshot.0) {
            if inner.is_here(id).await {
                continue;
            }
            let offered = inner.layers.get(id).into_iter().flatten();
            let mut in_registries = offered.filter_map(|(place, layer)| match place {
                Place::Registry(reference) => {
                    let repository = reference.repository().clone();
                    Some(RemoteLayer { packed: layer.clone(), repository })
                }
                Place::Directory(..) => None,
            });
            if let Some(found) = in_registries.next() {
                remote.insert(id.clone(), found);
            }
        }
        remote
    }

    /// A layer that is not here, with a place that has it.
    pub(super) async fn offered(&self, id: &LayerId) -> Option<(Place, PackedLayer)> {
        let inner = self.0.as_ref()?;
        if inner.is_here(id).await || lock(&inner.lost).contains(id) {
            return None;
        }
        inner.layers.get(id)?.first().cloned()
    }
}

impl Inner {
    /// Takes what a place has behind what others have. Of one place the newest part comes first.
    fn take(&mut self, place: &Place, found: read::Found) {
        for placed in found.parts.into_iter().rev() {
            for entry in placed.part.records {
                let known = self.records.entry(entry.key).or_default();
                if !known.iter().any(|record| record.result == entry.record.result) {
                    known.push(entry.record);
                }
            }
            for (id, layer) in placed.part.layers {
                self.layers.entry(id).or_default().push((place.clone(), layer));
            }
        }
    }

    /// A layer that is named after its content must be of an image that this build names: a cache must
    /// not reach for whatever else is in this store.
    async fn within_reach(&self, id: &LayerId) -> bool {
        if lock(&self.lost).contains(id) {
            return false;
        }
        if id.names_content() {
            return self.images.get().is_some_and(|images| images.contains_key(id));
        }
        self.layers.contains_key(id) || self.is_here(id).await
    }

    /// Whether the layer is here; if so, it is held.
    async fn is_here(&self, id: &LayerId) -> bool {
        if lock(&self.here).contains(id) {
            return true;
        }
        let (lease, layer) = (self.session.lease.clone(), id.clone());
        let here = blocking(Permit::free(), move || matches!(lease.layer(&layer), Ok(Some(_)))).await;
        if here {
            lock(&self.here).insert(id.clone());
        }
        here
    }

    async fn bring(&self, id: &LayerId, step: StepId) -> Result<(), CacheError> {
        if self.is_here(id).await {
            return Ok(());
        }
        let turn = Arc::clone(lock(&self.bringing).entry(id.clone()).or_default());
        let _turn = turn.lock().await;
        if self.is_here(id).await {
            return Ok(());
        }
        let image = self.images.get().and_then(|images| images.get(id));
        if let (true, Some(source)) = (id.names_content(), image) {
            pull_image(&self.session, source, step).await?;
            if self.is_here(id).await {
                return Ok(());
            }
        }
        for (place, layer) in self.layers.get(id).into_iter().flatten() {
            match self.restore(id, place, layer, step).await {
                Ok(()) => return Ok(()),
                Err(fault) => warn(&self.session, place, &fault).await,
            }
        }
        lock(&self.lost).insert(id.clone());
        Err(CacheError::Lost { layer: id.clone() })
    }

    async fn restore(
        &self,
        id: &LayerId,
        place: &Place,
        layer: &PackedLayer,
        step: StepId,
    ) -> Result<(), CacheError> {
        place.fetch(&self.session, &layer.blob, step).await?;
        let (lease, id, layer) = (self.session.lease.clone(), id.clone(), layer.clone());
        blocking(Permit::free(), move || {
            let blob = lease.store().open_blob(&layer.blob.digest)?;
            let blob = blob.ok_or_else(|| CacheError::Lost { layer: id.clone() })?;
            let compression = layer.blob.media_type.compression().unwrap_or(Compression::None);
            let mut tar = open_layer_stream(compression, Box::new(blob));
            Ok(lease.restore(&mut tar, &id, &layer)?)
        })
        .await
    }
}

/// Tells a fault of a source.
async fn warn(session: &Session, place: &Place, fault: &CacheError) {
    let text = match fault.is_absence() {
        true => format!("cache from {place}: there is none yet ({fault})"),
        false => format!("cache from {place}: {fault}"),
    };
    session.events.send(Event::Warning(text)).await;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
