//! Times of remote sources that the frontend asks for.

use std::collections::BTreeMap;

use graph::{Remote, Span};

use super::{Extra, ImageSourceOfFacts, all};
use crate::error::BuildError;
use crate::git::shown;

type Answers = BTreeMap<Remote, Option<i64>>;

/// Resolves them all, each once in a build.
pub(super) async fn resolve(
    world: &dyn ImageSourceOfFacts,
    extra: &Extra,
    wanted: Vec<(Remote, Option<Span>)>,
) -> Result<Answers, BuildError> {
    let parts = wanted.into_iter().map(|(source, span)| one(world, extra, source, span));
    Ok(all(parts.collect()).await?.into_iter().collect())
}

async fn one(
    world: &dyn ImageSourceOfFacts,
    extra: &Extra,
    source: Remote,
    span: Option<Span>,
) -> Result<(Remote, Option<i64>), BuildError> {
    let what = match &source {
        Remote::Git(git) => format!("{}#{}", shown(&git.url), git.commit),
        Remote::Http(http) => shown(&http.url),
    };
    let step = extra.begin(format!("[internal] resolve the time of {what}"), span).await;
    let result = world.time(source.clone(), step.id).await;
    extra.end(step, &result).await;
    let time =
        result.map_err(|cause| BuildError::Need { what: format!("{what} cannot be had"), span, cause })?;
    Ok((source, time))
}
