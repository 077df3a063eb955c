//! All outputs of a build: first everything is made, then pushed, then shown under its names.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use layer_store::StoredImage;
use oci::{Digest, Reference, Repository};
use registry_client::EngineAddress;

use super::archive::write_archive;
use super::directory::write_directory;
use super::engine;
use super::error::ExportError;
use super::layers::{Based, ensure_base_blobs_of, free};
use super::layout::{LayoutFiles, docker_files, oci_files};
use super::made::{Made, make};
use super::push::{PushPlan, push_image};
use super::request::{ExportRequest, Exported};
use super::stored;
use super::trees::{write_local, write_trees_tar};
use super::unfinished::UnfinishedFile;
use super::unfinished::write_whole;
use crate::Session;
use crate::request::{
    BuiltImage, CompressionChoice, Destination, ExtraName, ForeignLayers, ImageOutput, Keep, Layout,
    LocalMode, Output, OutputKind, Push, Rewrite, TreeOptions,
};
use crate::worker::blocking;

/// What is left to do for an output once everything is made.
enum Ready {
    Push(PushPlan),
    Files(Vec<UnfinishedFile>),
    Archive(LayoutFiles),
    Load(LayoutFiles, EngineAddress),
    Directory(Box<Output>, PathBuf, LocalMode, TreeOptions),
    Tar(Box<Output>, TreeOptions),
    Tag(StoredImage, Vec<Reference>),
}

