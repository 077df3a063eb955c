//! `rbuild inspect` and `rbuild digest`.

use std::io::Write;

use builder::toolchain::{self, Inspected, InspectedConfig, Place};
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
    let platform = super::platform(args.platform.as_deref())?;
    let mut open = host::open(global, environment, Form::Quiet, None)?;
    open.add(&super::access::of_place(&args.access.said(), &place)?, global, environment)?;
    let session = open.session.clone();
    let wanted = place.clone();
    let found = open.work(async move { toolchain::inspect(&session, &wanted, &platform).await })?;
    let name = place.to_string();
    // Bytes, not text: what is printed has the digest that the image names.
    drop(std::io::stdout().lock().write_all(&shown(args, &name, &found)));
    Ok(())
}

fn raw(args: &InspectArgs, place: &Place, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let platform = args.platform.as_deref().map(|text| super::platform(Some(text))).transpose()?;
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
    let platform = args.platform.as_deref().map(|text| super::platform(Some(text))).transpose()?;
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
