//! `rbuild ls`, `rbuild tree`, `rbuild cat` and `rbuild diff`: the files of images.

mod rows;

pub use rows::shown;

use std::io::{BufWriter, Write};
use std::path::Path;

use builder::error::{Categorised, Category};
use builder::event::StepId;
use builder::toolchain::{self, ChangedFile, Difference, OpenImage, ToolError};
use layer_store::{Attributes, Entry, Kind, Walk};
use serde_json::{Value, json};

use self::rows::{Rows, changes, row};
use super::images::local_failure;
use crate::args::{CatArgs, DiffArgs, Global, ListForm, LookArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// Opens images and does something with them while a lease keeps them.
fn looking(
    names: &[&str],
    platform: Option<&str>,
    global: &Global,
    environment: &Environment,
    look: impl FnOnce(&[OpenImage]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let places = names.iter().map(|name| super::place(name)).collect::<Result<Vec<_>, _>>()?;
    let platform = super::platform(platform)?;
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let images = open.runtime.block_on(async {
        let all = async {
            let mut images = Vec::with_capacity(places.len());
            for place in &places {
                images.push(toolchain::open_image(&session, place, &platform, StepId(0)).await?);
            }
            Ok(images)
        };
        tokio::select! {
            images = all => images.map_err(|error: ToolError| Failure::from_error(error.category(), &error)),
            () = super::interrupted() => Err(Failure::new(Category::Interrupted, "cancelled")),
        }
    });
    drop(session);
    let result = images.and_then(|images| look(&images));
    open.close();
    result
}

/// Lists a directory, or shows one file.
pub fn ls(args: &LookArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    looking(&[&args.image], args.platform.as_deref(), global, environment, |images| {
        for image in images {
            let (path, entry) = found(image, &args.path)?;
            let mut rows = Rows::begin(args.format);
            if entry.attributes.is_dir() {
                for found in image.view.entries(&path).map_err(local_failure)? {
                    let (name, entry) = found.map_err(local_failure)?;
                    rows.add(Path::new(&name), &entry.attributes);
                }
            } else {
                rows.add(&path, &entry.attributes);
            }
            rows.end();
        }
        Ok(())
    })
}

/// Lists everything below a directory.
pub fn tree(args: &LookArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    looking(&[&args.image], args.platform.as_deref(), global, environment, |images| {
        for image in images {
            let (path, _) = found(image, &args.path)?;
            let mut rows = Rows::begin(args.format);
            let walked = image.view.walk(&path, &mut |path, entry| {
                rows.add(path, &entry.attributes);
                Ok(Walk::Continue)
            });
            rows.end();
            walked.map_err(local_failure)?;
        }
        Ok(())
    })
}

/// Prints a file.
pub fn cat(args: &CatArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    looking(&[&args.image], args.platform.as_deref(), global, environment, |images| {
        images.iter().try_for_each(|image| print_file(image, &args.path))
    })
}

fn print_file(image: &OpenImage, path: &Path) -> Result<(), Failure> {
    let (path, _) = found(image, path)?;
    let mut file = image.view.open(&path).map_err(local_failure)?;
    match std::io::copy(&mut file, &mut std::io::stdout().lock()) {
        // A reader that went away is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Category::Local, format!("{}: {error}", path.display())))
        }
        Err(_) | Ok(_) => Ok(()),
    }
}

/// Shows what differs between two images: files, and the parts of their configs.
pub fn diff(args: &DiffArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    looking(&[&args.old, &args.new], args.platform.as_deref(), global, environment, |images| match images {
        [old, new] => print_difference(old, new, args.format),
        _ => Ok(()),
    })
}

fn print_difference(old: &OpenImage, new: &OpenImage, form: ListForm) -> Result<(), Failure> {
    // File by file: there may be more of them than fit into memory. A reader that went away is no failure.
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut separator = "\n";
    if form == ListForm::Json {
        drop(out.write_all(b"{\"files\": ["));
    }
    toolchain::differences(old, new, &mut |file| {
        drop(match form {
            ListForm::Table => out.write_all(changed_line(file).as_bytes()),
            ListForm::Json => {
                let row = write!(out, "{separator}{}", changed_row(file));
                separator = ",\n";
                row
            }
        });
    })
    .map_err(|error| Failure::from_error(error.category(), &error))?;
    let settings = settings(&json!(old.config), &json!(new.config));
    drop(match form {
        ListForm::Json => {
            let settings: serde_json::Map<_, _> =
                settings.into_iter().map(|(key, old, new)| (key, json!({"old": old, "new": new}))).collect();
            writeln!(out, "],\n\"config\": {:#}}}", Value::Object(settings))
        }
        ListForm::Table => settings
            .into_iter()
            .try_for_each(|(key, old, new)| writeln!(out, "config    {key}: {old} -> {new}")),
    });
    drop(out.flush());
    Ok(())
}

fn changed_line(file: &ChangedFile) -> String {
    let how = match (&file.before, &file.after) {
        (Some(before), Some(after)) => changes(before, after),
        (Some(_) | None, None) | (None, Some(_)) => String::new(),
    };
    let colon = if how.is_empty() { "" } else { ": " };
    format!("{:<9} /{}{colon}{how}\n", word(file.difference), shown(&file.path))
}

fn changed_row(file: &ChangedFile) -> Value {
    let side = |attributes: &Option<Attributes>| attributes.as_ref().map(|one| row(&file.path, one));
    json!({
        "path": file.path.to_string_lossy(), "change": word(file.difference),
        "old": side(&file.before), "new": side(&file.after),
    })
}

fn word(difference: Difference) -> &'static str {
    match difference {
        Difference::Added => "added",
        Difference::Removed => "removed",
        Difference::Content => "content",
        Difference::Metadata => "metadata",
    }
}

/// What differs between two configs: what a container would get, and what the image is for.
fn settings(old: &Value, new: &Value) -> Vec<(String, Value, Value)> {
    // The first three differ with every change of a file or of the time.
    const ELSEWHERE: &[&str] = &["created", "history", "rootfs", "config"];
    let mut all = changed(old, new);
    all.retain(|(key, _, _)| !ELSEWHERE.contains(&key.as_str()));
    all.extend(changed(&old["config"], &new["config"]));
    all
}

/// The members of two objects that differ.
fn changed(old: &Value, new: &Value) -> Vec<(String, Value, Value)> {
    let keys = |value: &Value| value.as_object().map(|it| it.keys().cloned().collect::<Vec<_>>());
    let all: std::collections::BTreeSet<String> = [old, new].into_iter().filter_map(keys).flatten().collect();
    all.into_iter()
        .filter(|key| old.get(key) != new.get(key))
        .map(|key| (key.clone(), old[&key].clone(), new[&key].clone()))
        .collect()
}

fn found(image: &OpenImage, path: &Path) -> Result<(std::path::PathBuf, Entry), Failure> {
    if path.components().all(|part| !matches!(part, std::path::Component::Normal(_))) {
        let root = Attributes::new(Kind::Directory, 0o755);
        return Ok((Default::default(), Entry { attributes: root, identity: (0, 0), links: 1 }));
    }
    let absent = || Failure::new(Category::Local, format!("the image has no {}", path.display()));
    image.view.resolve(path).map_err(local_failure)?.ok_or_else(absent)
}
