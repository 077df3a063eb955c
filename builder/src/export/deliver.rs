//! All outputs of a build: first everything is made, then pushed, then shown under its names.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use layer_store::{StackView, StoredImage};
use oci::{Digest, Reference, Repository};

use super::archive::write_archive;
use super::directory::write_directory;
use super::error::{ExportError, TreeError};
use super::layers::{Based, ensure_base_blobs_of, free};
use super::layout::{LayoutFiles, docker_files, oci_files};
use super::made::{Made, make, platform_directory};
use super::metadata::{write_iidfile, write_metadata};
use super::push::{PushPlan, push_image};
use super::request::{ExportRequest, Exported, FinishedTarget};
use super::stored;
use super::tree::{Ownership, write_tree};
use super::tree_tar::write_tar;
use super::unfinished::UnfinishedFile;
use crate::Session;
use crate::event::Event;
use crate::request::{BuiltImage, Destination, Keep, Layout, Output, OutputKind, Push};
use crate::worker::blocking;

/// What is left to do for an output once everything is made.
enum Ready {
    Push(PushPlan),
    Files(Vec<UnfinishedFile>),
    Archive(LayoutFiles),
    Directory(PathBuf),
    Tar(Option<i64>),
    Tag(StoredImage, Vec<Reference>),
}

/// Makes all outputs. Where one fails, none has a name.
pub async fn export(session: &Session, request: ExportRequest) -> Result<Exported, ExportError> {
    let mut exported = Exported::default();
    let wants_images = request.outputs.iter().any(is_image) || request.iidfile.is_some();
    let targets = match wants_images {
        true => find_bases(session, &request.targets).await?,
        false => Vec::new(),
    };
    let mut ready = Vec::new();
    for output in &request.outputs {
        ready.extend(prepare(session, &request, output, &targets, &mut exported).await?);
    }
    for plan in &ready {
        if let Ready::Push(plan) = plan {
            push_image(session, plan, request.step).await?;
        }
    }
    for one in ready {
        finish(session, &request, one).await?;
    }
    small_files(session, &request, &targets, &mut exported).await?;
    Ok(exported)
}

fn is_image(output: &Output) -> bool {
    match output.kind {
        OutputKind::Image { .. } | OutputKind::Oci(..) | OutputKind::Docker(_) => true,
        OutputKind::Local(_) | OutputKind::Tar(_) | OutputKind::CacheOnly => false,
    }
}

async fn find_bases(session: &Session, targets: &[FinishedTarget]) -> Result<Vec<Based>, ExportError> {
    let mut all = Vec::with_capacity(targets.len());
    for target in targets {
        all.push(Based::find(session, target.clone()).await?);
    }
    Ok(all)
}

