//! A failed step with all that it stands on, in one tar.
//!
//! `step.json` comes first: the step, with its trees as lists of layers by number. Then come the layers,
//! `layers/<number>`, each a compressed archive, those below before those above.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use layer_store::tar::TarReader;
use layer_store::{LayerId, Lease, Packing, Snapshot, Unpacked, open_layer_stream};
use oci::{ChainId, Compression, DiffId};
use serde::{Deserialize, Serialize};

use super::document::{FailedStep, Origin};
use super::error::DebugError;
use crate::Session;
use crate::export::{UnfinishedFile, tar_file};
use crate::worker::{Permit, blocking};

const FORM: u32 = 1;
const DOCUMENT: &str = "step.json";
/// A document that is larger is none of ours.
const DOCUMENT_AT_MOST: u64 = 16 << 20;

#[derive(Serialize, Deserialize)]
struct Contents {
    form: u32,
    step: FailedStep,
    /// The diff ids of the layers, by number.
    layers: Vec<DiffId>,
    /// The inputs of the step, as numbers of layers.
    inputs: Vec<Option<Vec<usize>>>,
}

/// Writes a bundle.
pub async fn export(session: &Session, failed: &FailedStep, path: &Path) -> Result<(), DebugError> {
    let (lease, failed, path) = (session.lease.clone(), failed.clone(), path.to_owned());
    blocking(Permit::free(), move || write(&lease, &failed, &path)).await
}

/// Reads a bundle into the store.
pub async fn import(session: &Session, path: &Path) -> Result<FailedStep, DebugError> {
    let (lease, path) = (session.lease.clone(), path.to_owned());
    blocking(Permit::free(), move || read(&lease, &path)).await
}

fn write(lease: &Lease, failed: &FailedStep, path: &Path) -> Result<(), DebugError> {
    let failure = |source| DebugError::Io { path: path.to_owned(), source };
    let how = Packing { compression: Compression::Zstd, ..Packing::PLAIN };
    let (mut known, mut packed): (Vec<LayerId>, Vec<_>) = (Vec::new(), Vec::new());
    let mut inputs = Vec::new();
    for input in &failed.inputs {
        let Some(snapshot) = input else {
            inputs.push(None);
            continue;
        };
        let mut numbers = Vec::new();
        let mut below = Snapshot::default();
        for id in &snapshot.0 {
            let number = match known.iter().position(|one| one == id) {
                Some(number) => number,
                None => {
                    packed.push(lease.pack(id, &below, &how)?);
                    known.push(id.clone());
                    known.len() - 1
                }
            };
            numbers.push(number);
            below = below.with(id.clone());
        }
        inputs.push(Some(numbers));
    }
    let step = FailedStep { state: None, inputs: Vec::new(), origin: Origin::Bundle, ..failed.clone() };
    let layers = packed.iter().map(|one| one.diff_id.clone()).collect();
    let contents = Contents { form: FORM, step, layers, inputs };
    let document = serde_json::to_vec_pretty(&contents).map_err(|error| failure(error.into()))?;
    let mut tar = tar::Builder::new(UnfinishedFile::create(path)?);
    tar_file(&mut tar, DOCUMENT, document.len() as u64, &mut document.as_slice()).map_err(failure)?;
    for (number, one) in packed.iter().enumerate() {
        let blob = lease.store().open_blob(&one.digest)?;
        let mut blob = blob.ok_or_else(|| failure(std::io::ErrorKind::NotFound.into()))?;
        tar_file(&mut tar, &format!("layers/{number}"), one.size, &mut blob).map_err(failure)?;
    }
    let file = tar.into_inner().map_err(failure)?;
    Ok(file.finish()?)
}

