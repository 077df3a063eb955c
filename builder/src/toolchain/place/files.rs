//! Images in files: layouts, archives and directories.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use layer_store::Lease;
use oci::{Descriptor, Digest, ImageDocument, Index, Reference};
use registry_client::BoxedRead;

use super::docker;
use super::error::PlaceError;
use super::members::Members;
use super::name::{InLayout, Place};
use super::source::parse;
use super::span::Span;

pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// No document is larger.
pub(super) const MOST: u64 = 8 << 20;

/// Where the files are.
#[derive(Clone)]
pub(super) enum Tree {
    /// An OCI layout as a directory.
    Layout(PathBuf),
    /// An OCI layout in a tar.
    Archive(Members),
    /// skopeo's directory of one image.
    Directory(PathBuf),
    /// A docker archive without a layout in it.
    Docker { members: Members, names: BTreeMap<Digest, String> },
}

/// An image in files, opened.
pub(crate) struct FileSource {
    shown: String,
    tree: Tree,
    top: ImageDocument,
    /// Entries of `index.json`.
    entries: Vec<Descriptor>,
}

impl FileSource {
    /// Opens an image in files.
    pub(super) fn open(place: &Place, lease: &Lease) -> Result<Self, PlaceError> {
        match place {
            Place::Layout { dir, image } => Self::layout(place, Tree::Layout(dir.clone()), image),
            Place::LayoutArchive { file, image } => {
                Self::layout(place, Tree::Archive(Members::read(file, lease)?), image)
            }
            Place::DockerArchive { file, name } => {
                let members = Members::read(file, lease)?;
                let entry = docker::choose(&members, file, name.as_ref())?;
                Self::docker(place, members, file, entry, name.as_ref())
            }
            Place::Directory(dir) => Self::directory(place, dir),
            Place::Registry(_) | Place::Store(_) | Place::Either(_) => {
                Err(PlaceError::refused(place, "it is no file"))
            }
        }
    }

    /// One image of a docker archive.
    pub(super) fn docker(
        place: &Place,
        members: Members,
        file: &Path,
        entry: docker::Entry,
        name: Option<&Reference>,
    ) -> Result<Self, PlaceError> {
        if let Some(digest) = docker::in_layout(&members, &entry, name) {
            return Self::layout(place, Tree::Archive(members), &InLayout::Digest(digest));
        }
        let docker::Synthesised { top, names } = docker::open(&members, file, entry)?;
        let tree = Tree::Docker { members, names };
        Ok(Self { shown: place.to_string(), tree, top, entries: Vec::new() })
    }

    /// Whether it has a blob or document.
    pub(super) fn has(&self, blob: &Descriptor) -> bool {
        self.tree.find(&self.shown, &blob.digest).is_ok()
    }

    pub(super) fn layout(place: &Place, tree: Tree, image: &InLayout) -> Result<Self, PlaceError> {
        let shown = place.to_string();
        let entries = tree.index(&shown)?;
        let chosen = match image {
            InLayout::Digest(digest) => tree.by_digest(&shown, &entries, digest)?,
            InLayout::Only | InLayout::Tag(_) => choose(&shown, &entries, image)?.clone(),
        };
        let raw = tree.read(&shown, &chosen)?;
        let top = parse(&shown, &chosen, raw)?;
        Ok(Self { shown, tree, top, entries })
    }

    fn directory(place: &Place, dir: &Path) -> Result<Self, PlaceError> {
        let shown = place.to_string();
        let path = dir.join("manifest.json");
        let span = Span::whole(path.clone()).map_err(|source| PlaceError::io(&path, source))?;
        let span = span.ok_or_else(|| PlaceError::refused(&shown, "it has no manifest.json"))?;
        let raw = span.read(MOST).map_err(|source| PlaceError::io(&path, source))?;
        let top = ImageDocument::parse(None, raw)
            .map_err(|source| PlaceError::Document { place: shown.clone(), source })?;
        Ok(Self { shown, tree: Tree::Directory(dir.to_owned()), top, entries: Vec::new() })
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn top(&self) -> &ImageDocument {
        &self.top
    }

    /// The bytes of a document.
    pub(super) fn document(&self, entry: &Descriptor) -> Result<Bytes, PlaceError> {
        self.tree.read(&self.shown, entry)
    }

    /// Opens a blob, as it is.
    pub(super) async fn blob(&self, blob: &Descriptor) -> Result<BoxedRead, PlaceError> {
        let span = self.tree.find(&self.shown, &blob.digest)?;
        span.open_async().await.map_err(|source| PlaceError::io(&span.path, source))
    }

    /// Entries of the layout that refer to a manifest.
    pub(super) fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, PlaceError> {
        let mut found = Vec::new();
        for entry in
            self.entries.iter().filter(|entry| entry.media_type.is_manifest() || entry.media_type.is_index())
        {
            let document = parse(&self.shown, entry, self.document(entry)?)?;
            if document.subject().is_some_and(|other| other.digest == *subject) {
                found.push(document.as_referrer());
            }
        }
        Ok(found)
    }
}

/// Entries of a layout's `index.json`.
pub(super) fn read_index(shown: &str, dir: &Path) -> Result<Vec<Descriptor>, PlaceError> {
    Tree::Layout(dir.to_owned()).index(shown)
}

impl Tree {
    /// Entries of `index.json`.
    pub(super) fn index(&self, shown: &str) -> Result<Vec<Descriptor>, PlaceError> {
        let absent = || PlaceError::refused(shown, "it has no index.json, so it is no OCI layout");
        let index = self.file("index.json")?.ok_or_else(absent)?;
        let raw = index.read(MOST).map_err(|source| PlaceError::io(&index.path, source))?;
        let index: Index = serde_json::from_slice(&raw)
            .map_err(|error| PlaceError::refused(shown, format!("index.json: {error}")))?;
        Ok(index.manifests)
    }

