//! Whether an image is whole: every document is there and is what its name says, every blob has its
//! digest and size, every layer unpacks to the diff id that its config promises.

use std::collections::BTreeMap;
use std::io;

use layer_store::open_layer_stream;
use oci::{Compression, Descriptor, DiffId, Digest, Document, Hasher, ImageConfig, Manifest, Platform};
use tokio::io::AsyncReadExt;

use super::error::ToolError;
use super::place::{Content, Place, PlaceError, Source, into_blocking};
use crate::Session;
use crate::request::CompressionChoice;

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Documents and configs.
    Documents,
    /// Layers as well.
    Layers,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Validation {
    /// Manifests and indexes that are whole.
    pub documents: usize,
    /// Configs and layers that are whole.
    pub blobs: usize,
    /// What is wrong, a line each.
    pub faults: Vec<String>,
}

/// Looks at all of an image, or at one platform of it. Faults of blobs are gathered; a document that
/// cannot be read is an error.
pub async fn validate(
    session: &Session,
    place: &Place,
    platform: Option<&Platform>,
    depth: Depth,
) -> Result<Validation, ToolError> {
    let source = Source::open(session, place, CompressionChoice::default()).await?;
    let content = Content::of(&source, platform).await?;
    let mut found = Validation { documents: content.documents().count(), ..Validation::default() };
    let (mut diffs, mut configs) = (BTreeMap::new(), Vec::new());
    for manifest in content.manifests() {
        let descriptor = &manifest.parsed().config;
        configs.push(descriptor.digest.clone());
        match config(&source, descriptor).await {
            Ok(config) => {
                found.blobs += 1;
                if let Some(config) = config {
                    expect(manifest.parsed(), &config, &mut diffs, &mut found.faults);
                }
            }
            Err(error) => found.faults.push(error.to_string()),
        }
    }
    if depth == Depth::Layers {
        for blob in content.blobs.iter().filter(|blob| !configs.contains(&blob.digest)) {
            match layer(&source, blob, diffs.get(&blob.digest)).await {
                Ok(()) => found.blobs += 1,
                Err(error) => found.faults.push(error.to_string()),
            }
        }
    }
    Ok(found)
}

/// A config, read and parsed; `None` for that of an artifact.
async fn config(
    source: &Source,
    descriptor: &Descriptor,
) -> Result<Option<Document<ImageConfig>>, PlaceError> {
    let mut raw = Vec::new();
    let read = source.blob(descriptor).await?.read_to_end(&mut raw).await;
    read.map_err(|error| PlaceError::blob(&descriptor.digest, error))?;
    if !descriptor.media_type.is_config() {
        return Ok(None);
    }
    let parsed = Document::parse_as(descriptor, raw.into());
    parsed.map(Some).map_err(|error| PlaceError::Document { place: source.shown(), source: error })
}

/// Which diff id each layer must have.
fn expect(
    manifest: &Manifest,
    config: &Document<ImageConfig>,
    diffs: &mut BTreeMap<Digest, DiffId>,
    faults: &mut Vec<String>,
) {
    let (named, layers) = (&config.parsed().rootfs.diff_ids, &manifest.layers);
    // Attestations have an image's config and layers that are none.
    if !layers.iter().all(|layer| layer.media_type.is_layer()) {
        return;
    }
    if named.len() != layers.len() {
        faults.push(format!(
            "config {} names {} layers and its manifest {}",
            config.descriptor().digest,
            named.len(),
            layers.len()
        ));
    }
    for (layer, diff) in layers.iter().zip(named) {
        diffs.insert(layer.digest.clone(), diff.clone());
    }
}

async fn layer(source: &Source, blob: &Descriptor, diff: Option<&DiffId>) -> Result<(), PlaceError> {
    let reader = source.blob(blob).await?;
    let form = blob.media_type.compression().unwrap_or(Compression::None);
    let expected = diff.cloned();
    let read = into_blocking(reader, move |incoming| {
        let Some(expected) = expected else {
            let mut incoming = incoming;
            return io::copy(&mut incoming, &mut io::sink()).map(drop);
        };
        let shared = std::sync::Arc::new(std::sync::Mutex::new(incoming));
        let mut hasher = Hasher::new(expected.0.algorithm());
        let mut tar = open_layer_stream(form, Box::new(Shared(std::sync::Arc::clone(&shared))));
        io::copy(&mut tar, &mut hasher)?;
        drop(tar);
        // A decompressor may stop before the last bytes; the blob's digest counts them.
        io::copy(&mut Shared(shared), &mut io::sink())?;
        let found = hasher.finish();
        match found == expected.0 {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it unpacks to {found}, its config promises {expected}"),
            )),
        }
    });
    read.await.map_err(|error| PlaceError::blob(&blob.digest, error))
}

/// A reader that stays ours while a decompressor owns a handle to it.
struct Shared<R>(std::sync::Arc<std::sync::Mutex<R>>);

impl<R: io::Read> io::Read for Shared<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).read(buffer)
    }
}
