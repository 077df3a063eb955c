//! `rbuild artifact`, `attach` and `discover`.

use std::collections::BTreeMap;
use std::fmt::Write;

use builder::error::Category;
use builder::event::StepId;
use builder::toolchain::{self, Artifact, ArtifactFile, Discovered, Earlier, Referrer};
use oci::Descriptor;
use serde_json::{Value, json};

use crate::args::{
    ArtifactAnnotations, ArtifactCommand, ArtifactPullArgs, ArtifactPushArgs, AttachArgs, DiscoverArgs,
    DiscoverForm, Global,
};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// What an artifact is where nothing is said.
const UNKNOWN: &str = "application/vnd.unknown.artifact.v1";
/// In a file of annotations, what is about the manifest and the config.
const OF_MANIFEST: &str = "$manifest";
const OF_CONFIG: &str = "$config";

/// Runs one of the commands of `artifact`.
pub fn run(command: &ArtifactCommand, global: &Global, environment: &Environment) -> Result<(), Failure> {
    match command {
        ArtifactCommand::Push(args) => push(args, global, environment),
        ArtifactCommand::Pull(args) => pull(args, global, environment),
    }
}

/// Pushes an artifact and prints its digest.
fn push(args: &ArtifactPushArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let target = super::copy::target(&args.target)?;
    let kind = match (&args.artifact_type, &args.config) {
        (Some(kind), _) => Some(kind.as_str()),
        (None, Some(_)) => None,
        (None, None) => Some(UNKNOWN),
    };
    let artifact = artifact(kind, args.config.as_deref(), &args.files, &args.annotations)?;
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let pushed =
        open.work(async move { toolchain::push_artifact(&session, &target, &artifact, StepId(0)).await })?;
    super::print(&format!("{}\n", pushed.digest));
    Ok(())
}

/// Fetches the files of an artifact and prints their paths.
fn pull(args: &ArtifactPullArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let place = super::place(&args.artifact)?;
    let platform = args.platform.as_deref().map(|text| super::platform(Some(text))).transpose()?;
    let earlier = if args.keep_old_files { Earlier::Kept } else { Earlier::Replaced };
    let directory = args.output.clone();
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let paths = open.work(async move {
        toolchain::fetch_files(&session, &place, platform.as_ref(), (&directory, earlier)).await
    })?;
    for path in paths {
        super::print(&format!("{}\n", path.display()));
    }
    Ok(())
}

fn artifact(
    kind: Option<&str>,
    config: Option<&str>,
    files: &[String],
    annotations: &ArtifactAnnotations,
) -> Result<Artifact, Failure> {
    if let Some(kind) = kind.filter(|kind| !kind.contains('/')) {
        return Err(Failure::usage(format!("--artifact-type: {kind} is no media type")));
    }
    let mut said = said(annotations)?;
    let mut of = |name: &str| said.remove(name).unwrap_or_default();
    let (manifest, of_config) = (of(OF_MANIFEST), of(OF_CONFIG));
    if config.is_none() && !of_config.is_empty() {
        return Err(Failure::usage(format!(
            "--annotation-file: {OF_CONFIG} stands for a config, and there is no --config"
        )));
    }
    let config = config.map(|text| ArtifactFile { annotations: of_config, ..file(text) });
    let files: Vec<ArtifactFile> = files
        .iter()
        .map(|text| file(text))
        .map(|file| ArtifactFile { annotations: of(&file.path.to_string_lossy()), ..file })
        .collect();
    if let Some(name) = said.keys().next() {
        return Err(Failure::usage(format!("--annotation-file: {name} is none of the files")));
    }
    Ok(Artifact { artifact_type: kind.map(str::to_owned), config, files, annotations: manifest })
}

/// Annotations by what they are about, as oras has them in files.
type Said = BTreeMap<String, BTreeMap<String, String>>;

fn said(annotations: &ArtifactAnnotations) -> Result<Said, Failure> {
    let Some(path) = &annotations.annotation_file else {
        let pairs = annotations.annotations.iter().map(|pair| (pair.key.clone(), pair.value.clone()));
        return Ok(Said::from([(OF_MANIFEST.to_owned(), pairs.collect())]));
    };
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Category::Local, format!("--annotation-file {}: {error}", path.display()))
    };
    let text = std::fs::read(path).map_err(|error| failed(&error))?;
    serde_json::from_slice(&text).map_err(|error| failed(&error))
}

