//! Builds that come out the same everywhere, and the times that an image says it was made.

use builder::Categorised;
use builder::Session;
use builder::remote;
use builder::request::{ContextMetadata, LocalContext, Rewrite};
use dockerfile::Options;
use graph::ContextName;

use super::places::Places;
use crate::args::{BuildArgs, ContextMetadataArg, OutputArg};
use crate::failure::Failure;

const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The times of a build, and how it takes its contexts.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// How permission bits and times of local contexts are taken.
    pub metadata: ContextMetadata,
    /// Seconds since 1970, for what nothing else dates.
    pub epoch: Option<i64>,
}

/// Reads the options about time, and tells them to the frontend and to the outputs.
pub async fn times(
    args: &BuildArgs,
    options: &mut Options,
    outputs: &mut [OutputArg],
    places: &Places,
    session: &Session,
) -> Result<Times, Failure> {
    if let Some(time) = args.timestamp {
        for arg in outputs.iter_mut() {
            arg.output.source_date_epoch = Some(time);
            arg.output.rewrite = Rewrite::Exactly;
        }
    }
    let as_asked = match args.context_metadata {
        ContextMetadataArg::AsIs => ContextMetadata::AsIs,
        ContextMetadataArg::Git => ContextMetadata::Git,
    };
    if !args.reproducible {
        return Ok(Times { metadata: as_asked, epoch: given(options) });
    }
    for arg in outputs.iter_mut() {
        arg.output.rewrite = Rewrite::NotAfter;
    }
    let is_given =
        options.build_args.get(EPOCH).and_then(Option::as_deref).is_some_and(|text| !text.is_empty());
    if !is_given {
        let committed = committed(places, session).await?.unwrap_or(0);
        options.build_args.insert(EPOCH.to_owned(), Some(committed.to_string()));
    }
    let epoch = given(options).unwrap_or(0);
    Ok(Times { metadata: ContextMetadata::Dated(epoch), epoch: Some(epoch) })
}

/// The number that was given; a name stands for what the frontend makes of it.
fn given(options: &Options) -> Option<i64> {
    options.build_args.get(EPOCH).and_then(|value| value.as_deref()?.parse().ok())
}

/// When what is built was committed.
async fn committed(places: &Places, session: &Session) -> Result<Option<i64>, Failure> {
    let directory = match places.contexts.get(&ContextName::Main) {
        Some(LocalContext::Directory(path)) => Some(path.as_path()),
        Some(LocalContext::Memory(_) | LocalContext::Layers { .. }) | None => None,
    };
    let time = remote::context_time(session, places.source.as_ref(), directory).await;
    time.map_err(|error| Failure::from_error(error.category(), &error))
}
