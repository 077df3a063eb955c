//! Outputs that are files: the trees of all targets in one directory or one tar.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use layer_store::{StackView, Walk};

use super::attested::{Attest, of_tree, trees as trees_of};
use super::clear::clear_directory;
use super::error::{ExportError, TreeError};
use super::layers::free;
use super::made::platform_directory;
use super::request::{ExportRequest, FinishedTarget};
use super::tree::{Ownership, write_tree};
use super::tree_tar::write_tar;
use super::unfinished::write_whole;
use crate::Session;
use crate::event::Event;
use crate::request::{LocalMode, Output, PlatformSplit, TreeOptions};
use crate::worker::blocking;

/// A tree and where it goes.
#[derive(Clone, Debug)]
pub(crate) struct PlacedTree {
    /// Its directory in the output; empty for the output itself.
    pub directory: PathBuf,
    /// The files.
    pub view: StackView,
    /// The latest modification time, in seconds since 1970.
    pub clamp: Option<i64>,
    /// Files beside those of the tree: attestations.
    pub more: Vec<(PathBuf, Vec<u8>)>,
}

/// The trees of all targets. Without a directory for each, no two may have the same file.
fn place(
    session: &Session,
    targets: &[FinishedTarget],
    options: &TreeOptions,
    attest: Option<&Attest>,
    (output, request_epoch): (&Output, Option<i64>),
) -> Result<Vec<PlacedTree>, ExportError> {
    let split = match options.split {
        PlatformSplit::Several => targets.len() > 1,
        PlatformSplit::Always => true,
        PlatformSplit::Never => false,
    };
    let mut trees = Vec::with_capacity(targets.len());
    for finished in targets {
        let directory = match split {
            true => PathBuf::from(platform_directory(&finished.target.platform)),
            false => PathBuf::new(),
        };
        let looked = trees_of(&session.store, finished).map_err(TreeError::from)?;
        let platform = &finished.target.platform;
        let epoch = finished.epoch(output, request_epoch);
        let about = (!split && targets.len() > 1).then(|| platform_directory(platform));
        let more = match attest {
            Some(attest) => {
                let name = (options.attestation_prefix.as_str(), about.as_deref());
                of_tree((attest, &session.events), &looked, platform, epoch, name)?
            }
            None => Vec::new(),
        };
        trees.push(PlacedTree { directory, view: looked.view, clamp: epoch, more });
    }
    if !split && targets.len() > 1 {
        refuse_overlap(&trees, targets)?;
    }
    Ok(trees)
}

fn refuse_overlap(trees: &[PlacedTree], targets: &[FinishedTarget]) -> Result<(), ExportError> {
    let mut seen: HashMap<PathBuf, (usize, bool)> = HashMap::new();
    for (number, tree) in trees.iter().enumerate() {
        let mut overlap = None;
        let walked = tree.view.walk(Path::new("/"), &mut |path, entry| {
            let is_dir = entry.attributes.is_dir();
            let before = seen.insert(path.to_owned(), (number, is_dir));
            if let Some((other, was_dir)) = before
                && !(is_dir && was_dir)
            {
                overlap.get_or_insert((path.to_owned(), other));
            }
            Ok(Walk::Continue)
        });
        walked.map_err(TreeError::from)?;
        if let Some((path, other)) = overlap {
            let platform = |number: usize| targets[number].target.platform.to_string();
            return Err(ExportError::SamePath { path, first: platform(other), second: platform(number) });
        }
    }
    Ok(())
}

/// Writes all trees as one tar.
pub(super) async fn write_trees_tar<W: Write + Send + 'static>(
    session: &Session,
    request: &ExportRequest,
    output: &Output,
    options: &TreeOptions,
    sink: W,
) -> Result<W, ExportError> {
    let (session, targets, options) = (session.clone(), request.targets.clone(), options.clone());
    let (attest, output, epoch) = (request.attest.clone(), output.clone(), request.source_date_epoch);
    blocking(free(), move || {
        let mut sink = std::io::BufWriter::with_capacity(1 << 20, sink);
        let trees = place(&session, &targets, &options, attest.as_deref(), (&output, epoch))?;
        write_tar(&session.store, &trees, &mut sink)?;
        sink.into_inner().map_err(|error| ExportError::io(Path::new("tar"), error.into_error()))
    })
    .await
}

/// Writes all trees into a directory.
pub(super) async fn write_local(
    session: &Session,
    request: &ExportRequest,
    output: &Output,
    (path, mode, options): (&Path, LocalMode, &TreeOptions),
) -> Result<(), ExportError> {
    let (open, targets, options) = (session.clone(), request.targets.clone(), options.clone());
    let (path, output, epoch) = (path.to_owned(), output.clone(), request.source_date_epoch);
    let attest = request.attest.clone();
    let skipped = blocking(free(), move || {
        let mut skipped = Vec::new();
        let trees = place(&open, &targets, &options, attest.as_deref(), (&output, epoch))?;
        if mode == LocalMode::Delete {
            clear_directory(&path)?;
        }
        for tree in trees {
            let to = path.join(&tree.directory);
            let (store, root) = (&open.store, Path::new("/"));
            skipped.extend(write_tree(store, &tree.view, root, &to, Ownership::Caller, tree.clamp)?);
            for (name, content) in &tree.more {
                write_whole(&to.join(name), content)?;
            }
        }
        Ok::<_, ExportError>(skipped)
    })
    .await?;
    if let Some(first) = skipped.first() {
        let text =
            format!("{} special files were not written, {} among them", skipped.len(), first.display());
        session.events.send(Event::Warning(text)).await;
    }
    Ok(())
}
