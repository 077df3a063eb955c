//! The store as an OCI image layout, for tools that read one.

use std::path::Path;

use oci::{Descriptor, Document, Index, Manifest};

use crate::Store;
use crate::disk::{Durable, replace, to_json};
use crate::error::Result;
use crate::ids::random_hex;

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Writes the files that make a directory an image layout, unless they are there.
pub(crate) fn create(root: &Path) -> Result<()> {
    write_new(root, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    write_new(root, "index.json", &to_json(&root.join("index.json"), &Index::of(Vec::new()))?)
}

fn write_new(root: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = root.join(name);
    if path.exists() {
        return Ok(());
    }
    replace(&path, &root.join("tmp").join(format!("file-{}", random_hex())), bytes, Durable::Yes)
}

impl Store {
    /// Lists the images whose every blob is here. Called with the lock of the names held.
    pub(crate) fn write_layout_index(&self) -> Result<()> {
        let mut manifests = Vec::new();
        for (name, image) in self.images()? {
            let whole = image.index.as_ref().filter(|index| self.index_is_whole(index));
            let single = || match &image.variants[..] {
                [only] => only.manifest.as_ref().filter(|manifest| self.manifest_is_whole(manifest)),
                _ => None,
            };
            let Some(top) = whole.or_else(single) else { continue };
            let mut top = top.clone();
            if let Some(tag) = name.tag() {
                top.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
            }
            top.annotations.insert(IMAGE_NAME.to_owned(), name.to_string());
            manifests.push(top);
        }
        let path = self.at("index.json");
        let bytes = to_json(&path, &Index::of(manifests))?;
        if std::fs::read(&path).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        replace(&path, &self.at("tmp").join(format!("file-{}", random_hex())), &bytes, Durable::No)
    }

    fn index_is_whole(&self, top: &Descriptor) -> bool {
        let Ok(Some(raw)) = self.read_blob(top) else { return false };
        Document::<Index>::parse(top.media_type.clone(), raw).is_ok_and(|index| {
            index.parsed().manifests.iter().all(|manifest| self.manifest_is_whole(manifest))
        })
    }

    fn manifest_is_whole(&self, manifest: &Descriptor) -> bool {
        let Ok(Some(raw)) = self.read_blob(manifest) else { return false };
        Document::<Manifest>::parse(manifest.media_type.clone(), raw).is_ok_and(|manifest| {
            let manifest = manifest.parsed();
            self.has_blob(&manifest.config) && manifest.layers.iter().all(|layer| self.has_blob(layer))
        })
    }
}
