//! Packing and sending layers of an image while later steps run.
//!
//! A layer that no registry gets is packed for an archive, or its digest is made for an image of the store, so that
//! the export finds it done. What is pushed is sent in the form that the export will give it, to one repository of each registry that the image
//! is pushed to; from there the others mount it. Nothing gets a name, so a build that fails leaves none. What
//! goes wrong here is left to the push itself, which sends what is missing and tells. When the last step is
//! done, what is on its way is waited for, and the rest is the push's.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use graph::{Lowered, Target, VertexId};
use layer_store::{LayerId, Lease, Packed, Snapshot};
use oci::{Descriptor, Digest, Repository};
use tokio::sync::{OnceCell, mpsc};

use super::deliver::is_plain;
use super::layers::Form;
use super::push::layer_source;
use crate::Session;
use crate::cache::request::CacheTarget;
use crate::cache::{Told, Wanted, chain, new_layers};
use crate::plan::{Extra, ExtraStep};
use crate::request::{BuildRequest, LayerIndex, Output, OutputKind, Push, Rewrite};
use crate::worker::{Permits, blocking};

/// Layers on their way at once.
const AT_ONCE: usize = 3;
/// A registry that collects what has no name may have dropped a blob that was sent longer ago.
const KEPT: Duration = Duration::from_secs(600);

/// Blobs that this build has sent, and when.
#[derive(Clone, Debug, Default)]
pub struct SentBlobs(HashMap<(Repository, Digest), Instant>);

impl SentBlobs {
    /// Whether a repository surely still has a blob.
    pub(super) fn has(&self, repository: &Repository, digest: &Digest) -> bool {
        let key = (repository.clone(), digest.clone());
        self.0.get(&key).is_some_and(|sent| sent.elapsed() < KEPT)
    }
}

/// What was sent, and when.
type SentBlob = ((Repository, Digest), Instant);

/// Something could not be packed or sent; the push meets it again and says what.
struct Failed;

/// What becomes of layers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    /// Their digests are wanted.
    Digest,
    /// They are packed.
    Pack(Form),
    /// They are packed and sent.
    Send(Form, Repository),
}

/// What becomes of the layers of some steps.
struct Destination {
    steps: BTreeSet<VertexId>,
    purposes: Vec<Purpose>,
    known: HashSet<LayerId>,
}

/// Packs and sends layers while steps run.
pub(crate) struct EarlyLayers<'a> {
    session: &'a Session,
    extra: &'a Extra,
    /// Shown as soon as there is something to send.
    step: OnceCell<ExtraStep>,
    permits: Permits,
    destinations: Vec<Destination>,
    /// What somebody sends already, or sent.
    taken: Mutex<HashSet<(Repository, Digest)>>,
}

impl<'a> EarlyLayers<'a> {
    /// For a build's image outputs.
    pub(crate) fn of(
        session: &'a Session,
        request: &BuildRequest,
        lowered: &Lowered,
        extra: &'a Extra,
    ) -> Self {
        Self {
            session,
            extra,
            step: OnceCell::new(),
            permits: Permits::new(session.jobs),
            destinations: destinations(request, lowered),
            taken: Mutex::default(),
        }
    }

    /// Whether there is nothing to listen for.
    pub(crate) fn is_idle(&self) -> bool {
        self.destinations.is_empty()
    }

    /// Sends what it is told of, until nobody tells any more.
    pub(crate) async fn run(&mut self, mut receiver: mpsc::UnboundedReceiver<Told>) -> SentBlobs {
        let mut waiting = VecDeque::new();
        let mut running = FuturesUnordered::new();
        let mut sent = SentBlobs::default();
        let mut destinations = std::mem::take(&mut self.destinations);
        let this: &Self = self;
        // Where one thing fails, so do others, and each would be patient.
        let (mut told, mut fails) = (true, false);
        loop {
            while told
                && !fails
                && running.len() < AT_ONCE
                && let Some((purpose, wanted)) = waiting.pop_front()
            {
                running.push(this.serve(purpose, wanted));
            }
            tokio::select! {
                message = receiver.recv(), if told => match message {
                    None => told = false,
                    Some((id, outputs)) => for destination in &mut destinations {
                        waiting.extend(destination.hears(id, &outputs));
                    },
                },
                Some(one) = running.next(), if !running.is_empty() => match one {
                    Ok(one) => sent.0.extend(one),
                    Err(Failed) => fails = true,
                },
                else => return sent,
            }
        }
    }

    /// Does with a layer what it is wanted for. Gives what was sent where.
    async fn serve(&self, purpose: Purpose, wanted: Wanted) -> Result<Option<SentBlob>, Failed> {
        match purpose {
            Purpose::Digest => {
                self.with(wanted, |lease, wanted| lease.diff_id(&wanted.id)).await?;
                Ok(None)
            }
            Purpose::Pack(form) => {
                self.pack(form, wanted).await?;
                Ok(None)
            }
            Purpose::Send(form, repository) => self.send(form, repository, wanted).await,
        }
    }

