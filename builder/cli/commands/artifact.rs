//! `rbuild attach` and `rbuild discover`.

use std::fmt::Write;
use std::path::PathBuf;

use builder::event::StepId;
use builder::toolchain::{self, Artifact, Discovered, Referrer};
use oci::Descriptor;
use serde_json::{Value, json};

use crate::args::{AttachArgs, DiscoverArgs, Global, ListForm};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// Attaches an artifact and prints its digest.
pub fn attach(args: &AttachArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let subject = super::copy::target(&args.subject)?;
    if !args.artifact_type.contains('/') {
        return Err(Failure::usage(format!("--artifact-type: {} is no media type", args.artifact_type)));
    }
    let artifact = Artifact {
        artifact_type: args.artifact_type.clone(),
        files: args.files.iter().map(|text| file(text)).collect(),
        annotations: args.annotations.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect(),
    };
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
