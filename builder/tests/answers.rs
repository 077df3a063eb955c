//! What a tag stands for: how often a registry is asked, and what happens when it allows no more.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail, speak and look around"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use builder::event::Event;
use builder::image::image_facts;
use builder::request::PullPolicy;
use oci::{Descriptor, Document, ImageConfig, Manifest, MediaType, Platform, Reference};
use support::fake::Fake;
use support::server::{Server, reply};
use support::{name, place, session_in};

/// A registry with one image without layers under `a:latest` and `b:latest`, and whether it allows no more.
async fn registry() -> (Server, Arc<Fake>, Arc<AtomicBool>) {
    let limited = Arc::new(AtomicBool::new(false));
    let asked = limited.clone();
    let (server, fake) =
        Fake::start(move |_| asked.load(Ordering::SeqCst).then(|| reply(429).header("Retry-After", "3600")))
            .await;
    publish(&fake, "one");
    (server, fake, limited)
}

/// Puts an image that differs by its author there.
fn publish(fake: &Fake, author: &str) -> Descriptor {
    let platform = Platform::host();
    let config = ImageConfig {
        architecture: platform.architecture,
        os: platform.os,
        author: Some(author.to_owned()),
        ..ImageConfig::default()
    };
    let config = Document::create(MediaType::OciConfig, config);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OciManifest),
        config: config.descriptor().clone(),
        layers: Vec::new(),
        annotations: Default::default(),
        other: Default::default(),
    };
    let manifest = Document::create(MediaType::OciManifest, manifest);
    for repository in ["a", "b"] {
        fake.put_blob(repository, config.raw());
        fake.put_manifest(repository, "latest", MediaType::OciManifest.as_str(), manifest.raw());
    }
    manifest.descriptor().clone()
}

async fn asked(session: &builder::Session, name: &Reference) -> Result<Descriptor, String> {
    let facts = image_facts(session, name, &Platform::host(), PullPolicy::Always).await;
    facts.map(|facts| facts.resolved).map_err(|error| error.to_string())
}

#[tokio::test]
async fn twenty_builds_side_by_side_ask_once_and_a_later_one_for_itself() {
    let Some(place) = place() else { return };
    let (server, fake, _limited) = registry().await;
    let name = name(&format!("{}/a", server.address));
    let sessions: Vec<_> = (0..20).map(|_| session_in(place.directory.path())).collect();
    let found = futures::future::join_all(sessions.iter().map(|(session, _)| asked(session, &name))).await;
    assert!(found.iter().all(|one| one.is_ok() && *one == found[0]), "{found:?}");
    assert_eq!(server.count("HEAD"), 1, "{:?}", server.seen());
    assert_eq!(server.count("GET /v2/a/manifests/"), 1, "{:?}", server.seen());

    // Who begins later sees what was pushed before.
    let moved = publish(&fake, "two");
    let (later, _events) = session_in(place.directory.path());
    assert_eq!(asked(&later, &name).await, Ok(moved));
    assert_eq!(server.count("HEAD"), 2);
}

#[tokio::test]
async fn a_registry_that_allows_no_more_is_answered_from_the_store_with_a_warning() {
    let Some(place) = place() else { return };
    let (server, fake, limited) = registry().await;
    let (known, unknown) = (name(&format!("{}/a", server.address)), name(&format!("{}/b", server.address)));
    let first = asked(&place.session, &known).await.unwrap();
    publish(&fake, "two");
    limited.store(true, Ordering::SeqCst);
    let (session, mut events) = session_in(place.directory.path());
    assert_eq!(asked(&session, &known).await, Ok(first.clone()));
    let Some(Event::Warning(text)) = events.next().await else { panic!("a warning comes first") };
    assert!(text.contains(&first.digest.to_string()) && text.contains("(again in 3600 s)"), "{text}");
    let error = asked(&session, &unknown).await.expect_err("it was never seen");
    assert!(error.contains("429"), "{error}");

    // What is forgotten is asked for again.
    session.store.collect(layer_store::Keep::NoRecords).unwrap();
    asked(&session, &known).await.expect_err("nobody knows it any more");
}
