//! `rbuild inspect`.

use builder::toolchain::{self, Inspected};
use oci::Reference;
use serde::Serialize;
use serde_json::json;

use crate::args::{Global, InspectArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// Prints an image's documents.
pub fn run(args: &InspectArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let name = super::name(&args.image)?;
    let platform = super::platform(args.platform.as_deref())?;
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let wanted = name.clone();
    let found = open.work(async move { toolchain::inspect(&session, &wanted, &platform).await })?;
    super::print(&shown(args, &name, &found)?);
    Ok(())
}

fn shown(args: &InspectArgs, name: &Reference, found: &Inspected) -> Result<String, Failure> {
    let raw = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match (args.raw, args.config) {
        (true, true) => Ok(raw(found.config.raw())),
        (false, true) => Ok(pretty(found.config.parsed())),
        (true, false) => match &found.manifest {
            Some(manifest) => Ok(raw(manifest.raw())),
            None => Err(Failure::usage(format!(
                "{} has no manifest yet: it was not packed for a registry or an archive; --config shows its config",
                name.familiar()
            ))),
        },
        (false, false) => Ok(pretty(&json!({
            "name": name.familiar(),
            "digest": found.resolved.digest,
            "mediaType": found.resolved.media_type,
            "manifest": found.manifest.as_ref().map(|manifest| manifest.parsed()),
            "config": found.config.parsed(),
        }))),
    }
}

fn pretty(document: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(document);
    text.unwrap_or_else(|error| unreachable!("documents are plain data: {error}")) + "\n"
}
