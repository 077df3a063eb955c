//! Images that the frontend asks for.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use graph::{ImageFacts, Remote, Span};
use oci::{Platform, Reference};

use super::{Extra, all};
use crate::error::{BuildError, Cause};
use crate::event::StepId;

/// Platforms wanted of each name, and the text that wants them.
pub(super) type Wanted = BTreeMap<Reference, Vec<(Platform, Option<Span>)>>;

type Answers = BTreeMap<(Reference, Platform), ImageFacts>;

/// Knows what names stand for: the store, registries and repositories, or a test.
pub(crate) trait ImageSourceOfFacts: Send + Sync {
    /// What a name stands for on a platform.
    fn facts(&self, reference: Reference, platform: Platform) -> BoxFuture<'_, Result<ImageFacts, Cause>>;

    /// The commit that a name in a git repository stands for.
    fn commit(&self, url: String, name: String) -> BoxFuture<'_, Result<String, Cause>>;

    /// The time of a remote source in seconds since 1970, if it has one. `step` is for events.
    fn time(&self, source: Remote, step: StepId) -> BoxFuture<'_, Result<Option<i64>, Cause>>;
}

/// Resolves them all; `known` are the answers of earlier rounds.
pub(super) async fn resolve(
    images: &dyn ImageSourceOfFacts,
    extra: &Extra,
    wanted: Wanted,
    known: &Answers,
) -> Result<Answers, BuildError> {
    let parts = wanted.into_iter().map(|(reference, platforms)| {
        let pinned = known
            .iter()
            .find(|((name, _), _)| *name == reference)
            .map(|(_, facts)| facts.resolved.digest.clone());
        name(images, extra, reference, platforms, pinned)
    });
    Ok(all(parts.collect()).await?.into_iter().flatten().collect())
}

/// All platforms of one name: the first answer pins the others.
async fn name(
    images: &dyn ImageSourceOfFacts,
    extra: &Extra,
    reference: Reference,
    platforms: Vec<(Platform, Option<Span>)>,
    mut pinned: Option<oci::Digest>,
) -> Result<Vec<((Reference, Platform), ImageFacts)>, BuildError> {
    let mut answers = Vec::with_capacity(platforms.len());
    let several = platforms.len() > 1;
    for (platform, span) in platforms {
        let shown = if several { format!(" for {platform}") } else { String::new() };
        let step =
            extra.begin(format!("[internal] load metadata for {}{shown}", reference.familiar()), span).await;
        let asked = match (&pinned, reference.digest()) {
            (Some(digest), None) => reference.with_digest(digest.clone()),
            (Some(_) | None, Some(_)) | (None, None) => reference.clone(),
        };
        let result = images.facts(asked, platform.clone()).await;
        extra.end(step, &result).await;
        let facts = result.map_err(|cause| BuildError::Need {
            what: format!("image {} cannot be had", reference.familiar()),
            span,
            cause,
        })?;
        pinned.get_or_insert_with(|| facts.resolved.digest.clone());
        answers.push(((reference.clone(), platform), facts));
    }
    Ok(answers)
}
