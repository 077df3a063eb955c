//! Packing and sending layers while later steps run, and adding the part at the end.
//!
//! The solver tells of each result as soon as it is known; its layers are packed once, in the form that
//! an image has them in too, and sent. When the build is done, the records that the place does not have
//! yet become a part. A build of which the place has everything sends nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use graph::{Edge, Graph, VertexId};
use layer_store::{ArchiveTimes, CacheKey, LayerId, PackedLayer, Packing, Record, ResultId};
use oci::{Descriptor, Digest, MediaType};
use tokio::sync::mpsc;

use super::document::{Entry, Part, RECORDS_TYPE};
use super::error::CacheError;
use super::feed::{Feed, Told, Wanted, chain, new_layers};
use super::place::{Place, Top};
use super::read::{self, Placed};
use super::request::{CacheDestination, CacheMode, CacheTarget, Earlier, OnFault};
use super::shelf::Shelf;
use super::sweep::{Swept, Writing};
use crate::Session;
use crate::event::{Event, StepId};
use crate::keys;
use crate::solve::Solution;
use crate::worker::{Permit, Permits, blocking};

/// Layers on their way at once.
const AT_ONCE: usize = 3;
/// Parts in one place, before a writer makes one of them.
const PARTS_BEFORE_MERGE: usize = 24;

/// All destinations of a build.
pub(crate) struct Uploads {
    sender: Sender,
    /// The steps whose layers make up the results.
    chain: BTreeSet<VertexId>,
    destinations: Vec<Destination>,
    receiver: mpsc::UnboundedReceiver<Told>,
}

/// All destinations, once every layer was sent.
pub(crate) struct Sent {
    sender: Sender,
    destinations: Vec<Destination>,
}

/// One destination.
struct Destination {
    target: CacheTarget,
    place: Place,
    /// What was there before, the oldest part first.
    before: Vec<Placed>,
    sent: BTreeMap<LayerId, PackedLayer>,
    /// Held where it lies in a layout.
    writing: Option<Writing>,
    fault: Option<CacheError>,
}

/// Packs and sends.
struct Sender {
    session: Session,
    shelf: Shelf,
    step: StepId,
    permits: Permits,
}

impl Uploads {
    /// For the destinations that are not inside the image.
    pub(crate) fn begin(
        session: &Session,
        shelf: &Shelf,
        targets: &[CacheTarget],
        (graph, roots): (&Graph, &[Edge]),
        step: StepId,
    ) -> (Feed, Self) {
        let destinations: Vec<Destination> = targets.iter().filter_map(Destination::of).collect();
        let (feed, receiver) = Feed::channel();
        let permits = Permits::new(session.jobs);
        let sender = Sender { session: session.clone(), shelf: shelf.clone(), step, permits };
        (feed, Self { sender, chain: chain(graph, roots), destinations, receiver })
    }

    /// Sends what it is told of, until nobody tells any more.
    pub(crate) async fn run(self) -> Sent {
        let Self { sender, chain, mut destinations, mut receiver } = self;
        for destination in &mut destinations {
            // An absent place is begun, a foreign one is refused when the part is added.
            if let Ok(found) = read::read(&sender.session, &destination.place).await {
                destination.before = found.parts;
            }
            match destination.begin().await {
                Ok(writing) => destination.writing = writing,
                Err(fault) => destination.fault = Some(fault),
            }
        }
        let mut known: Vec<HashSet<LayerId>> = destinations.iter().map(Destination::known).collect();
        let mut waiting = VecDeque::new();
        let mut running = FuturesUnordered::new();
        let mut arrived = Vec::new();
        let mut told = true;
        loop {
            while running.len() < AT_ONCE
                && let Some((nth, wanted)) = waiting.pop_front()
            {
                let (sender, destination) = (&sender, &destinations[nth]);
                running.push(async move { (nth, sender.send(destination, wanted).await) });
            }
            tokio::select! {
                message = receiver.recv(), if told => match message {
                    None => told = false,
                    Some((id, outputs)) => for (nth, known) in known.iter_mut().enumerate() {
                        let all = destinations[nth].target.mode == CacheMode::Max;
                        if all || chain.contains(&id) {
                            waiting.extend(new_layers(&outputs, known).into_iter().map(|one| (nth, one)));
                        }
                    },
                },
                Some(one) = running.next(), if !running.is_empty() => arrived.push(one),
                else => break,
            }
        }
        drop(running);
        for (nth, result) in arrived {
            destinations[nth].note(result);
        }
        Sent { sender, destinations }
    }
}