/// Makes one output, short of giving it a name.
async fn prepare(
    session: &Session,
    request: &ExportRequest,
    output: &Output,
    targets: &[Based],
    exported: &mut Exported,
) -> Result<Vec<Ready>, ExportError> {
    let names = match output.names.is_empty() {
        true => &request.tags,
        false => &output.names,
    };
    match &output.kind {
        OutputKind::Image { push: Push::No, store } => {
            let configs = stored::configs(session, targets, Some(output), request.source_date_epoch).await?;
            note(exported, targets, configs.iter().map(|config| config.descriptor().digest.clone()), names);
            match store {
                Keep::Yes => {
                    let image = stored::image(session, targets, configs, None).await?;
                    Ok(vec![Ready::Tag(image, names.clone())])
                }
                Keep::No => Ok(Vec::new()),
            }
        }
        OutputKind::Image { push: push @ (Push::ByName | Push::ByDigest), store } => {
            if names.is_empty() {
                return Err(ExportError::NoName);
            }
            let made = make_and_note(session, request, output, targets, names, exported).await?;
            let mut ready = Vec::new();
            if *store == Keep::Yes {
                let configs = made.images.iter().map(|image| image.config.clone()).collect();
                let image = stored::image(session, targets, configs, Some(&made)).await?;
                ready.push(Ready::Tag(image, names.clone()));
            }
            let sources = base_repositories(targets);
            ready.push(Ready::Push(PushPlan {
                made,
                names: names.clone(),
                by_digest: *push == Push::ByDigest,
                sources,
            }));
            Ok(ready)
        }
        OutputKind::Oci(destination, layout) => {
            let made = make_and_note(session, request, output, targets, names, exported).await?;
            ensure_base_blobs_of(session, targets, &made, request.step).await?;
            write_layout(session, oci_files(&made, names), destination, *layout).await
        }
        OutputKind::Docker(destination) => {
            if targets.len() != 1 {
                return Err(ExportError::SeveralPlatforms { count: targets.len() });
            }
            let made = make_and_note(session, request, output, targets, names, exported).await?;
            ensure_base_blobs_of(session, targets, &made, request.step).await?;
            let files = match made.images.first() {
                Some(image) => docker_files(&made, image, names),
                None => oci_files(&made, names),
            };
            write_layout(session, files, destination, Layout::Archive).await
        }
        OutputKind::Local(path) => Ok(vec![Ready::Directory(path.clone())]),
        OutputKind::Tar(Destination::Stdout) => Ok(vec![Ready::Tar(tree_clamp(request, output))]),
        OutputKind::Tar(Destination::Path(path)) => {
            let file = UnfinishedFile::create(path)?;
            let file = write_tree_tar(session, request, tree_clamp(request, output), file).await?;
            Ok(vec![Ready::Files(vec![file])])
        }
        OutputKind::CacheOnly => Ok(Vec::new()),
    }
}

async fn make_and_note(
    session: &Session,
    request: &ExportRequest,
    output: &Output,
    targets: &[Based],
    names: &[Reference],
    exported: &mut Exported,
) -> Result<Made, ExportError> {
    let made = make(session, output, targets, request.source_date_epoch, request.force_index).await?;
    let configs = made.images.iter().map(|image| image.config.descriptor().digest.clone());
    note(exported, targets, configs, names);
    exported.descriptor.get_or_insert_with(|| made.descriptor());
    Ok(made)
}

/// Remembers what came out. The first output's image is the build's image.
fn note(
    exported: &mut Exported,
    targets: &[Based],
    configs: impl Iterator<Item = Digest>,
    names: &[Reference],
) {
    let images: Vec<BuiltImage> = targets
        .iter()
        .zip(configs)
        .map(|(based, config)| BuiltImage { platform: based.finished.target.platform.clone(), config })
        .collect();
    if exported.images.is_empty() {
        exported.image_id = images.first().map(|image| image.config.clone());
        exported.images = images;
    }
    for name in names {
        if !exported.names.contains(name) {
            exported.names.push(name.clone());
        }
    }
}

/// Where the blobs of the bases come from.
fn base_repositories(targets: &[Based]) -> BTreeMap<Digest, Repository> {
    let mut all = BTreeMap::new();
    for based in targets {
        let (Some((reference, _)), Some(base)) = (&based.finished.target.base, &based.base) else { continue };
        for blob in base.layers.iter().flatten() {
            all.insert(blob.digest.clone(), reference.repository().clone());
        }
    }
    all
}

/// The epoch that holds for times in a tree.
fn tree_clamp(request: &ExportRequest, output: &Output) -> Option<i64> {
    let of_target = request.targets.first().and_then(|finished| finished.target.epoch);
    output.source_date_epoch.or(of_target).or(request.source_date_epoch)
}

async fn write_layout(
    session: &Session,
    files: LayoutFiles,
    destination: &Destination,
    layout: Layout,
) -> Result<Vec<Ready>, ExportError> {
    let path = match destination {
        Destination::Stdout => return Ok(vec![Ready::Archive(files)]),
        Destination::Path(path) => path.clone(),
    };
    let store = session.store.clone();
    let written = blocking(free(), move || match layout {
        Layout::Directory => write_directory(&files, &store, &path),
        Layout::Archive => {
            let mut file = std::io::BufWriter::with_capacity(1 << 20, UnfinishedFile::create(&path)?);
            write_archive(&files, &store, &mut file).map_err(|source| ExportError::io(&path, source))?;
            let file = file.into_inner().map_err(|error| ExportError::io(&path, error.into_error()))?;
            Ok(vec![file])
        }
    })
    .await?;
    Ok(vec![Ready::Files(written)])
}

