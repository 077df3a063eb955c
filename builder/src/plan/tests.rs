//! The conversation, with frontends that are closures.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use graph::{ContextName, Graph, ImageFacts, Known, Lowered, Need, Remote, Span, Step};
use oci::{Descriptor, Digest, ImageConfig, MediaType, Platform, Reference};

use super::*;
use crate::error::Cause;
use crate::event::StepId;
use crate::request::{BuildRequest, LocalContext, PullPolicy};
use crate::session::EventSink;

/// A registry whose tag moves with every question.
#[derive(Default)]
struct MovingTag {
    asked: Mutex<Vec<(Reference, Platform)>>,
}

impl ImageSourceOfFacts for MovingTag {
    fn facts(&self, reference: Reference, platform: Platform) -> BoxFuture<'_, Result<ImageFacts, Cause>> {
        let mut asked = self.asked.lock().expect("not poisoned");
        asked.push((reference.clone(), platform));
        let digest =
            reference.digest().cloned().unwrap_or_else(|| Digest::sha256(asked.len().to_string().as_bytes()));
        let descriptor = Descriptor::new(MediaType::OciManifest, digest, 1);
        let facts =
            ImageFacts { manifest: descriptor.clone(), resolved: descriptor, config: ImageConfig::default() };
        async move { Ok(facts) }.boxed()
    }

    fn commit(&self, url: String, name: String) -> BoxFuture<'_, Result<String, Cause>> {
        async move { Ok(format!("{url}#{name}")) }.boxed()
    }

    fn time(&self, source: Remote, _: StepId) -> BoxFuture<'_, Result<Option<i64>, Cause>> {
        async move {
            Ok(match source {
                Remote::Git(git) => i64::try_from(git.commit.len()).ok(),
                Remote::Http(_) => None,
            })
        }
        .boxed()
    }
}

fn request(frontend: crate::request::Frontend) -> BuildRequest {
    let files = BTreeMap::from([("Dockerfile".to_owned(), Bytes::from_static(b"FROM scratch"))]);
    BuildRequest {
        frontend,
        contexts: BTreeMap::from([(ContextName::BuildFile, LocalContext::Memory(files))]),
        context_metadata: Default::default(),
        source: None,
        build_file_name: String::new(),
        squash: Default::default(),
        attest: Default::default(),
        asked: Default::default(),
        secrets: BTreeMap::new(),
        ssh: BTreeMap::new(),
        device_directories: Vec::new(),
        cache_from: Vec::new(),
        cache_to: Vec::new(),
        outputs: Vec::new(),
        tags: Vec::new(),
        pull: PullPolicy::Missing,
        jobs: None,
        no_cache: false,
        cache_ttl: None,
        verify_cache: None,
        on_failure: Default::default(),
        network: crate::request::StepNetwork::default(),
        limits: runtime_exec::Limits::default(),
        devices: crate::request::StepDevices::default(),
        timeouts: Default::default(),
        deadline: None,
        force_index: false,
        source_date_epoch: None,
        iidfile: None,
        provenance: None,
        profile: None,
    }
}

fn done() -> Step {
    Step::Done(Box::new(Lowered {
        graph: Graph::new(),
        targets: Vec::new(),
        warnings: Vec::new(),
        entitlements: std::collections::BTreeSet::new(),
    }))
}

fn file(path: &str) -> Need {
    Need::File(ContextName::BuildFile, path.to_owned())
}

async fn ask(
    frontend: impl Fn(&Known) -> Step + Send + Sync + 'static,
    images: &MovingTag,
) -> Result<Lowered, BuildError> {
    let (events, _) = EventSink::channel(1);
    lower(&request(Box::new(move |known| Ok(frontend(known)))), images, &Extra::new(events))
        .await
        .map(|planned| planned.lowered)
}

#[tokio::test]
async fn files_are_read_and_absent_ones_are_an_answer() {
    let frontend = |known: &Known| match known.files.len() {
        0 => Step::Need([(file("Dockerfile"), None), (file(".dockerignore"), None)].into()),
        _ => {
            let get = |path: &str| known.files[&(ContextName::BuildFile, path.to_owned())].clone();
            assert_eq!(get("Dockerfile").as_deref(), Some(&b"FROM scratch"[..]));
            assert_eq!(get(".dockerignore"), None);
            done()
        }
    };
    ask(frontend, &MovingTag::default()).await.expect("lowered");
}

#[tokio::test]
async fn a_context_that_was_not_given_is_an_error_with_a_span() {
    let span = Span { start: 3, end: 5 };
    let need = Need::File(ContextName::Named("docs".to_owned()), "a".to_owned());
    let frontend = move |_: &Known| Step::Need([(need.clone(), Some(span))].into());
    let error = ask(frontend, &MovingTag::default()).await.expect_err("no such context");
    assert_eq!(error.span(), Some(span));
    assert_eq!(error.to_string(), "no context named \"docs\" was given");
}

#[tokio::test]
async fn a_frontend_that_never_ends_is_ended() {
    let frontend = |_: &Known| Step::Need([(file("Dockerfile"), None)].into());
    let error = ask(frontend, &MovingTag::default()).await.expect_err("endless");
    assert!(matches!(error, BuildError::EndlessNeed { .. }));
}

#[tokio::test]
async fn a_tag_is_resolved_once() {
    let name: Reference = "example.org/app:1".parse().expect("a reference");
    let platforms =
        ["linux/amd64", "linux/arm64", "linux/386"].map(|text| text.parse::<Platform>().expect("a platform"));
    let images = MovingTag::default();
    let frontend = move |known: &Known| {
        let need = |platform: &Platform| (Need::Image(name.clone(), platform.clone()), None);
        match known.images.len() {
            0 => Step::Need(platforms[..2].iter().map(need).collect()),
            2 => Step::Need(platforms[2..].iter().map(need).collect()),
            _ => {
                let digests: Vec<_> = known.images.values().map(|facts| &facts.resolved.digest).collect();
                assert!(digests.windows(2).all(|pair| pair[0] == pair[1]));
                done()
            }
        }
    };
    ask(frontend, &images).await.expect("lowered");
    let asked = images.asked.lock().expect("not poisoned");
    assert_eq!(asked.iter().filter(|(reference, _)| reference.digest().is_none()).count(), 1);
    assert_eq!(asked.len(), 3);
}

#[tokio::test]
async fn the_commit_of_a_branch_is_told() {
    let need = Need::GitRef("https://h/r.git".to_owned(), "main".to_owned());
    let frontend = move |known: &Known| match known.git.values().next() {
        None => Step::Need([(need.clone(), None)].into()),
        Some(commit) => {
            assert_eq!(commit, "https://h/r.git#main");
            done()
        }
    };
    ask(frontend, &MovingTag::default()).await.expect("lowered");
}