impl Destination {
    fn of(target: &CacheTarget) -> Option<Self> {
        Some(Self {
            place: Place::of(&target.destination)?,
            target: target.clone(),
            before: Vec::new(),
            sent: BTreeMap::new(),
            writing: None,
            fault: None,
        })
    }

    /// Tells others that blobs are written to a layout.
    async fn begin(&self) -> Result<Option<Writing>, CacheError> {
        let Place::Directory(path, _) = &self.place else { return Ok(None) };
        let path = path.clone();
        blocking(Permit::free(), move || Writing::begin(&path)).await.map(Some)
    }

    fn earlier(&self) -> Earlier {
        match self.target.destination {
            CacheDestination::Local { earlier, .. } => earlier,
            CacheDestination::Registry(_) | CacheDestination::Inline => Earlier::Stays,
        }
    }

    fn known(&self) -> HashSet<LayerId> {
        self.before.iter().flat_map(|placed| placed.part.layers.keys().cloned()).collect()
    }

    fn note(&mut self, result: Result<Option<(LayerId, PackedLayer)>, CacheError>) {
        match result {
            Ok(sent) => self.sent.extend(sent),
            Err(fault) => self.fault = self.fault.take().or(Some(fault)),
        }
    }
}

impl Sender {
    /// Packs a layer and sends it; `None`: it is neither here nor offered, as a layer whose result only
    /// stands for what was made from it.
    async fn send(
        &self,
        destination: &Destination,
        wanted: Wanted,
    ) -> Result<Option<(LayerId, PackedLayer)>, CacheError> {
        let id = wanted.id.clone();
        if let Some((place, layer)) = self.shelf.offered(&id).await {
            destination.place.put(&self.session, &layer.blob, Some(&place), self.step).await?;
            return Ok(Some((id, layer)));
        }
        let (lease, choice) = (self.session.lease.clone(), destination.target.compression);
        let how = Packing { compression: choice.form, level: choice.level, times: ArchiveTimes::Kept };
        let packed =
            blocking(self.permits.acquire().await, move || match lease.store().layer(&wanted.id)? {
                Some(_) => lease.pack_for_others(&wanted.id, &wanted.below, &how).map(Some),
                None => Ok(None),
            });
        let Some(layer) = packed.await? else { return Ok(None) };
        destination.place.put(&self.session, &layer.blob, None, self.step).await?;
        Ok(Some((id, layer)))
    }

    /// The records of all steps of a build.
    async fn records(&self, solution: &Solution) -> Vec<Entry> {
        records(&self.session, &self.shelf, solution)
            .await
            .into_iter()
            .map(|(key, record)| Entry { key, record })
            .collect()
    }
}

/// The records of all steps of a build, under both keys.
pub(crate) async fn records(
    session: &Session,
    shelf: &Shelf,
    solution: &Solution,
) -> Vec<(CacheKey, Record)> {
    let stored = |key: CacheKey| {
        let store = session.store.clone();
        blocking(Permit::free(), move || store.record(&key).ok().flatten())
    };
    let mut all = BTreeMap::new();
    for (id, &key) in &solution.keys {
        let record = match (solution.used.get(id), solution.results.get(id)) {
            (Some(used), _) => Some(used.clone()),
            (None, Some(solved)) => {
                let identity = keys::identity(&solved.outputs);
                stored(key).await.filter(|record| record.result == identity)
            }
            (None, None) => None,
        };
        let Some(record) = record else { continue };
        if let Some(content) = record.content {
            let found = match stored(content).await {
                Some(found) => Some(found),
                None => shelf.offers(content).await.into_iter().next().map(|offer| offer.record),
            };
            all.extend(found.map(|found| (content, found)));
        }
        all.insert(key, record);
    }
    all.into_iter().collect()
}

