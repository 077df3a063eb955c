//! A registry as the destination: blobs, then configs, then manifests, the tag last.

use std::collections::BTreeMap;
use std::path::Path;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use oci::{Descriptor, Digest, Reference, Repository};
use registry_client::{BlobSource, BoxedRead};
use tokio_util::io::InspectReader;

use super::early::SentBlobs;
use super::error::ExportError;
use super::made::Made;
use crate::Session;
use crate::event::StepId;
use crate::image::{Progress, ensure_blob, short};

/// How many blobs are on their way at once.
const AT_ONCE: usize = 4;

/// What is pushed, and where to.
#[derive(Clone, Debug)]
pub(crate) struct PushPlan {
    /// The documents.
    pub made: Made,
    /// Under these names.
    pub names: Vec<Reference>,
    /// Only under the digest.
    pub by_digest: bool,
    /// Where blobs of bases come from: they can be mounted from there, or fetched.
    pub sources: BTreeMap<Digest, Repository>,
    /// Repositories that may have the other blobs, too.
    pub beside: Vec<Repository>,
    /// Blobs that repositories got while steps ran.
    pub sent: SentBlobs,
}

/// Pushes under every name; nothing is visible under a name before all beneath it is there.
pub(crate) async fn push_image(session: &Session, plan: &PushPlan, step: StepId) -> Result<(), ExportError> {
    if plan.names.is_empty() {
        return Err(ExportError::NoName);
    }
    let mut repositories: Vec<&Repository> = Vec::new();
    for name in &plan.names {
        if !repositories.contains(&name.repository()) {
            push_content(session, plan, name.repository(), &repositories, step).await?;
            repositories.push(name.repository());
        }
    }
    for name in &plan.names {
        push_top(session, plan, name).await?;
    }
    Ok(())
}

/// Blobs, configs, and manifests below an index.
async fn push_content(
    session: &Session,
    plan: &PushPlan,
    repository: &Repository,
    already: &[&Repository],
    step: StepId,
) -> Result<(), ExportError> {
    let layers: BTreeMap<&Digest, &Descriptor> = plan
        .made
        .images
        .iter()
        .flat_map(|image| &image.manifest.parsed().layers)
        .map(|layer| (&layer.digest, layer))
        .collect();
    let pushes: Vec<_> = layers
        .into_values()
        .map(|layer| push_layer(session, plan, repository, already, layer, step))
        .collect();
    futures::stream::iter(pushes).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    push_attestations(session, plan, repository).await?;
    for image in &plan.made.images {
        let source = BlobSource::bytes(image.config.raw().clone());
        session.client.push_blob(repository, image.config.descriptor(), &source, &[]).await?;
        if plan.made.index.is_some() {
            let manifest = image.manifest.descriptor();
            let name = repository.with_digest(manifest.digest.clone());
            session.client.push_manifest(&name, &manifest.media_type, image.manifest.raw().clone()).await?;
        }
    }
    Ok(())
}

/// Statements about the images, before anything shows those.
async fn push_attestations(
    session: &Session,
    plan: &PushPlan,
    repository: &Repository,
) -> Result<(), ExportError> {
    for attestation in &plan.made.attestations {
        for (blob, raw) in &attestation.blobs {
            let source = BlobSource::bytes(raw.clone());
            session.client.push_blob(repository, blob, &source, &[]).await?;
        }
        let manifest = attestation.manifest.descriptor();
        let name = repository.with_digest(manifest.digest.clone());
        let raw = attestation.manifest.raw().clone();
        session.client.push_manifest(&name, &manifest.media_type, raw).await?;
    }
    Ok(())
}

async fn push_layer(
    session: &Session,
    plan: &PushPlan,
    repository: &Repository,
    already: &[&Repository],
    layer: &Descriptor,
    step: StepId,
) -> Result<(), ExportError> {
    if plan.sent.has(repository, &layer.digest) {
        return Ok(());
    }
    let source = plan.sources.get(&layer.digest);
    let mount_from: Vec<Repository> = source
        .into_iter()
        .chain(already.iter().copied())
        .chain(&plan.beside)
        .filter(|other| other.registry == repository.registry && other.path != repository.path)
        .cloned()
        .collect();
    let body = layer_source(session.clone(), source.cloned(), layer.clone(), step);
    session.client.push_blob(repository, layer, &body, &mount_from).await?;
    Ok(())
}

/// A layer's blob as the body of an upload. It is only opened, and a base's blob only fetched, when
/// the registry really wants it.
pub(crate) fn layer_source(
    session: Session,
    origin: Option<Repository>,
    layer: Descriptor,
    step: StepId,
) -> BlobSource {
    BlobSource::new(move || -> BoxFuture<'static, std::io::Result<BoxedRead>> {
        let (session, origin, layer) = (session.clone(), origin.clone(), layer.clone());
        async move {
            if let Some(origin) = origin {
                ensure_blob(&session, &origin, &layer, step).await.map_err(std::io::Error::other)?;
            }
            let file = session.store.open_blob(&layer.digest).map_err(std::io::Error::other)?;
            let file =
                file.ok_or_else(|| std::io::Error::new(std::io::ErrorKind::NotFound, "not in the store"))?;
            let mut progress =
                Progress::new(session.events.clone(), step, short(&layer.digest), Some(layer.size));
            let reader = InspectReader::new(tokio::fs::File::from_std(file), move |bytes: &[u8]| {
                progress.add(bytes.len() as u64);
            });
            Ok(Box::new(reader) as BoxedRead)
        }
        .boxed()
    })
}

/// The manifest or index under a name.
async fn push_top(session: &Session, plan: &PushPlan, name: &Reference) -> Result<(), ExportError> {
    let (descriptor, raw) = match (&plan.made.index, plan.made.images.first()) {
        (Some(index), _) => (index.descriptor(), index.raw()),
        (None, Some(image)) => (image.manifest.descriptor(), image.manifest.raw()),
        (None, None) => return Err(ExportError::io(Path::new("image"), std::io::ErrorKind::NotFound)),
    };
    let target = match plan.by_digest || name.tag().is_none() {
        true => name.repository().with_digest(descriptor.digest.clone()),
        false => name.clone(),
    };
    session.client.push_manifest(&target, &descriptor.media_type, raw.clone()).await?;
    Ok(())
}