/// The trees of all targets, with the directories they get where there are several.
fn trees(session: &Session, targets: &[FinishedTarget]) -> Result<Vec<(PathBuf, StackView)>, TreeError> {
    let several = targets.len() > 1;
    targets
        .iter()
        .map(|finished| {
            let prefix = match several {
                true => PathBuf::from(platform_directory(&finished.target.platform)),
                false => PathBuf::new(),
            };
            Ok((prefix, session.store.stack(&finished.snapshot)?))
        })
        .collect()
}

async fn write_tree_tar<W: Write + Send + 'static>(
    session: &Session,
    request: &ExportRequest,
    clamp: Option<i64>,
    sink: W,
) -> Result<W, ExportError> {
    let (session, targets) = (session.clone(), request.targets.clone());
    blocking(free(), move || {
        let mut sink = std::io::BufWriter::with_capacity(1 << 20, sink);
        write_tar(&trees(&session, &targets)?, clamp, &mut sink)?;
        sink.into_inner().map_err(|error| ExportError::io(Path::new("tar"), error.into_error()))
    })
    .await
}

/// Shows an output under its name.
async fn finish(session: &Session, request: &ExportRequest, ready: Ready) -> Result<(), ExportError> {
    match ready {
        Ready::Push(_) => Ok(()),
        Ready::Files(files) => files.into_iter().try_for_each(UnfinishedFile::finish),
        Ready::Archive(files) => {
            let store = session.store.clone();
            blocking(free(), move || {
                let mut sink = std::io::stdout().lock();
                write_archive(&files, &store, &mut sink)
                    .and_then(|()| sink.flush())
                    .map_err(ExportError::Stdout)
            })
            .await
        }
        Ready::Tar(clamp) => {
            let mut sink = write_tree_tar(session, request, clamp, std::io::stdout()).await?;
            sink.flush().map_err(ExportError::Stdout)
        }
        Ready::Directory(path) => write_local(session, request, path).await,
        Ready::Tag(image, names) => stored::tag(session, image, names).await,
    }
}

async fn write_local(session: &Session, request: &ExportRequest, path: PathBuf) -> Result<(), ExportError> {
    let (open, targets, epoch) = (session.clone(), request.targets.clone(), request.source_date_epoch);
    let skipped = blocking(free(), move || {
        let mut skipped = Vec::new();
        for (finished, (prefix, view)) in targets.iter().zip(trees(&open, &targets)?) {
            let clamp = finished.target.epoch.or(epoch);
            skipped.extend(write_tree(&view, Path::new("/"), &path.join(prefix), Ownership::Caller, clamp)?);
        }
        Ok::<_, TreeError>(skipped)
    })
    .await?;
    if let Some(first) = skipped.first() {
        let text =
            format!("{} special files were not written, {} among them", skipped.len(), first.display());
        session.events.send(Event::Warning(text)).await;
    }
    Ok(())
}

async fn small_files(
    session: &Session,
    request: &ExportRequest,
    targets: &[Based],
    exported: &mut Exported,
) -> Result<(), ExportError> {
    if request.iidfile.is_some() && exported.images.is_empty() {
        let configs = stored::configs(session, targets, None, request.source_date_epoch).await?;
        note(exported, targets, configs.iter().map(|config| config.descriptor().digest.clone()), &[]);
    }
    if let Some(path) = &request.iidfile {
        write_iidfile(path, exported)?;
    }
    if let Some(path) = &request.metadata_file {
        write_metadata(path, exported)?;
    }
    Ok(())
}
