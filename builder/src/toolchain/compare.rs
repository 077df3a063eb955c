//! Two images held against each other: whether they are the same, and if not, which files differ and
//! which steps made them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::PathBuf;

use layer_store::tar::TarReader;
use layer_store::{Attributes, Kind, open_layer_stream};
use oci::{
    Algorithm, Compression, Descriptor, Digest, Document, Hasher, ImageConfig, ImageDocument, Manifest,
    Platform,
};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::error::ToolError;
use super::place::{Place, PlaceError, Source, into_blocking};
use crate::Session;
use crate::request::CompressionChoice;

/// No config is larger.
const LARGEST_CONFIG: u64 = 8 << 20;

/// How much of two images is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sameness {
    /// Their manifests, and so every byte.
    Manifest,
    /// Their configs, and so every file; only the packing or annotations differ.
    Content,
    /// Less than that.
    Different,
}

/// What came of a comparison.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// How much is the same.
    pub sameness: Sameness,
    /// What differs, in the order of layers; empty unless the images are different.
    pub deviations: Vec<Deviation>,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// What differs.
    pub part: DifferingPart,
    /// The step that made it, as the history has it.
    pub step: Option<String>,
    /// How: first the one, then the other.
    pub how: String,
}

/// What may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DifferingPart {
    /// A field of the config.
    Config(String),
    /// How many layers there are.
    Layers,
    /// A file of the layer at this position, from 0.
    File(usize, PathBuf),
    /// A layer whose archives differ, and whose files do not.
    Archive(usize),
}

/// Compares what two places hold for a platform.
pub async fn compare(
    session: &Session,
    one: &Place,
    other: &Place,
    platform: &Platform,
) -> Result<Comparison, ToolError> {
    let (one, other) =
        (Side::open(session, one, platform).await?, Side::open(session, other, platform).await?);
    let sameness = if one.manifest.descriptor().digest == other.manifest.descriptor().digest {
        Sameness::Manifest
    } else if one.config.descriptor().digest == other.config.descriptor().digest {
        Sameness::Content
    } else {
        Sameness::Different
    };
    let deviations = match sameness {
        Sameness::Manifest | Sameness::Content => Vec::new(),
        Sameness::Different => deviations(&one, &other).await?,
    };
    Ok(Comparison { sameness, deviations })
}

struct Side {
    source: Source,
    manifest: Document<Manifest>,
    config: Document<ImageConfig>,
}

impl Side {
    async fn open(session: &Session, place: &Place, platform: &Platform) -> Result<Self, ToolError> {
        let source = Source::open(session, place, CompressionChoice::default()).await?;
        let ImageDocument::Manifest(manifest) = source.for_platform(platform).await? else {
            return Err(PlaceError::refused(place, "it leads to an index only").into());
        };
        let descriptor = &manifest.parsed().config;
        if descriptor.size > LARGEST_CONFIG || !descriptor.media_type.is_config() {
            return Err(PlaceError::refused(place, "it has no image's config").into());
        }
        let mut raw = Vec::new();
        let read = source.blob(descriptor).await?.read_to_end(&mut raw).await;
        read.map_err(|error| PlaceError::blob(&descriptor.digest, error))?;
        let config = Document::parse_as(descriptor, raw.into())
            .map_err(|error| PlaceError::Document { place: source.shown(), source: error })?;
        Ok(Self { source, manifest, config })
    }

    /// What made the layer at a position.
    fn step(&self, position: usize) -> Option<String> {
        let standing = self.config.parsed().history.iter().filter(|entry| !entry.empty_layer);
        standing.skip(position).find_map(|entry| entry.created_by.clone())
    }

    async fn files(&self, layer: &Descriptor) -> Result<BTreeMap<PathBuf, Seen>, ToolError> {
        let reader = self.source.blob(layer).await?;
        let form = layer.media_type.compression().unwrap_or(Compression::None);
        let read =
            into_blocking(reader, move |incoming| entries(open_layer_stream(form, Box::new(incoming))));
        Ok(read.await.map_err(|error| PlaceError::blob(&layer.digest, error))?)
    }
}

async fn deviations(one: &Side, other: &Side) -> Result<Vec<Deviation>, ToolError> {
    let mut all = of_configs(one, other);
    let (mine, theirs) = (&one.manifest.parsed().layers, &other.manifest.parsed().layers);
    if mine.len() != theirs.len() {
        let how = format!("{} and {}", mine.len(), theirs.len());
        all.push(Deviation { part: DifferingPart::Layers, step: None, how });
    }
    let diff_ids = one.config.parsed().rootfs.diff_ids.iter().zip(&other.config.parsed().rootfs.diff_ids);
    for (position, ((a, b), (mine_id, theirs_id))) in mine.iter().zip(theirs).zip(diff_ids).enumerate() {
        if mine_id == theirs_id {
            continue;
        }
        let found = of_layers(position, &one.files(a).await?, &other.files(b).await?);
        let step = one.step(position);
        let found = match found.is_empty() {
            true => vec![(DifferingPart::Archive(position), format!("{mine_id} and {theirs_id}"))],
            false => found,
        };
        all.extend(found.into_iter().map(|(part, how)| Deviation { part, step: step.clone(), how }));
    }
    Ok(all)
}