impl Sent {
    /// Adds what is new to each place. A fault is told; where it was asked for, it is returned.
    pub(crate) async fn publish(self, solution: &Solution) -> Result<(), CacheError> {
        let Self { sender, destinations } = self;
        let entries = sender.records(solution).await;
        let mut failure = None;
        for destination in destinations {
            let (place, on_fault) = (destination.place.clone(), destination.target.on_fault);
            let Err(fault) = destination.publish(&sender, &entries).await else { continue };
            match on_fault {
                OnFault::Warn => {
                    let text = format!("cache to {place}: {fault}");
                    sender.session.events.send(Event::Warning(text)).await;
                }
                OnFault::Fail => failure = failure.or(Some(fault)),
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

impl Destination {
    async fn publish(mut self, sender: &Sender, entries: &[Entry]) -> Result<(), CacheError> {
        let (place, writing) = (self.place.clone(), self.writing.take());
        match (self.fault.take(), self.earlier()) {
            (Some(fault), _) => Err(fault),
            (None, Earlier::Stays) => self.add(sender, entries).await,
            (None, Earlier::Goes) => {
                self.replace(sender, entries).await?;
                sweep(sender, &place, writing).await
            }
        }
    }

    /// Leaves what this build used, and nothing else under the tag.
    async fn replace(self, sender: &Sender, entries: &[Entry]) -> Result<(), CacheError> {
        let replaced = match self.place.top(&sender.session).await {
            Ok(Top::Entries(entries)) => entries.into_iter().map(|entry| entry.digest).collect(),
            // There is nothing yet.
            Ok(Top::Manifest(_)) | Err(_) => Vec::new(),
        };
        let layers = self.before.into_iter().flat_map(|placed| placed.part.layers).chain(self.sent);
        let part = Part::merged(vec![Part::new(layers.collect(), entries.to_vec())]);
        publish(&self.place, sender, &part, &replaced).await
    }

    async fn add(self, sender: &Sender, entries: &[Entry]) -> Result<(), CacheError> {
        let known: HashSet<(CacheKey, ResultId)> =
            self.before.iter().flat_map(|placed| placed.part.results()).collect();
        let new = |entry: &&Entry| !known.contains(&(entry.key, entry.record.result));
        let new: Vec<Entry> = entries.iter().filter(new).cloned().collect();
        if new.is_empty() && self.sent.is_empty() {
            return Ok(());
        }
        let part = Part::new(self.sent, new);
        let (part, replaced) = match self.before.len() < PARTS_BEFORE_MERGE {
            true => (part, Vec::new()),
            false => {
                let replaced: Vec<Digest> =
                    self.before.iter().map(|placed| placed.manifest.digest.clone()).collect();
                let all = self.before.into_iter().map(|placed| placed.part).chain([part]);
                (Part::merged(all.collect()), replaced)
            }
        };
        publish(&self.place, sender, &part, &replaced).await
    }
}

/// Puts a part there in place of others.
async fn publish(place: &Place, sender: &Sender, part: &Part, replaced: &[Digest]) -> Result<(), CacheError> {
    let failed =
        |error: std::io::Error| CacheError::Part { place: place.to_string(), reason: error.to_string() };
    let document = part.encode().map_err(failed)?;
    let config =
        Descriptor::new(MediaType::from(RECORDS_TYPE), Digest::sha256(&document), document.len() as u64);
    let session = &sender.session;
    place.put_small(session, &config, document.into()).await?;
    let manifest = part.manifest(config);
    place.put_manifest(session, manifest.descriptor(), manifest.raw().clone()).await?;
    place.append(session, manifest.descriptor(), replaced).await
}

/// Removes what is led to no more.
async fn sweep(sender: &Sender, place: &Place, writing: Option<Writing>) -> Result<(), CacheError> {
    let (Place::Directory(path, _), Some(writing)) = (place, writing) else { return Ok(()) };
    let path = path.clone();
    match blocking(Permit::free(), move || writing.sweep(&path)).await? {
        Swept::Clean => {}
        Swept::InUse => {
            let text = format!("cache to {place}: another build writes there, so nothing was removed");
            sender.session.events.send(Event::Warning(text)).await;
        }
    }
    Ok(())
}