    /// Does something with a layer. `None`: it is not here.
    async fn with<T: Send + 'static>(
        &self,
        wanted: Wanted,
        work: impl FnOnce(&Lease, &Wanted) -> layer_store::Result<T> + Send + 'static,
    ) -> Result<Option<T>, Failed> {
        let lease = self.session.lease.clone();
        let done = blocking(self.permits.acquire().await, move || match lease.store().layer(&wanted.id)? {
            Some(_) => work(&lease, &wanted).map(Some),
            None => Ok(None),
        });
        done.await.map_err(|_: layer_store::StoreError| Failed)
    }

    async fn pack(&self, form: Form, wanted: Wanted) -> Result<Option<Packed>, Failed> {
        let packing = form.packing_of_steps();
        self.with(wanted, move |lease, wanted| lease.pack(&wanted.id, &wanted.below, &packing)).await
    }

    /// Packs a layer and sends it. `None`: it is not here, or it is sent already.
    async fn send(
        &self,
        form: Form,
        repository: Repository,
        wanted: Wanted,
    ) -> Result<Option<SentBlob>, Failed> {
        let Some(packed) = self.pack(form, wanted).await? else { return Ok(None) };
        let blob = Descriptor::new(form.family.layer(packed.compression), packed.digest, packed.size);
        let key = (repository, blob.digest.clone());
        if !self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone()) {
            return Ok(None);
        }
        let step = self.step.get_or_init(|| self.extra.begin("pushing layers".to_owned(), None)).await.id;
        let body = layer_source(self.session.clone(), None, blob.clone(), step);
        self.session.client.push_blob(&key.0, &blob, &body, &[]).await.map_err(|_| Failed)?;
        Ok(Some((key, Instant::now())))
    }

    /// Shows that all is sent.
    pub(crate) async fn end(self) {
        if let Some(step) = self.step.into_inner() {
            self.extra.end(step, &Ok::<_, std::convert::Infallible>(())).await;
        }
    }

    /// Shows that it was given up.
    pub(crate) async fn cancel(self) {
        if let Some(step) = self.step.into_inner() {
            self.extra.cancel(step).await;
        }
    }
}

impl Destination {
    /// What is to be done with a result.
    fn hears(&mut self, id: VertexId, outputs: &[Snapshot]) -> Vec<(Purpose, Wanted)> {
        if !self.steps.contains(&id) {
            return Vec::new();
        }
        let new = new_layers(outputs, &mut self.known);
        let each =
            |wanted: Wanted| self.purposes.iter().map(move |purpose| (purpose.clone(), wanted.clone()));
        new.into_iter().flat_map(each).collect()
    }
}

/// What becomes of the layers of all targets. Steps of several platforms with the same purposes share one.
fn destinations(request: &BuildRequest, lowered: &Lowered) -> Vec<Destination> {
    let mut all: Vec<Destination> = Vec::new();
    for target in &lowered.targets {
        let Some(root) = target.root else { continue };
        let mut purposes: Vec<Purpose> =
            request.outputs.iter().flat_map(|output| purposes(request, output, target)).collect();
        if purposes.len() > 1 {
            // Whoever packs makes the digest as well.
            purposes.retain(|purpose| *purpose != Purpose::Digest);
        }
        let steps = chain(&lowered.graph, &[root]);
        match all.iter_mut().find(|known| known.purposes == purposes) {
            Some(known) => known.steps.extend(steps),
            None if purposes.is_empty() => {}
            None => all.push(Destination { steps, purposes, known: HashSet::new() }),
        }
    }
    all
}

/// What an output wants of a target's layers.
fn purposes(request: &BuildRequest, output: &Output, target: &Target) -> Vec<Purpose> {
    let epoch = output.source_date_epoch.or(target.epoch).or(request.source_date_epoch);
    // The export says what is wrong with a form.
    let Ok(form) = Form::of(output, epoch) else { return Vec::new() };
    // Layers with an index are not remembered, so that they are made once, at the export.
    if output.compression.index == LayerIndex::Estargz {
        return Vec::new();
    }
    match &output.kind {
        OutputKind::Image(image) if image.push == Push::No => {
            let digests = is_plain(output, image) && output.rewrite == Rewrite::No;
            if digests { vec![Purpose::Digest] } else { Vec::new() }
        }
        OutputKind::Image(_) => {
            let names = output.names_or(&request.tags);
            let repositories = one_of_each_registry(names.iter().map(|name| name.repository()), request);
            repositories.into_iter().map(|repository| Purpose::Send(form, repository)).collect()
        }
        OutputKind::Oci(..) | OutputKind::Docker(_) | OutputKind::Load(_) => vec![Purpose::Pack(form)],
        OutputKind::Local(..) | OutputKind::Tar(..) | OutputKind::CacheOnly => Vec::new(),
    }
}

/// The first repository at each registry; none at registries that get the layers for a cache, where the image
/// mounts them.
fn one_of_each_registry<'r>(
    all: impl Iterator<Item = &'r Repository>,
    request: &BuildRequest,
) -> Vec<Repository> {
    let caches: Vec<Repository> = request.cache_to.iter().filter_map(CacheTarget::repository).collect();
    let mut found: Vec<Repository> = Vec::new();
    for repository in all {
        let same = |other: &Repository| other.registry == repository.registry;
        if !found.iter().any(same) && !caches.iter().any(same) {
            found.push(repository.clone());
        }
    }
    found
}
