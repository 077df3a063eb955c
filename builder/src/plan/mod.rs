//! The conversation with the frontend, until there is a graph.
//!
//! The frontend is asked, answers with needs, and is asked again with their facts. All needs of a
//! round are answered at once. An image name is resolved once in a build: for a second platform the
//! digest of the first answer is asked, so that a tag that moves meanwhile cannot split the build.

mod commits;
mod files;
mod images;
mod progress;
#[cfg(test)]
mod tests;
mod times;

use std::collections::BTreeMap;

use futures::future::try_join_all;
use graph::{ContextName, Known, Lowered, Need, Span, Step};
use thiserror::Error;

use crate::error::{BuildError, Categorised, Category};
use crate::request::{BuildRequest, LocalContext};

pub(crate) use images::ImageSourceOfFacts;
pub(crate) use progress::{Extra, ExtraStep};

/// Something that this program does not do yet.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not supported yet: {what}")]
pub struct Unsupported {
    /// What.
    pub what: String,
}

impl Categorised for Unsupported {
    fn category(&self) -> Category {
        Category::Usage
    }
}

/// What the frontend answered in the end.
pub(crate) struct Planned {
    /// The graph.
    pub(crate) lowered: Lowered,
    /// The build file, as far as it is text.
    pub(crate) build_file: Option<String>,
}

fn build_file(known: &Known) -> Option<String> {
    let mut files = known.files.iter().filter(|((context, path), _)| {
        *context == ContextName::BuildFile && !path.ends_with(".dockerignore")
    });
    let (_, bytes) = files.find(|(_, bytes)| bytes.is_some())?;
    String::from_utf8(bytes.as_ref()?.to_vec()).ok()
}

/// Asks the frontend until it is done.
pub(crate) async fn lower(
    request: &BuildRequest,
    images: &dyn ImageSourceOfFacts,
    extra: &Extra,
) -> Result<Planned, BuildError> {
    let mut known = Known::default();
    loop {
        match (request.frontend)(&known).map_err(BuildError::Diagnostics)? {
            Step::Done(lowered) => {
                return Ok(Planned { lowered: *lowered, build_file: build_file(&known) });
            }
            Step::Need(needs) => answer(&request.contexts, images, extra, needs, &mut known).await?,
        }
    }
}

async fn answer(
    contexts: &BTreeMap<ContextName, LocalContext>,
    images: &dyn ImageSourceOfFacts,
    extra: &Extra,
    needs: BTreeMap<Need, Option<Span>>,
    known: &mut Known,
) -> Result<(), BuildError> {
    let fresh: BTreeMap<Need, Option<Span>> =
        needs.into_iter().filter(|(need, _)| !is_known(need, known)).collect();
    if fresh.is_empty() {
        return Err(BuildError::EndlessNeed { what: "what it was told".to_owned() });
    }
    let mut wanted_files = Vec::new();
    let mut wanted_images = images::Wanted::default();
    let mut wanted_commits = Vec::new();
    let mut wanted_times = Vec::new();
    for (need, span) in fresh {
        match need {
            Need::File(context, path) => wanted_files.push((context, path, span)),
            Need::Image(reference, platform) => {
                wanted_images.entry(reference).or_default().push((platform, span))
            }
            Need::GitRef(address, name) => wanted_commits.push((address, name, span)),
            Need::Time(source) => wanted_times.push((source, span)),
        }
    }
    let resolved = images::resolve(images, extra, wanted_images, &known.images);
    let commits = commits::resolve(images, extra, wanted_commits);
    let times = times::resolve(images, extra, wanted_times);
    let files = files::read(contexts, extra, wanted_files);
    let (files, resolved, commits, times) = futures::try_join!(files, resolved, commits, times)?;
    known.files.extend(files);
    known.images.extend(resolved);
    known.git.extend(commits);
    known.times.extend(times);
    Ok(())
}

fn is_known(need: &Need, known: &Known) -> bool {
    match need {
        Need::Image(reference, platform) => known.images.contains_key(&(reference.clone(), platform.clone())),
        Need::File(context, path) => known.files.contains_key(&(context.clone(), path.clone())),
        Need::GitRef(address, name) => known.git.contains_key(&(address.clone(), name.clone())),
        Need::Time(source) => known.times.contains_key(source),
    }
}

/// Runs all at once; the first error ends the others.
async fn all<T, F: Future<Output = Result<T, BuildError>>>(parts: Vec<F>) -> Result<Vec<T>, BuildError> {
    try_join_all(parts).await
}
