//! Commits that the frontend asks for.

use std::collections::BTreeMap;

use graph::Span;

use super::{Extra, ImageSourceOfFacts, all};
use crate::error::BuildError;
use crate::git::shown;

type Answers = BTreeMap<(String, String), String>;

/// Resolves them all, each once in a build.
pub(super) async fn resolve(
    world: &dyn ImageSourceOfFacts,
    extra: &Extra,
    wanted: Vec<(String, String, Option<Span>)>,
) -> Result<Answers, BuildError> {
    let parts = wanted.into_iter().map(|(url, name, span)| one(world, extra, url, name, span));
    Ok(all(parts.collect()).await?.into_iter().collect())
}

async fn one(
    world: &dyn ImageSourceOfFacts,
    extra: &Extra,
    url: String,
    name: String,
    span: Option<Span>,
) -> Result<((String, String), String), BuildError> {
    let what = if name.is_empty() { shown(&url) } else { format!("{}#{name}", shown(&url)) };
    let step = extra.begin(format!("resolve {what}"), span).await;
    let result = world.commit(url.clone(), name.clone()).await;
    extra.end(step, &result).await;
    let commit = result.map_err(|cause| BuildError::Need {
        what: format!("{what} cannot be resolved"),
        span,
        cause,
    })?;
    Ok(((url, name), commit))
}