fn read(lease: &Lease, path: &Path) -> Result<FailedStep, DebugError> {
    let refused = |reason: &str| DebugError::NoBundle { path: path.to_owned(), reason: reason.to_owned() };
    let file = File::open(path).map_err(|source| DebugError::Io { path: path.to_owned(), source })?;
    let mut reader = TarReader::new(BufReader::with_capacity(1 << 20, file));
    let contents = {
        let entry = reader.next_entry().map_err(|error| refused(&error.to_string()))?;
        let entry = entry.filter(|entry| entry.path == Path::new(DOCUMENT));
        let entry = entry.ok_or_else(|| refused("it does not begin with step.json"))?;
        let mut bytes = Vec::new();
        let read = entry.body.take(DOCUMENT_AT_MOST).read_to_end(&mut bytes);
        read.map_err(|source| DebugError::Io { path: path.to_owned(), source })?;
        serde_json::from_slice::<Contents>(&bytes).map_err(|error| refused(&error.to_string()))?
    };
    if contents.form != FORM {
        return Err(refused(&format!("its form is {}, and only {FORM} is known", contents.form)));
    }
    let places = places(&contents).ok_or_else(|| refused("an input names a layer that is not there"))?;
    let mut layers: Vec<LayerId> = Vec::new();
    for (number, diff) in contents.layers.iter().enumerate() {
        let entry = reader.next_entry().map_err(|error| refused(&error.to_string()))?;
        let wanted = format!("layers/{number}");
        let entry = entry.filter(|entry| entry.path == Path::new(&wanted));
        let entry = entry.ok_or_else(|| refused(&format!("{wanted} is not where it should be")))?;
        let below = places.get(number).map(Vec::as_slice).unwrap_or_default();
        let id = take_in(lease, entry.body, diff, below, &contents.layers, &layers)?;
        layers.push(id);
    }
    let inputs = contents.inputs.into_iter().map(|input| {
        let numbers = input?;
        Some(Snapshot(numbers.into_iter().filter_map(|number| layers.get(number).cloned()).collect()))
    });
    let inputs = inputs.collect();
    Ok(FailedStep { inputs, state: None, origin: Origin::Bundle, ..contents.step })
}

/// For each layer, which lie below it, by the first input that has it. `None`: a number is out of range, or
/// a layer lies on a later one.
fn places(contents: &Contents) -> Option<Vec<Vec<usize>>> {
    let mut places: Vec<Option<Vec<usize>>> = vec![None; contents.layers.len()];
    for numbers in contents.inputs.iter().flatten() {
        for (position, &number) in numbers.iter().enumerate() {
            let below = numbers.get(..position)?;
            let place = places.get_mut(number)?;
            if place.is_none() {
                if below.iter().any(|lower| *lower >= number) {
                    return None;
                }
                *place = Some(below.to_vec());
            }
        }
    }
    Some(places.into_iter().map(Option::unwrap_or_default).collect())
}

/// Unpacks one layer, unless the store has it.
fn take_in(
    lease: &Lease,
    body: layer_store::tar::TarBody<'_>,
    diff: &DiffId,
    below: &[usize],
    diffs: &[DiffId],
    layers: &[LayerId],
) -> Result<LayerId, DebugError> {
    let stack: Vec<DiffId> =
        below.iter().chain([&layers.len()]).filter_map(|n| diffs.get(*n).cloned()).collect();
    let chain = ChainId::of(&stack).unwrap_or_else(|| ChainId::extend(None, diff));
    if let Some(id) = lease.find_layer(diff, &chain)? {
        return Ok(id);
    }
    let mut scratch = lease.blob()?;
    let mut body = body;
    let copied = std::io::copy(&mut body, &mut scratch);
    copied.map_err(|source| DebugError::Io { path: "layer of the bundle".into(), source })?;
    let (digest, _) = scratch.commit()?;
    let blob = lease.store().open_blob(&digest)?;
    let Some(blob) = blob else {
        return Err(DebugError::Io {
            path: "layer of the bundle".into(),
            source: std::io::ErrorKind::NotFound.into(),
        });
    };
    let mut plain = open_layer_stream(Compression::Zstd, Box::new(blob));
    Ok(match lease.unpack(&mut plain, diff)? {
        Unpacked::Complete(id) => id,
        Unpacked::NeedsBelow(pending) => {
            let below = below.iter().filter_map(|number| layers.get(*number).cloned()).collect();
            pending.complete(&Snapshot(below), &chain)?
        }
    })
}
