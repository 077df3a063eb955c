//! `rbuild layers`.

use std::fmt::Write as _;
use std::io::{BufWriter, Write};

use builder::error::Category;
use builder::event::StepId;
use builder::toolchain::{self, FileReport, HiddenFile, LayerReport};
use layer_store::StoreError;
use serde_json::{Value, json};

use crate::args::{Global, LayersArgs, ListForm};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::{self, Form};

/// Prints an image's layers, bottom first, and fails where a limit is exceeded.
pub fn run(args: &LayersArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let place = super::place(&args.image)?;
    let platform = super::platform(args.platform.as_deref())?;
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let layers = open.work(async move {
        let image = toolchain::open_image(&session, &place, &platform, StepId(0)).await?;
        toolchain::layers(&session, &image).await
    })?;
    // A layer may have more files than fit into memory. A reader that went away is no failure.
    let mut out = BufWriter::new(std::io::stdout().lock());
    let told = match (args.format, args.no_files) {
        (ListForm::Table, true) => {
            drop(out.write_all(summary(&layers).as_bytes()));
            Ok(())
        }
        (ListForm::Table, false) => layers.iter().try_for_each(|layer| table(layer, &mut out)),
        (ListForm::Json, no_files) => rows(&layers, no_files, &mut out),
    };
    drop(out.flush());
    told.map_err(super::images::local_failure)?;
    within(args, &layers)
}

/// Whether the limits are kept.
fn within(args: &LayersArgs, layers: &[LayerReport]) -> Result<(), Failure> {
    let size = layers.iter().map(|layer| layer.size).sum();
    let wasted: u64 = layers.iter().map(|layer| layer.wasted).sum();
    let exceeded = |what: &str, found: u64, option: &str, most: u64| {
        let (found, most) = (progress::bytes(found), progress::bytes(most));
        Failure::new(Category::Local, format!("{}: {what} {found}, more than {option} {most}", args.image))
    };
    if let Some(most) = args.max_size.filter(|most| size > *most) {
        return Err(exceeded("its files are", size, "--max-size", most));
    }
    match args.max_wasted.map(|limit| limit.of(size)).filter(|most| wasted > *most) {
        Some(most) => Err(exceeded("it wastes", wasted, "--max-wasted", most)),
        None => Ok(()),
    }
}

/// One line for each layer, and what is wasted most.
fn summary(layers: &[LayerReport]) -> String {
    const WORST: usize = 10;
    let packed = |layer: &LayerReport| layer.blob.as_ref().map(|blob| blob.size);
    let mut rows = vec![["LAYER", "SIZE", "PACKED", "FILES", "WASTED", "INSTRUCTION"].map(str::to_owned)];
    rows.extend(layers.iter().enumerate().map(|(position, layer)| {
        [
            position.to_string(),
            progress::bytes(layer.size),
            packed(layer).map_or("-".to_owned(), progress::bytes),
            layer.files.len().to_string(),
            progress::bytes(layer.wasted),
            progress::printable(instruction(layer).as_bytes()),
        ]
    }));
    let total = |of: fn(&LayerReport) -> u64| layers.iter().map(of).sum::<u64>();
    rows.push([
        "all".to_owned(),
        progress::bytes(total(|layer| layer.size)),
        layers.iter().map(packed).sum::<Option<u64>>().map_or("-".to_owned(), progress::bytes),
        total(|layer| layer.files.len() as u64).to_string(),
        progress::bytes(total(|layer| layer.wasted)),
        String::new(),
    ]);
    let mut text = super::columns(&rows);
    let mut hidden: Vec<&HiddenFile> = layers.iter().flat_map(|layer| &layer.hidden).collect();
    hidden.sort_by_key(|file| std::cmp::Reverse(file.size));
    for file in hidden.iter().take(WORST).filter(|file| file.size > 0) {
        let path = progress::printable(file.path.as_os_str().as_encoded_bytes());
        let size = progress::bytes(file.size);
        let _ =
            writeln!(text, "wasted: /{path} {size}, of layer {}, hidden by layer {}", file.layer, file.by);
    }
    text
}

fn instruction(layer: &LayerReport) -> &str {
    layer.history.as_ref().and_then(|history| history.created_by.as_deref()).unwrap_or("<unknown>")
}

fn table(layer: &LayerReport, out: &mut impl Write) -> Result<(), StoreError> {
    let wasted = match layer.wasted {
        0 => String::new(),
        wasted => format!(" ({} wasted)", progress::bytes(wasted)),
    };
    let (size, instruction) = (progress::bytes(layer.size), instruction(layer));
    drop(writeln!(out, "{}  {size}{wasted}  {instruction}", layer.diff_id));
    layer.files.each(&mut |file| {
        let link = file.target.as_ref().map(|target| format!(" -> {}", target.display())).unwrap_or_default();
        let path = progress::printable(file.path.as_os_str().as_encoded_bytes());
        drop(writeln!(
            out,
            "  {}{:04o} {:>5}:{:<5} {:>12} {path}{link}",
            file.kind, file.mode, file.uid, file.gid, file.size
        ));
        Ok(())
    })
}

/// All layers as JSON, a line for each file.
fn rows(layers: &[LayerReport], no_files: bool, out: &mut impl Write) -> Result<(), StoreError> {
    let mut separator = "[\n";
    for layer in layers {
        let row = row(layer).to_string();
        // Its last member are the files.
        drop(write!(out, "{separator}{},\"files\":[", row.strip_suffix('}').unwrap_or(&row)));
        let mut before = "\n";
        if !no_files {
            layer.files.each(&mut |one| {
                drop(write!(out, "{before}{}", file(&one)));
                before = ",\n";
                Ok::<_, StoreError>(())
            })?;
        }
        drop(out.write_all(b"]}"));
        separator = ",\n";
    }
    drop(writeln!(out, "{}]", if layers.is_empty() { "[" } else { "\n" }));
    Ok(())
}

fn row(layer: &LayerReport) -> Value {
    json!({
        "diffId": layer.diff_id,
        "blob": layer.blob.as_ref().map(|blob| json!({"digest": blob.digest, "size": blob.size, "mediaType": blob.media_type})),
        "size": layer.size,
        "packedSize": layer.blob.as_ref().map(|blob| blob.size),
        "createdBy": instruction(layer),
        "fileCount": layer.files.len(),
        "wasted": layer.wasted,
        "hiddenCount": layer.hidden_count,
        "hidden": layer.hidden.iter().map(|file| json!({
            "path": file.path.to_string_lossy(), "size": file.size, "by": file.by,
        })).collect::<Vec<_>>(),
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
