//! One build, from request to outcome.

mod attempts;
mod auto_squash;
mod generator;
mod leave;
mod squash;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use graph::{Edge, ImageFacts, Lowered, Remote};
use oci::{Platform, Reference};

use crate::attest::{BuildFacts, provenance};
use crate::cache::Shelf;
use crate::error::{BuildError, Cause};
use crate::event::{Event, StepId};
use crate::export::{Attest, check, write_whole};
use crate::git;
use crate::history::{self, Recorder};
use crate::image::image_facts;
use crate::plan::{Extra, ImageSourceOfFacts, lower};
use crate::remote::source_time;
use crate::request::{BuildOutcome, BuildRequest, PullPolicy};
use crate::session::Session;
use crate::worker::{Permit, blocking};
use attempts::Building;

/// Builds what the request asks for: asks the frontend for a graph, brings its targets about, and
/// exports them. When a step fails, no image appears. Dropping the future stops the build.
pub async fn build(session: &Session, request: BuildRequest) -> Result<BuildOutcome, BuildError> {
    let recorder = Recorder::begin(session, request.asked.clone(), request.no_cache);
    session.events.record(Some(recorder.clone()));
    let profile = request.profile.clone();
    let pushed = leave::pushed(&request);
    let deadline = request.deadline;
    // The state of a build is large: it stands on the heap, and its parts beside it.
    let recorded = recorded(session, request, &recorder).boxed();
    let work = leave::unless_refused(session, &pushed, recorded);
    let result = match deadline {
        None => work.await,
        Some(after) => tokio::time::timeout(after, work)
            .await
            .unwrap_or_else(|_| Err(BuildError::Late { after, running: recorder.running() })),
    };
    if result.is_err() {
        // The steps that went well serve the next build, after a power cut too.
        drop(settle(session).await);
    }
    session.events.record(None);
    let build = recorder.finish(result.as_ref().err().map(ToString::to_string)).await;
    if let Some(path) = profile {
        write_profile(path, &build).await?;
    }
    Ok(BuildOutcome { build, ..result? })
}

async fn write_profile(path: std::path::PathBuf, build: &history::Build) -> Result<(), BuildError> {
    let text = history::trace(build).to_string();
    let written = blocking(Permit::free(), move || write_whole(&path, text.as_bytes()));
    written.await.map_err(|error| BuildError::Export(error.into()))
}

async fn recorded(
    session: &Session,
    request: BuildRequest,
    recorder: &Recorder,
) -> Result<BuildOutcome, BuildError> {
    session.keep_room().await;
    let extra = Extra::new(session.events.clone());
    let images = Images { session, pull: request.pull };
    let planning = lower(&request, &images, &extra);
    let importing = Shelf::open(session, &request.cache_from, &extra);
    let (planned, shelf) = futures::join!(planning, importing);
    let planned = planned?;
    let mut lowered = planned.lowered;
    let platforms: Vec<Platform> = lowered.targets.iter().map(|target| target.platform.clone()).collect();
    check(&request, &platforms).map_err(|error| BuildError::Export(error.into()))?;
    squash::squash(&mut lowered, request.squash);
    let generators = match request.attest.sbom.as_ref().and_then(|sbom| sbom.generator.as_ref()) {
        Some(image) => generator::add(image, &images, &extra, &mut lowered).await?,
        None => Vec::new(),
    };
    let facts = (!request.attest.is_empty() || request.provenance.is_some()).then(|| {
        let facts = BuildFacts::of(&request, &lowered, planned.build_file.clone());
        BuildFacts { invocation: recorder.id(), started: recorder.began(), ..facts }
    });
    let attested = facts.clone().filter(|_| !request.attest.is_empty());
    let attest = attested.map(|facts| Arc::new(Attest { request: request.attest.clone(), facts }));
    if let Some(text) = &planned.build_file {
        let (name, text) = (request.build_file_name.clone(), text.clone());
        session.events.send(Event::BuildFile { name, text }).await;
    }
    recorder.build_file(planned.build_file);
    for warning in &lowered.warnings {
        session.events.send(Event::Diagnostic(warning.clone())).await;
    }
    let mut edges: Vec<Edge> = lowered.targets.iter().filter_map(|target| target.root).collect();
    if request.attest.sbom.is_some() {
        let scans = lowered.targets.iter().flat_map(|target| &target.scans);
        edges.extend(scans.filter_map(|scan| scan.root));
    }
    edges.extend(&generators);
    shelf.know_images(&lowered.graph).await;
    let building = Building {
        session,
        request: &request,
        lowered: &lowered,
        edges: &edges,
        extra: &extra,
        attest,
        generators: &generators,
    };
    let (exported, counts) = building.run(&shelf, recorder).boxed().await?;
    settle(session).await?;
    let provenance = request.provenance.zip(facts).map(|(mode, facts)| provenance(mode, &facts, &platforms));
    Ok(BuildOutcome {
        image_id: exported.image_id,
        descriptor: exported.descriptor,
        images: exported.images,
        names: exported.names,
        pushed: exported.pushed,
        provenance: provenance.unwrap_or_default(),
        steps: counts,
        build: history::Build::default(),
        warnings: lowered.warnings.clone(),
        entitlements: lowered.entitlements.clone(),
    })
}

/// Asks the frontend for a graph, and stops there.
pub async fn plan_only(session: &Session, request: &BuildRequest) -> Result<Lowered, BuildError> {
    let images = Images { session, pull: request.pull };
    let planned = lower(request, &images, &Extra::new(session.events.clone())).await?;
    Ok(planned.lowered)
}

/// Makes what this build left in the store as durable as it has to be. What has a name is synced by now.
async fn settle(session: &Session) -> Result<(), BuildError> {
    let (store, lease) = (session.store.clone(), session.lease.clone());
    blocking(Permit::free(), move || store.settle(&lease))
        .await
        .map_err(|error| BuildError::Store(error.into()))
}

/// What image names stand for, as the session's store and registries know it.
struct Images<'a> {
    session: &'a Session,
    pull: PullPolicy,
}

impl ImageSourceOfFacts for Images<'_> {
    fn facts(&self, reference: Reference, platform: Platform) -> BoxFuture<'_, Result<ImageFacts, Cause>> {
        async move { Ok(image_facts(self.session, &reference, &platform, self.pull).await?) }.boxed()
    }

    fn commit(&self, url: String, name: String) -> BoxFuture<'_, Result<String, Cause>> {
        async move { Ok(git::resolve(self.session, &url, &name).await?) }.boxed()
    }

    fn time(&self, source: Remote, step: StepId) -> BoxFuture<'_, Result<Option<i64>, Cause>> {
        async move { Ok(source_time(self.session, &source, step).await?) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A build can be moved between threads.
    #[test]
    fn builds_are_send() {
        fn check<'a>(session: &'a Session, request: BuildRequest) -> impl Future + Send + 'a {
            build(session, request)
        }
        let _ = check;
    }
}
