//! `rbuild tags` and `rbuild delete`.

use builder::toolchain::{self, Deletion, Place, TagsOf};
use oci::Repository;

use crate::args::{DeleteArgs, Global, TagsArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// Prints tags, one a line.
pub fn list(args: &TagsArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let of = tags_of(&args.repository)?;
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let tags = open.work(async move { toolchain::tags(&session, &of).await })?;
    super::print(&tags.iter().map(|tag| format!("{tag}\n")).collect::<String>());
    Ok(())
}

/// A repository has no tag in its name, so it is not quite a place.
fn tags_of(text: &str) -> Result<TagsOf, Failure> {
    let repository = |name: &str| name.parse::<Repository>().map_err(Failure::usage);
    if let Some(name) = text.strip_prefix("docker://") {
        return repository(name).map(TagsOf::Registry);
    }
    if let Some(name) = text.strip_prefix("store:") {
        return repository(name).map(TagsOf::Store);
    }
    match super::place(text) {
        Ok(place @ (Place::Layout { .. } | Place::LayoutArchive { .. } | Place::DockerArchive { .. })) => {
            Ok(TagsOf::Files(place))
        }
        Ok(Place::Directory(_)) => Err(Failure::usage(format!("{text}: a dir: has no tags"))),
        Ok(Place::Registry(_) | Place::Store(_) | Place::Either(_)) | Err(_) => {
            repository(text).map(TagsOf::Registry)
        }
    }
}

/// Deletes images one after the other.
pub fn delete(args: &DeleteArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let places = args.images.iter().map(|text| super::copy::target(text)).collect::<Result<Vec<_>, _>>()?;
    let what = if args.tag_only { Deletion::Tag } else { Deletion::Manifest };
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    open.work(async move {
        for place in &places {
            toolchain::delete(&session, place, what).await?;
        }
        Ok::<_, toolchain::ToolError>(())
    })
}
