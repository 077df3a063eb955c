//! `rbuild layers`.

use std::fmt::Write;

use builder::toolchain::{self, FileReport, LayerReport};
use serde_json::{Value, json};

use crate::args::{Global, LayersArgs, ListForm};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::{self, Form};

/// Prints an image's layers, bottom first.
pub fn run(args: &LayersArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let name = super::name(&args.image)?;
    let platform = super::platform(args.platform.as_deref())?;
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let mut layers = open.work(async move { toolchain::layers(&session, &name, &platform).await })?;
    if args.no_files {
        layers.iter_mut().for_each(|layer| layer.files.clear());
    }
    let text = match args.format {
        ListForm::Table => layers.iter().map(table).collect(),
        ListForm::Json => format!("{:#}\n", Value::Array(layers.iter().map(row).collect())),
    };
    super::print(&text);
    Ok(())
}

fn instruction(layer: &LayerReport) -> &str {
    layer.history.as_ref().and_then(|history| history.created_by.as_deref()).unwrap_or("<unknown>")
}

fn table(layer: &LayerReport) -> String {
    let mut text = format!("{}  {}  {}\n", layer.diff_id, progress::bytes(layer.size), instruction(layer));
    for file in &layer.files {
        let link = file.target.as_ref().map(|target| format!(" -> {}", target.display())).unwrap_or_default();
        let path = progress::printable(file.path.as_os_str().as_encoded_bytes());
        let _ = writeln!(
            text,
            "  {}{:04o} {:>5}:{:<5} {:>12} {path}{link}",
            file.kind, file.mode, file.uid, file.gid, file.size
        );
    }
    text
}

fn row(layer: &LayerReport) -> Value {
    json!({
        "diffId": layer.diff_id,
        "blob": layer.blob.as_ref().map(|blob| json!({"digest": blob.digest, "size": blob.size, "mediaType": blob.media_type})),
        "size": layer.size,
        "createdBy": instruction(layer),
        "files": layer.files.iter().map(file).collect::<Vec<_>>(),
    })
}

fn file(file: &FileReport) -> Value {
    json!({
        "path": file.path.to_string_lossy(),
        "kind": file.kind,
        "mode": format!("{:04o}", file.mode),
        "uid": file.uid,
        "gid": file.gid,
        "size": file.size,
        "target": file.target.as_ref().map(|target| target.to_string_lossy()),
    })
}
