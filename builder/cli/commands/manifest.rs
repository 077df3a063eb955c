//! `rbuild manifest` and `rbuild validate`.

use std::collections::BTreeMap;

use builder::error::Category;
use builder::event::StepId;
use builder::request::AnnotationPlace;
use builder::toolchain::{
    self, CopyOptions, Depth, EntryChange, Existing, IndexPart, IndexRequest, Noted, Place, PlaceError,
    Single, ToolError,
};
use oci::Digest;

use crate::args::{
    Global, IndexAnnotationArg, LabelArg, ManifestAnnotateArgs, ManifestCommand, ManifestCreateArgs,
    ManifestInspectArgs, ManifestPushArgs, ValidateArgs,
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
    let target = index_place(&args.target)?;
    let mut parts = Vec::new();
    for file in &args.files {
        let failed = |why: String| Failure::new(Category::Local, format!("--file {}: {why}", file.display()));
        let text = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
        let noted: Noted = serde_json::from_slice(&text)
            .map_err(|error| failed(format!("it holds no descriptor: {error}")))?;
        parts.push(IndexPart::noted(noted, &target).map_err(unnamed)?);
    }
    for text in &args.images {
        parts.push(part(text, &target)?);
    }
    let (of_index, of_entries): (Vec<_>, Vec<_>) = args
        .annotations
        .iter()
        .flat_map(|IndexAnnotationArg(all)| all.iter().cloned())
        .partition(|one| one.place == AnnotationPlace::Index);
    let request = IndexRequest {
        target,
        parts,
        single: if args.prefer_index { Single::Index } else { Single::Image },
        existing: if args.append { Existing::Append } else { Existing::Replace },
        annotations: of_index.into_iter().map(|one| (one.key, one.value)).collect(),
        entry_annotations: of_entries.into_iter().map(|one| (one.platform, one.key, one.value)).collect(),
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

/// A place, or the digest or descriptor of an image in the target's repository.
fn part(text: &str, target: &Place) -> Result<IndexPart, Failure> {
    if let Ok(digest) = text.parse::<Digest>() {
        return IndexPart::noted(digest.into(), target).map_err(unnamed);
    }
    if text.starts_with('{') {
        let noted: Noted = serde_json::from_str(text)
            .map_err(|error| Failure::usage(format!("{text} is no descriptor: {error}")))?;
        return IndexPart::noted(noted, target).map_err(unnamed);
    }
    Ok(super::place(text)?.into())
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn unnamed(error: PlaceError) -> Failure {
    Failure::from_error(Category::Usage, &error)
}

fn annotate(args: &ManifestAnnotateArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let target = index_place(&args.target)?;
    let named: Result<Digest, Place> = match args.entry.parse::<Digest>() {
        Ok(digest) => Ok(digest),
        Err(why) if ["sha256:", "sha512:"].iter().any(|kind| args.entry.starts_with(kind)) => {
            return Err(Failure::usage(format!("{:?} is no digest: {why}", args.entry)));
        }
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