    fn file(&self, name: &str) -> Result<Option<Span>, PlaceError> {
        match self {
            Tree::Layout(dir) | Tree::Directory(dir) => {
                let path = dir.join(name);
                Span::whole(path.clone()).map_err(|source| PlaceError::io(&path, source))
            }
            Tree::Archive(members) | Tree::Docker { members, .. } => Ok(members.find(name).cloned()),
        }
    }

    /// The file of a blob or document.
    fn find(&self, shown: &str, digest: &Digest) -> Result<Span, PlaceError> {
        let found = match self {
            Tree::Layout(_) | Tree::Archive(_) => {
                self.file(&format!("blobs/{}/{}", digest.algorithm().name(), digest.hex()))?
            }
            Tree::Directory(_) => match self.file(&in_directory(digest))? {
                Some(span) => Some(span),
                None => self.file(&format!("{}.manifest.json", digest.hex()))?,
            },
            Tree::Docker { names, .. } => match names.get(digest) {
                Some(name) => self.file(name)?,
                None => None,
            },
        };
        found.ok_or_else(|| PlaceError::Missing { place: shown.to_owned(), digest: digest.clone() })
    }

    fn read(&self, shown: &str, entry: &Descriptor) -> Result<Bytes, PlaceError> {
        let span = self.find(shown, &entry.digest)?;
        span.read(MOST).map_err(|source: io::Error| PlaceError::io(&span.path, source))
    }

    /// The entry with a digest, or the document under it that no entry names.
    fn by_digest(
        &self,
        shown: &str,
        entries: &[Descriptor],
        digest: &Digest,
    ) -> Result<Descriptor, PlaceError> {
        if let Some(entry) = entries.iter().find(|entry| entry.digest == *digest) {
            return Ok(entry.clone());
        }
        let span = self.find(shown, digest)?;
        let raw = span.read(MOST).map_err(|source| PlaceError::io(&span.path, source))?;
        let document = ImageDocument::parse(None, raw)
            .map_err(|source| PlaceError::Document { place: shown.to_owned(), source })?;
        Ok(Descriptor::new(document.descriptor().media_type.clone(), digest.clone(), span.size))
    }
}

/// Name of a blob in skopeo's directory.
pub(super) fn in_directory(digest: &Digest) -> String {
    match digest.algorithm() {
        oci::Algorithm::Sha256 => digest.hex().to_owned(),
        oci::Algorithm::Sha512 => format!("sha512-{}", digest.hex()),
    }
}

/// The entry that was named.
pub(super) fn choose<'a>(
    shown: &str,
    entries: &'a [Descriptor],
    image: &InLayout,
) -> Result<&'a Descriptor, PlaceError> {
    let tag_of = |entry: &&Descriptor| entry.annotations.get(REF_NAME).cloned();
    if let InLayout::Tag(tag) = image {
        let exact = entries.iter().find(|entry| tag_of(entry).as_ref() == Some(tag));
        let ending = format!(":{tag}");
        let loose = || entries.iter().find(|entry| tag_of(entry).is_some_and(|full| full.ends_with(&ending)));
        return exact.or_else(loose).ok_or_else(|| {
            let known: Vec<String> = entries.iter().filter_map(|entry| tag_of(&entry)).collect();
            PlaceError::refused(shown, format!("no image is tagged {tag}; there are: {}", known.join(", ")))
        });
    }
    // What only refers to an image is none.
    let images: Vec<&Descriptor> = entries.iter().filter(|entry| entry.artifact_type().is_none()).collect();
    match images.as_slice() {
        [only] => Ok(only),
        [] => match entries {
            [only] => Ok(only),
            _ => Err(PlaceError::refused(shown, "it holds no image")),
        },
        [first, rest @ ..] if rest.iter().all(|other| other.digest == first.digest) => Ok(first),
        several => Err(PlaceError::refused(
            shown,
            format!("it holds {} images: name one by its tag or digest", several.len()),
        )),
    }
}

/// The tags of a layout's images, and the digests of those that have none.
pub(crate) fn layout_tags(place: &Place, lease: &Lease) -> Result<Vec<String>, PlaceError> {
    let tree = match place {
        Place::Layout { dir, .. } => Tree::Layout(dir.clone()),
        Place::LayoutArchive { file, .. } => Tree::Archive(Members::read(file, lease)?),
        Place::DockerArchive { file, .. } => return docker::tags(&Members::read(file, lease)?, file),
        Place::Registry(_) | Place::Store(_) | Place::Either(_) | Place::Directory(_) => {
            return Err(PlaceError::refused(place, "it has no tags"));
        }
    };
    let entries = tree.index(&place.to_string())?;
    Ok(entries.iter().filter_map(|entry| entry.annotations.get(REF_NAME).cloned()).collect())
}
