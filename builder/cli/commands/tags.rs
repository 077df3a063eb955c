//! `rbuild tags` and `rbuild delete`.

use builder::toolchain::{self, Deletion, Place, TagsOf};
use oci::{Reference, Repository};

use super::access;
use crate::args::{CatalogArgs, ChoiceArgs, DeleteArgs, Global, TagsArgs};
use crate::client::Additions;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// Prints tags, one a line.
pub fn list(args: &TagsArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let of = tags_of(&args.repository)?;
    let mut open = host::open(global, environment, Form::Quiet, None)?;
    open.add(&access_of(args, &of)?, global, environment)?;
    let session = open.session.clone();
    let tags = open.work(async move { toolchain::tags(&session, &of).await })?;
    print_chosen(&tags, &args.choice);
    Ok(())
}

fn access_of(args: &TagsArgs, of: &TagsOf) -> Result<Additions, Failure> {
    match of {
        TagsOf::Registry(repository) => access::of(&args.access, repository),
        TagsOf::Store(_) | TagsOf::Files(_) => access::nowhere(&args.access.said(), || {
            Failure::usage(format!("{} is in no registry", args.repository))
        }),
    }
}

/// Prints the repositories of a registry, one a line.
pub fn catalog(args: &CatalogArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let mut open = host::open(global, environment, Form::Quiet, None)?;
    open.add(&access::at(&args.registry, &args.access.said())?, global, environment)?;
    let (session, registry) = (open.session.clone(), args.registry.clone());
    let names = open.work(async move { toolchain::catalog(&session, &registry).await })?;
    print_chosen(&names, &args.choice);
    Ok(())
}

fn print_chosen(names: &[String], choice: &ChoiceArgs) {
    let chosen = names.iter().filter(|name| choice.takes(name));
    super::print(&chosen.map(|name| format!("{name}\n")).collect::<String>());
}

/// A repository has no tag in its name, so it is not quite a place.
fn tags_of(text: &str) -> Result<TagsOf, Failure> {
    let repository = |name: &str| {
        name.parse::<Repository>().map_err(|error| match name.parse::<Reference>() {
            Ok(image) => Failure::usage(format!(
                "{text} is one image; tags are those of its repository, {}",
                image.repository()
            )),
            Err(_) => Failure::usage(error),
        })
    };
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
    let mut open = host::open(global, environment, Form::Quiet, None)?;
    let mut all = Additions::default();
    for place in &places {
        all = access::both(all, access::of_place(&args.access.said(), place)?)?;
    }
    open.add(&all, global, environment)?;
    let session = open.session.clone();
    open.work(async move {
        for place in &places {
            toolchain::delete(&session, place, what).await?;
        }
        Ok::<_, toolchain::ToolError>(())
    })
}
