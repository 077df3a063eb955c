//! An image of an OCI layout as a base: its blobs are taken into the store, where its digest names it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use layer_store::{Lease, Snapshot, StackView};
use oci::{Descriptor, Digest, Document, ImageDocument, Index, Manifest, MediaType, Reference};

use super::RemoteError;
use super::archive::unpack;
use crate::Session;
use crate::context::scan;
use crate::file::FileInput;
use crate::plan::Extra;
use crate::request::LocalContext;
use crate::worker::{Permit, blocking};

/// Annotation that holds the tag of an image.
const TAG: &str = "org.opencontainers.image.ref.name";
/// No document is larger.
const MOST: u64 = 8 << 20;

/// Takes the image of a layout (`path[:tag][@digest]`; a directory or a tar) into the store; the
/// answer names it by its digest. `name` is what people know it by.
pub async fn layout_image(session: &Session, name: &str, text: &str) -> Result<Reference, RemoteError> {
    let extra = Extra::before(session.events.clone());
    let step = extra.begin(format!("load oci-layout://{text}"), None).await;
    let result = {
        let (session, text) = (session.clone(), text.to_owned());
        blocking(Permit::free(), move || take(&session, &Named::parse(&text)?)).await
    };
    extra.end(step, &result).await;
    Ok(reference(name, &result?))
}

/// A name that no registry has: whatever is in the store is all there is.
fn reference(name: &str, digest: &Digest) -> Reference {
    let path: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let path = if path.is_empty() { "image" } else { &path };
    match format!("oci-layout.invalid/{path}").parse::<Reference>() {
        Ok(reference) => reference.with_digest(digest.clone()),
        Err(error) => unreachable!("letters and digits are a name: {error}"),
    }
}

/// Which image of which layout.
#[derive(Debug)]
struct Named {
    path: PathBuf,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Named {
    fn parse(text: &str) -> Result<Self, RemoteError> {
        let bad = |reason: String| RemoteError::Layout { path: text.into(), reason };
        let (text, digest) = match text.rsplit_once('@') {
            Some((path, digest)) if digest.contains(':') && !digest.contains('/') => {
                (path, Some(digest.parse::<Digest>().map_err(|error| bad(error.to_string()))?))
            }
            Some(_) | None => (text, None),
        };
        let named = |path: &str, tag: Option<&str>| Self {
            path: path.into(),
            tag: tag.map(str::to_owned),
            digest: digest.clone(),
        };
        match text.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') && !path.is_empty() && !Path::new(text).exists() => {
                Ok(named(path, Some(tag)))
            }
            Some(_) | None if text.is_empty() => Err(bad("no path is given".to_owned())),
            Some(_) | None => Ok(named(text, None)),
        }
    }
}

/// Where a layout's files are.
enum Files {
    Directory(PathBuf),
    Layers(StackView),
}

struct Layout<'a> {
    name: &'a Path,
    files: Files,
    lease: &'a Lease,
}

fn take(session: &Session, named: &Named) -> Result<Digest, RemoteError> {
    let layout = Layout::open(session, &named.path)?;
    let top = layout.choose(named)?;
    layout.image(&top)?;
    Ok(top.digest)
}

impl<'a> Layout<'a> {
    fn open(session: &'a Session, path: &'a Path) -> Result<Self, RemoteError> {
        let metadata =
            std::fs::metadata(path).map_err(|source| RemoteError::Io { path: path.to_owned(), source })?;
        let files = match metadata.is_dir() {
            true => Files::Directory(path.to_owned()),
            false => Files::Layers(unpacked(session, path)?),
        };
        Ok(Self { name: path, files, lease: &session.lease })
    }