/// Makes all outputs. Where one fails, none has a name.
pub async fn export(session: &Session, request: ExportRequest) -> Result<Exported, ExportError> {
    let mut exported = Exported::default();
    let wants_images = request.outputs.iter().any(is_image) || request.iidfile.is_some();
    let targets = match wants_images {
        true => find_bases(session, &request).await?,
        false => Vec::new(),
    };
    let mut ready = Vec::new();
    for output in &request.outputs {
        ready.extend(prepare(session, &request, output, &targets, &mut exported).await?);
    }
    for plan in &ready {
        if let Ready::Push(plan) = plan {
            push_image(session, plan, request.step).await?;
            let pushed = plan.names.iter().map(|name| (name.clone(), plan.made.descriptor()));
            exported.pushed.extend(pushed);
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
        OutputKind::Image(_) | OutputKind::Oci(..) | OutputKind::Docker(_) | OutputKind::Load(_) => true,
        OutputKind::Local(..) | OutputKind::Tar(..) | OutputKind::CacheOnly => false,
    }
}

async fn find_bases(session: &Session, request: &ExportRequest) -> Result<Vec<Based>, ExportError> {
    let mut all = Vec::with_capacity(request.targets.len());
    for target in &request.targets {
        all.push(Based::find(session, target.clone(), request.remote.clone()).await?);
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
    let names = output.names_or(&request.tags);
    match &output.kind {
        OutputKind::Image(image) => {
            prepare_image(session, request, output, (image, names), targets, exported).await
        }
        OutputKind::Oci(destination, layout) => {
            let made = make_whole(session, request, output, targets, names, exported).await?;
            write_layout(session, oci_files(&made, names), destination, *layout).await
        }
        OutputKind::Docker(destination) => {
            let files = for_docker(session, request, output, targets, names, exported).await?;
            write_layout(session, files, destination, Layout::Archive).await
        }
        OutputKind::Load(address) => {
            let files = for_docker(session, request, output, targets, names, exported).await?;
            Ok(vec![Ready::Load(files, address.clone())])
        }
        OutputKind::Local(path, mode, options) => {
            let output = Box::new(output.clone());
            Ok(vec![Ready::Directory(output, path.clone(), *mode, options.clone())])
        }
        OutputKind::Tar(Destination::Stdout, options) => {
            Ok(vec![Ready::Tar(Box::new(output.clone()), options.clone())])
        }
        OutputKind::Tar(Destination::Path(path), options) => {
            let file = UnfinishedFile::create(path)?;
            let file = write_trees_tar(session, request, output, options, file).await?;
            Ok(vec![Ready::Files(vec![file])])
        }
        OutputKind::CacheOnly => Ok(Vec::new()),
    }
}

/// One image as Docker reads it from an archive.
async fn for_docker(
    session: &Session,
    request: &ExportRequest,
    output: &Output,
    targets: &[Based],
    names: &[Reference],
    exported: &mut Exported,
) -> Result<LayoutFiles, ExportError> {
    if targets.len() != 1 {
        return Err(ExportError::SeveralPlatforms { count: targets.len() });
    }
    let made = make_whole(session, request, output, targets, names, exported).await?;
    Ok(match made.images.first() {
        Some(image) => docker_files(&made, image, names),
        None => oci_files(&made, names),
    })
}

/// An image for the store, for registries, or for both. Without need it has no manifest yet: then
/// nothing is packed.
async fn prepare_image(
    session: &Session,
    request: &ExportRequest,
    output: &Output,
    (image, names): (&ImageOutput, &[Reference]),
    targets: &[Based],
    exported: &mut Exported,
) -> Result<Vec<Ready>, ExportError> {
    let mut names = names.to_vec();
    let dangling = image.dangling.as_ref().filter(|dangling| match dangling.beside_others {
        ExtraName::Yes => true,
        ExtraName::No => names.is_empty(),
    });
    if names.is_empty() && dangling.is_none() && image.push != Push::No {
        return Err(ExportError::NoName);
    }
    if image.push == Push::No && dangling.is_none() && !shows_in_documents(output, image, targets, request) {
        let configs = stored::configs(session, targets, Some(output), request.source_date_epoch).await?;
        note(exported, targets, configs.iter().map(|config| config.descriptor().digest.clone()), &names);
        return match image.store {
            Keep::Yes => Ok(vec![Ready::Tag(stored::image(session, targets, configs, None).await?, names)]),
            Keep::No => Ok(Vec::new()),
        };
    }
    let made = make_and_note(session, request, output, targets, &names, exported).await?;
    let digest = made.descriptor().digest;
    let canonical: Vec<Reference> = match image.canonical {
        ExtraName::Yes => names.iter().map(|name| name.repository().with_digest(digest.clone())).collect(),
        ExtraName::No => Vec::new(),
    };
    names.extend(dangling.map(|dangling| dangling.prefix.repository().with_digest(digest.clone())));
    note_names(exported, &names);
    let mut ready = Vec::new();
    if image.store == Keep::Yes {
        if image.push == Push::No {
            ensure_base_blobs_of(session, targets, &made, request.step).await?;
        }
        let configs = made.images.iter().map(|image| image.config.clone()).collect();
        let stored = stored::image(session, targets, configs, Some(&made)).await?;
        let referrers = stored::referrers(&made, &names);
        ready.push(Ready::Tag(stored, names.iter().cloned().chain(canonical).collect()));
        ready.extend(referrers.into_iter().map(|(image, names)| Ready::Tag(image, names)));
    }
    if image.push != Push::No {
        let sources = repositories(targets);
        let by_digest = image.push == Push::ByDigest;
        let (beside, sent) = (request.beside.clone(), request.sent.clone());
        ready.push(Ready::Push(PushPlan { made, names, by_digest, sources, beside, sent }));
    }
    Ok(ready)
}

/// Whether an output asks for something that only packed layers and a manifest can have.
fn shows_in_documents(
    output: &Output,
    image: &ImageOutput,
    targets: &[Based],
    request: &ExportRequest,
) -> bool {
    let rewritten = || {
        output.rewrite != Rewrite::No
            && targets.iter().any(|based| based.finished.epoch(output, request.source_date_epoch).is_some())
    };
    !is_plain(output, image) || request.attest.is_some() || rewritten()
}

/// Whether nothing that an output asks for by itself needs packed layers and a manifest; rewritten times aside.
pub(super) fn is_plain(output: &Output, image: &ImageOutput) -> bool {
    image.canonical == ExtraName::No
        && output.compression == CompressionChoice::default()
        && output.oci_media_types
        && output.annotations.0.is_empty()
        && output.foreign_layers == ForeignLayers::Convert
}

async fn make_and_note(
    session: &Session,
    request: &ExportRequest,
    output: &Output,
    targets: &[Based],
    names: &[Reference],
    exported: &mut Exported,
) -> Result<Made, ExportError> {
    let made = make(
        session,
        output,
        targets,
        request.source_date_epoch,
        request.force_index,
        (request.attest.as_ref(), names),
    )
    .await?;
    let configs = made.images.iter().map(|image| image.config.descriptor().digest.clone());
    note(exported, targets, configs, &[]);
    exported.descriptor.get_or_insert_with(|| made.descriptor());
    Ok(made)
}

/// The same with all blobs in the store, those of the bases as well.
async fn make_whole(
    session: &Session,
    request: &ExportRequest,
    output: &Output,
    targets: &[Based],
    names: &[Reference],
    exported: &mut Exported,
) -> Result<Made, ExportError> {
    let made = make_and_note(session, request, output, targets, names, exported).await?;
    note_names(exported, names);
    ensure_base_blobs_of(session, targets, &made, request.step).await?;
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
    note_names(exported, names);
}

fn note_names(exported: &mut Exported, names: &[Reference]) {
    for name in names {
        if !exported.names.contains(name) {
            exported.names.push(name.clone());
        }
    }
}

/// Where the blobs of the bases come from, and those of layers that are not in the store.
fn repositories(targets: &[Based]) -> BTreeMap<Digest, Repository> {
    let mut all = BTreeMap::new();
    for based in targets {
        let remote = based.remote.values();
        all.extend(remote.map(|layer| (layer.packed.blob.digest.clone(), layer.repository.clone())));
        let (Some((reference, _)), Some(base)) = (&based.finished.target.base, &based.base) else { continue };
        for blob in base.layers.iter().flatten() {
            all.insert(blob.digest.clone(), reference.repository().clone());
        }
    }
    all
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
        Ready::Load(files, address) => engine::load(session, files, address).await,
        Ready::Tar(output, options) => {
            let mut sink = write_trees_tar(session, request, &output, &options, std::io::stdout()).await?;
            sink.flush().map_err(ExportError::Stdout)
        }
        Ready::Directory(output, path, mode, options) => {
            write_local(session, request, &output, (&path, mode, &options)).await
        }
        Ready::Tag(image, names) => stored::tag(session, image, names).await,
    }
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
    if let (Some(path), Some(id)) = (&request.iidfile, &exported.image_id) {
        write_whole(path, id.to_string().as_bytes())?;
    }
    Ok(())
}
