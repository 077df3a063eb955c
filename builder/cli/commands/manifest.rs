//! `rbuild manifest` and `rbuild validate`.

use std::collections::BTreeMap;

use builder::error::Category;
use builder::event::StepId;
use builder::toolchain::{self, CopyOptions, Depth, EntryChange, Existing, IndexRequest, Place, ToolError};
use oci::Digest;

use crate::args::{
    Global, LabelArg, ManifestAnnotateArgs, ManifestCommand, ManifestCreateArgs, ManifestInspectArgs,
    ManifestPushArgs, ValidateArgs,
};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

const STEP: StepId = StepId(0);

/// Runs one of them.
pub fn run(command: &ManifestCommand, global: &Global, environment: &Environment) -> Result<(), Failure> {
    match command {
        ManifestCommand::Create(args) => create(args, global, environment),
        ManifestCommand::Annotate(args) => annotate(args, global, environment),
        ManifestCommand::Push(args) => push(args, global, environment),
        ManifestCommand::Inspect(args) => inspect(args, global, environment),
    }
}

/// An index that is worked on: a bare name is the store's, as Docker keeps lists on this machine.
fn index_place(text: &str) -> Result<Place, Failure> {
    match super::place(text)? {
        Place::Either(name) => Ok(Place::Store(name)),
        place @ (Place::Registry(_)
        | Place::Store(_)
        | Place::Layout { .. }
        | Place::LayoutArchive { .. }
        | Place::DockerArchive { .. }
        | Place::Directory(_)) => Ok(place),
    }
}

fn annotations(given: &[LabelArg]) -> BTreeMap<String, String> {
    given.iter().map(|label| (label.key.clone(), label.value.clone())).collect()
}

fn create(args: &ManifestCreateArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let request = IndexRequest {
        target: index_place(&args.target)?,
        parts: args.images.iter().map(|text| super::place(text)).collect::<Result<_, _>>()?,
        existing: if args.append { Existing::Append } else { Existing::Replace },
        annotations: annotations(&args.annotations),
    };
    let open = host::open(global, environment, Form::Quiet, None)?;
    let (session, dry_run) = (open.session.clone(), args.dry_run);
    let text = open.work(async move {
        let made = toolchain::make_index(&session, &request).await?;
        if dry_run {
            return Ok::<_, ToolError>(String::from_utf8_lossy(made.document().raw()).into_owned());
        }
        Ok(made.commit(&session, STEP).await?.digest.to_string())
    })?;
    super::print(&format!("{text}\n"));
    Ok(())
}

fn annotate(args: &ManifestAnnotateArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let target = index_place(&args.target)?;
    let named: Result<Digest, Place> = match args.entry.parse::<Digest>() {
        Ok(digest) => Ok(digest),
        Err(_) => Err(super::place(&args.entry)?),
    };
    let change = EntryChange {
        os: args.os.clone(),
        architecture: args.arch.clone(),
        variant: args.variant.clone(),
        os_version: args.os_version.clone(),
        os_features: args.os_features.clone(),
        annotations: annotations(&args.annotations),
    };
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let digest = open.work(async move {
        let entry = match named {
            Ok(digest) => digest,
            Err(place) => toolchain::digest(&session, &place, None).await?.digest,
        };
        let made = toolchain::annotate_index(&session, &target, &entry, &change).await?;
        Ok::<_, ToolError>(made.commit(&session, STEP).await?.digest)
    })?;
    super::print(&format!("{digest}\n"));
    Ok(())
}

fn push(args: &ManifestPushArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let source = index_place(&args.source)?;
    let target = match (&args.target, &source) {
        (Some(text), _) => match super::place(text)? {
            Place::Either(name) => Place::Registry(name),
            place @ (Place::Registry(_)
            | Place::Store(_)
            | Place::Layout { .. }
            | Place::LayoutArchive { .. }
            | Place::DockerArchive { .. }
            | Place::Directory(_)) => place,
        },
        (None, Place::Store(name)) => Place::Registry(name.clone()),
        (None, place) => return Err(Failure::usage(format!("{place}: say where it goes"))),
    };
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let copied = open.work(async move {
        toolchain::copy(&session, &source, &target, &CopyOptions::default(), STEP).await
    })?;
    super::print(&format!("{}\n", copied.top.digest));
    Ok(())
}

fn inspect(args: &ManifestInspectArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let place = super::place(&args.image)?;
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let (_, raw) = open.work(async move { toolchain::document(&session, &place, None).await })?;
    let value: serde_json::Value =
        serde_json::from_slice(&raw).map_err(|error| Failure::new(Category::Local, error))?;
    super::print(&format!("{value:#}\n"));
    Ok(())
}

/// Looks whether an image is whole.
pub fn validate(args: &ValidateArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let place = super::place(&args.image)?;
    let platform = args.platform.as_deref().map(|text| super::platform(Some(text))).transpose()?;
    let depth = if args.fast { Depth::Documents } else { Depth::Layers };
    let open = host::open(global, environment, Form::Quiet, None)?;
    let (session, wanted) = (open.session.clone(), place.clone());
    let found =
        open.work(async move { toolchain::validate(&session, &wanted, platform.as_ref(), depth).await })?;
    if found.faults.is_empty() {
        super::print(&format!(
            "{place}: {} documents and {} blobs are whole\n",
            found.documents, found.blobs
        ));
        return Ok(());
    }
    let faults = found.faults.join("\n  ");
    Err(Failure::new(Category::Local, format!("{place} is damaged:\n  {faults}")))
}
