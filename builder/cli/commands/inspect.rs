//! `rbuild inspect` and `rbuild digest`.

mod fields;

use std::io::Write;

use builder::toolchain::{self, Inspected, InspectedConfig, Place, TagsOf, ToolError};
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use crate::args::{DigestArgs, Global, InspectArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// Prints an image's documents.
pub fn run(args: &InspectArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let place = super::place(&args.image)?;
    if args.raw && !args.config {
        return raw(args, &place, global, environment);
    }
    let platform = super::chosen(&args.platform)?.unwrap_or_else(oci::Platform::host);
    let mut open = host::open(global, environment, Form::Quiet, None)?;
    open.add(&super::access::of_place(&args.access.said(), &place)?, global, environment)?;
    let session = open.session.clone();
    let wanted = place.clone();
    let name = super::access::name(&place).filter(|_| args.asks_for_tags());
    let repository = name.map(|name| TagsOf::Registry(name.repository().clone()));
    let (found, tags) = open.work(async move {
        let found = toolchain::inspect(&session, &wanted, &platform).await?;
        let tags = match repository {
            Some(repository) => toolchain::tags(&session, &repository).await?,
            None => Vec::new(),
        };
        Ok::<_, ToolError>((found, tags))
    })?;
    if let Some(template) = &args.format {
        let text = template.fill(&fields::of(&place, &found, &tags, args.config));
        let text = text.map_err(|reason| Failure::usage(format!("--format: {reason}")))?;
        super::print(&format!("{text}\n"));
        return Ok(());
    }
    let name = place.to_string();
    // Bytes, not text: what is printed has the digest that the image names.
    drop(std::io::stdout().lock().write_all(&shown(args, &name, &found)));
    Ok(())
}

fn raw(args: &InspectArgs, place: &Place, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let platform = super::chosen(&args.platform)?;
    let mut open = host::open(global, environment, Form::Quiet, None)?;
    open.add(&super::access::of_place(&args.access.said(), place)?, global, environment)?;
    let (session, place) = (open.session.clone(), place.clone());
    let (_, bytes) =
        open.work(async move { toolchain::document(&session, &place, platform.as_ref()).await })?;
    drop(std::io::stdout().lock().write_all(&bytes));
    Ok(())
}

/// Prints the digest that a name stands for.
pub fn digest(args: &DigestArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let place = super::place(&args.image)?;
    let platform = super::chosen(&args.platform)?;
    let mut open = host::open(global, environment, Form::Quiet, None)?;
    open.add(&super::access::of_place(&args.access.said(), &place)?, global, environment)?;
    let session = open.session.clone();
    let found = open.work(async move { toolchain::digest(&session, &place, platform.as_ref()).await })?;
    super::print(&format!("{}\n", found.digest));
    Ok(())
}

fn shown(args: &InspectArgs, name: &str, found: &Inspected) -> Bytes {
    match (args.raw, args.config, &found.config) {
        (true, _, config) | (false, true, config @ InspectedConfig::Artifact(_)) => config.raw().clone(),
        (false, true, InspectedConfig::Image(config)) => pretty(config.parsed()),
        (false, false, config) => pretty(&json!({
            "name": name,
            "digest": found.resolved.digest,
            "mediaType": found.resolved.media_type,
            "manifest": found.manifest.as_ref().map(|manifest| manifest.parsed()),
            "config": match config {
                InspectedConfig::Image(config) => serde_json::to_value(config.parsed()).ok(),
                InspectedConfig::Artifact(raw) => serde_json::from_slice(raw).ok(),
            },
        })),
    }
}

fn pretty(document: &impl Serialize) -> Bytes {
    let text = serde_json::to_string_pretty(document);
    let text = text.unwrap_or_else(|error| unreachable!("documents are plain data: {error}"));
    (text + "\n").into()
}