    fn file(&self, path: &str) -> Result<Option<File>, RemoteError> {
        match &self.files {
            Files::Directory(root) => match File::open(root.join(path)) {
                Ok(file) => Ok(Some(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(RemoteError::Io { path: root.join(path), source }),
            },
            Files::Layers(view) => match view.resolve(Path::new(path))? {
                Some((real, _)) => Ok(Some(view.open(&real)?)),
                None => Ok(None),
            },
        }
    }

    fn read(&self, path: &str) -> Result<Option<Bytes>, RemoteError> {
        use std::io::Read;
        let Some(file) = self.file(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let failed = |source| RemoteError::Io { path: self.name.join(path), source };
        file.take(MOST).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(bytes.into()))
    }

    fn refuse(&self, reason: impl Into<String>) -> RemoteError {
        RemoteError::Layout { path: self.name.to_owned(), reason: reason.into() }
    }

    /// The image that was named.
    fn choose(&self, named: &Named) -> Result<Descriptor, RemoteError> {
        if let (Some(digest), None) = (&named.digest, &named.tag) {
            let file = self.file(&blob_path(digest))?.ok_or_else(|| self.missing(digest))?;
            let size = file
                .metadata()
                .map_err(|source| RemoteError::Io { path: self.name.to_owned(), source })?
                .len();
            return Ok(Descriptor::new(MediaType::Other(String::new()), digest.clone(), size));
        }
        let raw = self
            .read("index.json")?
            .ok_or_else(|| self.refuse("it has no index.json, so it is no OCI layout"))?;
        let index: Document<Index> =
            Document::parse(MediaType::OciIndex, raw).map_err(|source| self.bad(source))?;
        let images = &index.parsed().manifests;
        let tagged = |tag: &str| {
            let fits = |image: &&Descriptor| {
                let full = image.annotations.get(TAG);
                full.is_some_and(|full| full == tag || full.ends_with(&format!(":{tag}")))
            };
            images.iter().find(fits)
        };
        let found = match (&named.tag, images.as_slice()) {
            (Some(tag), _) => tagged(tag).ok_or_else(|| self.refuse(format!("no image is tagged {tag}")))?,
            (None, [only]) => only,
            (None, _) => tagged("latest").ok_or_else(|| {
                self.refuse(format!(
                    "it holds {} images and none is tagged latest: name a tag or a digest",
                    images.len()
                ))
            })?,
        };
        match &named.digest {
            Some(digest) if *digest != found.digest => {
                Err(self.refuse(format!("the tag leads to {}, not to {digest}", found.digest)))
            }
            Some(_) | None => Ok(found.clone()),
        }
    }

    fn bad(&self, source: oci::DocumentError) -> RemoteError {
        RemoteError::Document { path: self.name.to_owned(), source }
    }

    fn missing(&self, digest: &Digest) -> RemoteError {
        RemoteError::NoBlob { path: self.name.to_owned(), digest: digest.clone() }
    }

    /// Takes an index or a manifest with all it leads to.
    fn image(&self, descriptor: &Descriptor) -> Result<(), RemoteError> {
        match self.document(descriptor)? {
            ImageDocument::Manifest(manifest) => self.manifest(manifest.parsed()),
            ImageDocument::Index(index) => {
                for entry in &index.parsed().manifests {
                    // A layout may hold some of an index's platforms only.
                    if self.file(&blob_path(&entry.digest))?.is_none() {
                        continue;
                    }
                    if let ImageDocument::Manifest(manifest) = self.document(entry)? {
                        self.manifest(manifest.parsed())?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Keeps the document itself.
    fn document(&self, descriptor: &Descriptor) -> Result<ImageDocument, RemoteError> {
        let raw =
            self.read(&blob_path(&descriptor.digest))?.ok_or_else(|| self.missing(&descriptor.digest))?;
        self.blob(descriptor)?;
        ImageDocument::parse(Some(&descriptor.media_type), raw).map_err(|source| self.bad(source))
    }

    fn manifest(&self, manifest: &Manifest) -> Result<(), RemoteError> {
        self.blob(&manifest.config)?;
        manifest.layers.iter().try_for_each(|layer| self.blob(layer))
    }

    /// Copies a blob into the store, which verifies it.
    fn blob(&self, descriptor: &Descriptor) -> Result<(), RemoteError> {
        if self.lease.store().has_blob(descriptor) {
            return Ok(());
        }
        let path = blob_path(&descriptor.digest);
        let mut file = self.file(&path)?.ok_or_else(|| self.missing(&descriptor.digest))?;
        let mut blob = self.lease.blob_of(descriptor.digest.algorithm())?;
        io::copy(&mut file, &mut blob)
            .map_err(|source| RemoteError::Io { path: self.name.join(&path), source })?;
        Ok(blob.commit_as(descriptor)?)
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}", digest.to_string().replacen(':', "/", 1))
}

/// The tree of a layout in a tar.
fn unpacked(session: &Session, path: &Path) -> Result<StackView, RemoteError> {
    let failed = |source| RemoteError::Io { path: path.to_owned(), source };
    let full = std::fs::canonicalize(path).map_err(failed)?;
    let (parent, name) = (full.parent().unwrap_or(Path::new("/")), full.file_name().unwrap_or_default());
    let scan = scan(&LocalContext::Directory(parent.to_owned()), &[], &session.store.stat_index())?;
    let what = path.to_string_lossy();
    let layer = unpack(session, &what, FileInput::Context(Arc::new(scan)), &name.to_string_lossy())?;
    Ok(session.store.stack(&Snapshot(vec![layer]))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_layouts() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, path, tag, has_digest) in [
            ("dir/layout", "dir/layout", None, false),
            ("dir/layout:v1", "dir/layout", Some("v1"), false),
            ("dir:x/layout", "dir:x/layout", None, false),
            (&format!("dir/layout@{digest}"), "dir/layout", None, true),
            (&format!("dir/layout:v1@{digest}"), "dir/layout", Some("v1"), true),
        ] {
            let named = Named::parse(text).expect(text);
            assert_eq!(named.path, Path::new(path), "{text}");
            assert_eq!((named.tag.as_deref(), named.digest.is_some()), (tag, has_digest), "{text}");
        }
        assert!(Named::parse("").is_err());
        assert!(Named::parse("x@sha256:12").is_err());
    }
}
