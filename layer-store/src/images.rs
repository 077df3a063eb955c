//! Names of images. Each is one document below `images/`.

use std::path::PathBuf;

use oci::{Descriptor, Digest, Platform, Reference};
use serde::{Deserialize, Serialize};

use crate::disk::{Durable, read_json, replace, to_json};
use crate::error::{At, Result, StoreError};
use crate::lease::Holding;
use crate::lock::{Hold, Lock};
use crate::{Lease, Snapshot, Store};

/// What a name stands for. Its documents are blobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredImage {
    /// Unix time at which the name was given.
    pub created: i64,
    /// The index, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Descriptor>,
    /// One image per platform.
    pub variants: Vec<StoredVariant>,
}

/// An image for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredVariant {
    /// For what machine.
    pub platform: Platform,
    /// Its config.
    pub config: Descriptor,
    /// Its manifest, where it has been packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Descriptor>,
    /// Its layers.
    pub snapshot: Snapshot,
}

#[derive(Serialize, Deserialize)]
struct Named {
    name: Reference,
    #[serde(flatten)]
    image: StoredImage,
}

impl Lease {
    /// Looks an image up and says that its layers are in use: no collection takes them, even if the image
    /// loses its name. Where that was news it is looked up again: a collection may have been faster.
    pub fn image(&self, name: &Reference) -> Result<Option<StoredImage>> {
        let Some(image) = self.store().image(name)? else { return Ok(None) };
        let mut news = false;
        for id in image.variants.iter().flat_map(|variant| &variant.snapshot.0) {
            news |= self.take_hold(id)? == Holding::News;
        }
        if news { self.store().image(name) } else { Ok(Some(image)) }
    }
}

impl Store {
    /// Looks an image up by its name. A damaged document is absent.
    pub fn image(&self, name: &Reference) -> Result<Option<StoredImage>> {
        match read_json::<Named>(&self.image_path(name)) {
            Ok(named) => Ok(named.filter(|named| named.name == *name).map(|named| named.image)),
            Err(StoreError::Json { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All images, sorted by name. Damaged documents are passed over.
    pub fn images(&self) -> Result<Vec<(Reference, StoredImage)>> {
        let dir = self.at("images");
        let mut images = Vec::new();
        for entry in std::fs::read_dir(&dir).at(&dir)? {
            match read_json::<Named>(&entry.at(&dir)?.path()) {
                Ok(Some(named)) => images.push((named.name, named.image)),
                Ok(None) | Err(StoreError::Json { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        images.sort_by_key(|(name, _)| name.to_string());
        Ok(images)
    }

    /// Gives an image a name, in place of any other that had it.
    pub fn tag(&self, name: &Reference, image: &StoredImage) -> Result<()> {
        let _lock = Lock::take(&self.at("locks/images"), Hold::Exclusive)?;
        let path = self.image_path(name);
        let document = to_json(&path, &Named { name: name.clone(), image: image.clone() })?;
        let scratch = self.at("tmp").join(format!("file-{}", crate::ids::random_hex()));
        replace(&path, &scratch, &document, Durable::Yes)?;
        self.write_layout_index()
    }

    /// Takes a name away. `false`: there was none.
    pub fn untag(&self, name: &Reference) -> Result<bool> {
        let _lock = Lock::take(&self.at("locks/images"), Hold::Exclusive)?;
        let path = self.image_path(name);
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).at(&path),
        }
        crate::disk::sync_parent(&path)?;
        self.write_layout_index()?;
        Ok(true)
    }

    /// The name with everything but letters, digits, `.`, `_` and `-` escaped; long ones by their digest.
    pub(crate) fn image_path(&self, name: &Reference) -> PathBuf {
        let text = name.to_string();
        let escaped: String = text.bytes().map(escape).collect();
        let file =
            if escaped.len() > 200 { format!("sha256-{}", Digest::sha256(&text).hex()) } else { escaped };
        self.at("images").join(format!("{file}.json"))
    }
}

fn escape(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}
