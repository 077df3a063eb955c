//! What `docker save` writes: `manifest.json` names a config and layers. The manifest that a registry
//! would have is made from that; archives that hold an OCI layout as well give the layout's own.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use oci::{
    Algorithm, Compression, Descriptor, Digest, Document, Hasher, ImageConfig, ImageDocument, Index,
    Manifest, MediaType, Reference,
};
use serde::Deserialize;
use serde_json::Map;

use super::error::PlaceError;
use super::files::{MOST, REF_NAME};
use super::members::Members;
use super::span::Span;

pub(super) const IMAGE_NAME: &str = "io.containerd.image.name";

/// One image of the archive.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// A manifest that was made, and the members its blobs are in.
pub(super) struct Synthesised {
    pub top: ImageDocument,
    pub names: BTreeMap<Digest, String>,
}

impl Entry {
    /// Its names, as they are written.
    pub(super) fn tags(&self) -> &[String] {
        self.repo_tags.as_deref().unwrap_or_default()
    }
}

/// All images of the archive.
pub(super) fn list(members: &Members, file: &Path) -> Result<Vec<Entry>, PlaceError> {
    let refuse = |reason: String| PlaceError::refused(file.display(), reason);
    let span = members.find("manifest.json");
    let span =
        span.ok_or_else(|| refuse("it has no manifest.json, so it is no docker archive".to_owned()))?;
    let raw = span.read(MOST).map_err(|source| PlaceError::io(file, source))?;
    serde_json::from_slice(&raw).map_err(|error| refuse(format!("manifest.json: {error}")))
}

/// The image of that name, or the only one.
pub(super) fn choose(members: &Members, file: &Path, name: Option<&Reference>) -> Result<Entry, PlaceError> {
    let mut entries = list(members, file)?;
    let refuse = |reason: String| PlaceError::refused(file.display(), reason);
    let Some(name) = name else {
        return match entries.len() {
            1 => Ok(entries.remove(0)),
            count => Err(refuse(format!("it holds {count} images: name one"))),
        };
    };
    let fits =
        |entry: &Entry| entry.tags().iter().any(|tag| tag.parse::<Reference>().is_ok_and(|tag| tag == *name));
    let at = entries.iter().position(fits);
    at.map(|at| entries.swap_remove(at))
        .ok_or_else(|| refuse(format!("it holds no image {}", name.familiar())))
}

/// All names in the archive.
pub(super) fn tags(members: &Members, file: &Path) -> Result<Vec<String>, PlaceError> {
    Ok(list(members, file)?.into_iter().flat_map(|entry| entry.repo_tags.unwrap_or_default()).collect())
}

/// The digest under which a layout in the same archive has the image, where it has it whole.
pub(super) fn in_layout(members: &Members, wanted: &Entry, name: Option<&Reference>) -> Option<Digest> {
    let raw = members.find("index.json")?.read(MOST).ok()?;
    let index: Index = serde_json::from_slice(&raw).ok()?;
    for entry in index.manifests {
        let tagged = name.is_none_or(|name| {
            let full = entry.annotations.get(IMAGE_NAME).or_else(|| entry.annotations.get(REF_NAME));
            full.is_none_or(|full| {
                full.parse::<Reference>().is_ok_and(|full| full == *name) || name.tag() == Some(full)
            })
        });
        if tagged && is_whole(members, &entry, wanted) {
            return Some(entry.digest);
        }
    }
    None
}

/// Whether an entry is the wanted image and everything it names is in the archive.
fn is_whole(members: &Members, entry: &Descriptor, wanted: &Entry) -> bool {
    let path = |digest: &Digest| format!("blobs/{}/{}", digest.algorithm().name(), digest.hex());
    let Some(Ok(raw)) = members.find(&path(&entry.digest)).map(|span| span.read(MOST)) else { return false };
    let Ok(ImageDocument::Manifest(manifest)) = ImageDocument::parse(Some(&entry.media_type), raw) else {
        return false;
    };
    let manifest = manifest.parsed();
    wanted.config.contains(manifest.config.digest.hex())
        && members.find(&path(&manifest.config.digest)).is_some()
        && manifest.layers.iter().all(|layer| members.find(&path(&layer.digest)).is_some())
}

/// Makes the manifest of an archive's image. Every layer is read once, for its digest.
pub(super) fn open(members: &Members, file: &Path, entry: Entry) -> Result<Synthesised, PlaceError> {
    let absent = |name: &str| PlaceError::refused(file.display(), format!("{name} is not in it"));
    let mut names = BTreeMap::new();
    let config = members.find(&entry.config).ok_or_else(|| absent(&entry.config))?;
    let raw = config.read(MOST).map_err(|source| PlaceError::io(file, source))?;
    let config: Document<ImageConfig> = Document::parse(MediaType::DockerConfig, raw)
        .map_err(|source| PlaceError::Document { place: file.display().to_string(), source })?;
    names.insert(config.descriptor().digest.clone(), entry.config.clone());
    let mut layers = Vec::new();
    for name in entry.layers.unwrap_or_default() {
        let span = members.find(&name).ok_or_else(|| absent(&name))?;
        let layer = described(span).map_err(|source| PlaceError::io(file, source))?;
        names.insert(layer.digest.clone(), name);
        layers.push(layer);
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::DockerManifest),
        config: config.descriptor().clone(),
        layers,
        annotations: BTreeMap::new(),
        other: Map::new(),
    };
    Ok(Synthesised {
        top: ImageDocument::Manifest(Document::create(MediaType::DockerManifest, manifest)),
        names,
    })
}

fn described(span: &Span) -> io::Result<Descriptor> {
    let mut reader = span.open()?;
    let mut start = Vec::new();
    reader.by_ref().take(4).read_to_end(&mut start)?;
    let compression = match start.as_slice() {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        _ => Compression::None,
    };
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(&start);
    io::copy(&mut reader, &mut hasher)?;
    Ok(Descriptor::new(MediaType::DockerLayer(compression), hasher.finish(), span.size))
}
