//! `rbuild artifact`, `attach` and `discover`.

use std::fmt::Write;
use std::path::PathBuf;

use builder::event::StepId;
use builder::toolchain::{self, Artifact, Discovered, Earlier, Referrer};
use oci::Descriptor;
use serde_json::{Value, json};

use crate::args::{
    ArtifactCommand, ArtifactPullArgs, ArtifactPushArgs, AttachArgs, DiscoverArgs, Global, LabelArg, ListForm,
};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

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
    let artifact = artifact(&args.artifact_type, &args.files, &args.annotations)?;
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

fn artifact(kind: &str, files: &[String], annotations: &[LabelArg]) -> Result<Artifact, Failure> {
    if !kind.contains('/') {
        return Err(Failure::usage(format!("--artifact-type: {kind} is no media type")));
    }
    Ok(Artifact {
        artifact_type: kind.to_owned(),
        files: files.iter().map(|text| file(text)).collect(),
        annotations: annotations.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect(),
    })
}

/// Attaches an artifact and prints its digest.
pub fn attach(args: &AttachArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let subject = super::copy::target(&args.subject)?;
    let artifact = artifact(&args.artifact_type, &args.files, &args.annotations)?;
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let attached =
        open.work(async move { toolchain::attach(&session, &subject, &artifact, StepId(0)).await })?;
    super::print(&format!("{}\n", attached.digest));
    Ok(())
}

/// `FILE` or `FILE:TYPE`, where a type has a slash and a file of that whole name is not meant.
fn file(text: &str) -> (PathBuf, Option<String>) {
    match text.rsplit_once(':') {
        Some((path, kind)) if kind.contains('/') && !kind.starts_with('/') => {
            (path.into(), Some(kind.to_owned()))
        }
        Some(_) | None => (text.into(), None),
    }
}

/// Prints what refers to an image.
pub fn discover(args: &DiscoverArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let place = super::place(&args.subject)?;
    let kind = args.artifact_type.clone();
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let found = open.work(async move { toolchain::discover(&session, &place, kind.as_deref()).await })?;
    super::print(&match args.format {
        ListForm::Table => table(&found),
        ListForm::Json => format!("{:#}\n", row(&found.subject, &found.referrers)),
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
            assert_eq!(file(text), (PathBuf::from(path), kind.map(str::to_owned)), "{text}");
        }
    }
}
