//! Two images held against each other: whether they are the same, and if not, which files differ and
//! which steps made them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use layer_store::tar::TarReader;
use layer_store::{Attributes, Catalogue, Kind, open_layer_stream};
use oci::{
    Algorithm, Compression, Descriptor, Digest, Document, Hasher, ImageConfig, ImageDocument, Manifest,
    Platform,
};
use serde::{Deserialize, Serialize};
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
    /// How many more there are: of each layer only the first [`MOST_OF_LAYER`] files are named.
    pub more: usize,
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
    let (deviations, more) = match sameness {
        Sameness::Manifest | Sameness::Content => (Vec::new(), 0),
        Sameness::Different => deviations(session, &one, &other).await?,
    };
    Ok(Comparison { sameness, deviations, more })
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

    async fn files(&self, session: &Session, layer: &Descriptor) -> Result<Catalogue, ToolError> {
        let reader = self.source.blob(layer).await?;
        let form = layer.media_type.compression().unwrap_or(Compression::None);
        let aside = session.store.catalogue();
        let read = into_blocking(reader, move |incoming| {
            entries(open_layer_stream(form, Box::new(incoming)), aside)
        });
        Ok(read.await.map_err(|error| PlaceError::blob(&layer.digest, error))?)
    }
}

async fn deviations(
    session: &Session,
    one: &Side,
    other: &Side,
) -> Result<(Vec<Deviation>, usize), ToolError> {
    let mut all = of_configs(one, other);
    let mut more = 0;
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
        let (found, beyond) = of_layers(one.files(session, a).await?, other.files(session, b).await?)?;
        more += beyond;
        let step = one.step(position);
        let found: Vec<_> = match found.is_empty() {
            true => vec![(DifferingPart::Archive(position), format!("{mine_id} and {theirs_id}"))],
            false => {
                found.into_iter().map(|(path, how)| (DifferingPart::File(position, path), how)).collect()
            }
        };
        all.extend(found.into_iter().map(|(part, how)| Deviation { part, step: step.clone(), how }));
    }
    Ok((all, more))
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

/// So many files of a layer are named.
pub const MOST_OF_LAYER: usize = 1000;

/// What an archive says of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    kind: String,
    /// Of a file.
    size: Option<u64>,
    /// Of a device.
    device: (u32, u32),
    mode: u32,
    owner: (u32, u32),
    time: (i64, u32),
    /// Where a link leads, as it is shown.
    target: String,
    /// A digest.
    xattrs: String,
    /// A digest.
    content: String,
}

impl Seen {
    fn new(attributes: &Attributes, link: Option<&PathBuf>, content: &Digest) -> Self {
        let (kind, size, device, target) = match &attributes.kind {
            Kind::File { size } => ("file", Some(*size), (0, 0), link),
            Kind::Directory => ("directory", None, (0, 0), link),
            Kind::Symlink { target } => ("link", None, (0, 0), Some(target)),
            Kind::Fifo => ("FIFO", None, (0, 0), link),
            Kind::CharDevice { major, minor } => ("character device", None, (*major, *minor), link),
            Kind::BlockDevice { major, minor } => ("block device", None, (*major, *minor), link),
            Kind::Socket => ("socket", None, (0, 0), link),
        };
        let mut xattrs = Hasher::new(Algorithm::Sha256);
        for (name, value) in &attributes.xattrs {
            for bytes in [name.as_bytes(), value] {
                xattrs.update(&(bytes.len() as u64).to_le_bytes());
                xattrs.update(bytes);
            }
        }
        Self {
            kind: kind.to_owned(),
            size,
            device,
            mode: attributes.mode,
            owner: (attributes.uid, attributes.gid),
            time: (attributes.mtime.secs, attributes.mtime.nanos),
            target: format!("{target:?}"),
            xattrs: if attributes.xattrs.is_empty() { String::new() } else { xattrs.finish().to_string() },
            content: content.to_string(),
        }
    }
}

fn entries(tar: Box<dyn Read + Send>, mut aside: Catalogue) -> io::Result<Catalogue> {
    let mut reader = TarReader::new(tar);
    while let Some(mut entry) = reader.next_entry().map_err(io::Error::other)? {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        io::copy(&mut entry.body, &mut hasher)?;
        let path: PathBuf = entry.path.components().collect();
        let link = entry.link.as_ref().map(|link| &link.0);
        let seen = Seen::new(&entry.attributes, link, &hasher.finish());
        aside.insert(&path, &serde_json::to_vec(&seen)?).map_err(io::Error::other)?;
    }
    io::copy(&mut reader.into_inner(), &mut io::sink())?;
    Ok(aside)
}

/// The first files that differ, sorted by path, and how many more there are.
fn of_layers(one: Catalogue, other: Catalogue) -> Result<(BTreeMap<PathBuf, String>, usize), ToolError> {
    let mut found = BTreeMap::new();
    let mut more = 0;
    one.compare(other, &mut |path, one, other| {
        let seen = |side: Option<&[u8]>| side.and_then(|bytes| serde_json::from_slice::<Seen>(bytes).ok());
        let said = match (seen(one), seen(other)) {
            (Some(a), Some(b)) => how(&a, &b),
            (Some(_), None) => "only in the first".to_owned(),
            (None, _) => "only in the second".to_owned(),
        };
        found.insert(path, said);
        if found.len() > MOST_OF_LAYER {
            found.pop_last();
            more += 1;
        }
        Ok(())
    })?;
    Ok((found, more))
}

fn how(a: &Seen, b: &Seen) -> String {
    let mut parts = Vec::new();
    let mut told = |what: &str, a: String, b: String| {
        if a != b {
            parts.push(format!("{what} {a} and {b}"));
        }
    };
    let owner = |seen: &Seen| format!("{}:{}", seen.owner.0, seen.owner.1);
    let device = |seen: &Seen| format!("{}:{}", seen.device.0, seen.device.1);
    told("type", a.kind.clone(), b.kind.clone());
    told("device", device(a), device(b));
    told("mode", format!("{:04o}", a.mode), format!("{:04o}", b.mode));
    told("owner", owner(a), owner(b));
    told("time", a.time.0.to_string(), b.time.0.to_string());
    told("link", a.target.clone(), b.target.clone());
    if a.xattrs != b.xattrs {
        parts.push("extended attributes".to_owned());
    }
    match (a.size, b.size) {
        (Some(m), Some(n)) if m != n => parts.push(format!("size {m} and {n}")),
        _ if a.content != b.content => parts.push("content".to_owned()),
        _ => {}
    }
    if parts.is_empty() {
        parts.push("header".to_owned());
    }
    parts.join(", ")
}