/// Fields of the configs; what lies in `config` is told field by field, and the layers are told elsewhere.
fn of_configs(one: &Side, other: &Side) -> Vec<Deviation> {
    let value = |side: &Side| serde_json::to_value(side.config.parsed()).unwrap_or_default();
    let (mut one, mut other) = (flat(&value(one)), flat(&value(other)));
    let keys: BTreeSet<String> = one.keys().chain(other.keys()).cloned().collect();
    let mut all = Vec::new();
    for key in keys {
        let (a, b) = (one.remove(&key).unwrap_or(Value::Null), other.remove(&key).unwrap_or(Value::Null));
        if a != b {
            all.push(Deviation { part: DifferingPart::Config(key), step: None, how: format!("{a} and {b}") });
        }
    }
    all
}

fn flat(config: &Value) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    for (key, value) in config.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("rootfs", _) => {}
            ("config", Value::Object(inner)) => {
                fields.extend(inner.iter().map(|(name, value)| (format!("config.{name}"), value.clone())));
            }
            ("history", Value::Array(entries)) => {
                let numbered = entries.iter().enumerate();
                fields.extend(numbered.map(|(at, entry)| (format!("history[{at}]"), entry.clone())));
            }
            (_, other) => drop(fields.insert(key.clone(), other.clone())),
        }
    }
    fields
}

/// What an archive says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    attributes: Attributes,
    link: Option<PathBuf>,
    content: Digest,
}

fn entries(tar: Box<dyn Read + Send>) -> io::Result<BTreeMap<PathBuf, Seen>> {
    let mut reader = TarReader::new(tar);
    let mut all = BTreeMap::new();
    while let Some(mut entry) = reader.next_entry().map_err(io::Error::other)? {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        io::copy(&mut entry.body, &mut hasher)?;
        let path: PathBuf = entry.path.components().collect();
        let link = entry.link.as_ref().map(|link| link.0.clone());
        let seen = Seen { attributes: entry.attributes.clone(), link, content: hasher.finish() };
        all.insert(path, seen);
    }
    io::copy(&mut reader.into_inner(), &mut io::sink())?;
    Ok(all)
}

fn of_layers(
    position: usize,
    one: &BTreeMap<PathBuf, Seen>,
    other: &BTreeMap<PathBuf, Seen>,
) -> Vec<(DifferingPart, String)> {
    let paths: BTreeSet<&PathBuf> = one.keys().chain(other.keys()).collect();
    let mut all = Vec::new();
    for path in paths {
        let how = match (one.get(path), other.get(path)) {
            (Some(a), Some(b)) if a == b => continue,
            (Some(a), Some(b)) => how(a, b),
            (Some(_), None) => "only in the first".to_owned(),
            (None, Some(_)) => "only in the second".to_owned(),
            (None, None) => continue,
        };
        all.push((DifferingPart::File(position, path.clone()), how));
    }
    all
}

fn how(a: &Seen, b: &Seen) -> String {
    let mut parts = Vec::new();
    let mut told = |what: &str, a: String, b: String| {
        if a != b {
            parts.push(format!("{what} {a} and {b}"));
        }
    };
    let (x, y) = (&a.attributes, &b.attributes);
    told("type", kind(&x.kind).to_owned(), kind(&y.kind).to_owned());
    told("mode", format!("{:04o}", x.mode), format!("{:04o}", y.mode));
    told("owner", format!("{}:{}", x.uid, x.gid), format!("{}:{}", y.uid, y.gid));
    told("time", x.mtime.secs.to_string(), y.mtime.secs.to_string());
    told("link", format!("{:?}", target(a)), format!("{:?}", target(b)));
    if x.xattrs != y.xattrs {
        parts.push("extended attributes".to_owned());
    }
    let size = |kind: &Kind| match kind {
        Kind::File { size } => Some(*size),
        Kind::Directory
        | Kind::Symlink { .. }
        | Kind::Fifo
        | Kind::CharDevice { .. }
        | Kind::BlockDevice { .. }
        | Kind::Socket => None,
    };
    match (size(&x.kind), size(&y.kind)) {
        (Some(m), Some(n)) if m != n => parts.push(format!("size {m} and {n}")),
        _ if a.content != b.content => parts.push("content".to_owned()),
        _ => {}
    }
    if parts.is_empty() {
        parts.push("header".to_owned());
    }
    parts.join(", ")
}

fn target(seen: &Seen) -> Option<&PathBuf> {
    match &seen.attributes.kind {
        Kind::Symlink { target } => Some(target),
        Kind::File { .. }
        | Kind::Directory
        | Kind::Fifo
        | Kind::CharDevice { .. }
        | Kind::BlockDevice { .. }
        | Kind::Socket => seen.link.as_ref(),
    }
}

fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::File { .. } => "file",
        Kind::Directory => "directory",
        Kind::Symlink { .. } => "link",
        Kind::Fifo => "FIFO",
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => "device",
        Kind::Socket => "socket",
    }
}