/// Attaches an artifact and prints its digest.
pub fn attach(args: &AttachArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let subject = super::copy::target(&args.subject)?;
    let artifact = artifact(Some(&args.artifact_type), None, &args.files, &args.annotations)?;
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let attached =
        open.work(async move { toolchain::attach(&session, &subject, &artifact, StepId(0)).await })?;
    super::print(&format!("{}\n", attached.digest));
    Ok(())
}

/// `FILE` or `FILE:TYPE`, where a type has a slash and a file of that whole name is not meant.
fn file(text: &str) -> ArtifactFile {
    let (path, media_type) = match text.rsplit_once(':') {
        Some((path, kind)) if kind.contains('/') && !kind.starts_with('/') => (path, Some(kind.to_owned())),
        Some(_) | None => (text, None),
    };
    ArtifactFile { path: path.into(), media_type, annotations: BTreeMap::new() }
}

/// Prints what refers to an image.
pub fn discover(args: &DiscoverArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let place = super::place(&args.subject)?;
    let kind = args.artifact_type.clone();
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let found = open.work(async move { toolchain::discover(&session, &place, kind.as_deref()).await })?;
    super::print(&match args.format {
        DiscoverForm::Table => table(&found),
        DiscoverForm::Tree => tree(&found),
        DiscoverForm::Json => format!("{:#}\n", row(&found.subject, &found.referrers)),
    });
    Ok(())
}

fn table(found: &Discovered) -> String {
    let mut text = format!("{}\n", found.subject.digest);
    indented(&found.referrers, 1, &mut text);
    text
}

fn indented(referrers: &[Referrer], depth: usize, text: &mut String) {
    for referrer in referrers {
        let kind = referrer.entry.artifact_type().unwrap_or("unknown");
        let _ = writeln!(text, "{:width$}{}  {kind}", "", referrer.entry.digest, width = depth * 2);
        indented(&referrer.referrers, depth + 1, text);
    }
}

fn tree(found: &Discovered) -> String {
    let mut text = format!("{}\n", found.subject.digest);
    branches(&found.referrers, "", &mut text);
    text
}

/// Kinds in their order, with what is of each below it.
fn branches(referrers: &[Referrer], before: &str, text: &mut String) {
    let mut kinds: BTreeMap<&str, Vec<&Referrer>> = BTreeMap::new();
    for referrer in referrers {
        kinds.entry(referrer.entry.artifact_type().unwrap_or("unknown")).or_default().push(referrer);
    }
    let last_kind = kinds.len().saturating_sub(1);
    for (at, (kind, ones)) in kinds.into_iter().enumerate() {
        let (branch, below) = drawn(at == last_kind);
        let _ = writeln!(text, "{before}{branch}{kind}");
        let last_one = ones.len() - 1;
        for (number, one) in ones.into_iter().enumerate() {
            let (twig, under) = drawn(number == last_one);
            let _ = writeln!(text, "{before}{below}{twig}{}", one.entry.digest);
            branches(&one.referrers, &format!("{before}{below}{under}"), text);
        }
    }
}

/// The lines before one thing, and before what is below it.
fn drawn(is_last: bool) -> (&'static str, &'static str) {
    if is_last { ("└── ", "    ") } else { ("├── ", "│   ") }
}

fn row(entry: &Descriptor, referrers: &[Referrer]) -> Value {
    json!({
        "digest": entry.digest,
        "mediaType": entry.media_type,
        "size": entry.size,
        "artifactType": entry.artifact_type(),
        "annotations": entry.annotations,
        "referrers": referrers.iter().map(|one| row(&one.entry, &one.referrers)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_may_say_their_type() {
        for (text, path, kind) in [
            ("a.json", "a.json", None),
            ("a.json:application/json", "a.json", Some("application/json")),
            ("dir:x/a", "dir", Some("x/a")),
            ("c:/a", "c:/a", None),
        ] {
            let found = file(text);
            assert_eq!((found.path.to_str(), found.media_type.as_deref()), (Some(path), kind), "{text}");
        }
    }
}
