//! Looks for damage: every blob against its name, every layer against what is known of it, every document.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use oci::Digest;

use crate::blobs::digest_of;
use crate::error::{At, Result};
use crate::layers::Meta;
use crate::lock::{Hold, Lock};
use crate::seal::Proof;
use crate::{LayerId, Lease, Origin, Packing, Snapshot, Store, StoreError, StoredImage, open_layer_stream};

/// What is done about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// It is named.
    No,
    /// The damaged thing is removed, too: it will be made or pulled anew.
    Yes,
}

/// Something damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where, below the root of the store.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

impl Store {
    /// Compares everything with what it should be. Reads the whole store.
    pub fn check(&self, repair: Repair) -> Result<Vec<Damage>> {
        let mut check = Check { store: self, lease: self.lease()?, repair, found: Vec::new() };
        check.index()?;
        check.blobs()?;
        let below = self.places()?;
        check.layers(&below)?;
        check.images()?;
        check.layout()?;
        check.pins()?;
        Ok(check.found)
    }

    /// Removes a blob that turned out to be damaged.
    pub fn forget_blob(&self, digest: &Digest) -> Result<()> {
        self.discard(&self.blob_path(digest))
    }

    /// What each layer of an image lies on.
    fn places(&self) -> Result<HashMap<LayerId, Snapshot>> {
        let mut places = HashMap::new();
        for variant in self.images()?.into_iter().flat_map(|(_, image)| image.variants) {
            let mut below = Snapshot::default();
            for id in variant.snapshot.0 {
                places.entry(id.clone()).or_insert_with(|| below.clone());
                below = below.with(id);
            }
        }
        Ok(places)
    }
}

struct Check<'a> {
    store: &'a Store,
    lease: Lease,
    repair: Repair,
    found: Vec<Damage>,
}

impl Check<'_> {
    fn damaged(&mut self, path: &Path, reason: impl Into<String>) -> Result<()> {
        let relative = path.strip_prefix(self.store.root()).unwrap_or(path).to_owned();
        self.found.push(Damage { path: relative, reason: reason.into() });
        match self.repair {
            Repair::Yes => self.store.discard(path),
            Repair::No => Ok(()),
        }
    }

    fn index(&mut self) -> Result<()> {
        let sound = self.store.0.index.read(|connection| {
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        });
        let reason = match sound {
            Ok(text) if text == "ok" => return Ok(()),
            Ok(text) => text,
            Err(error) => error.to_string(),
        };
        for suffix in ["-wal", "-shm"] {
            if self.repair == Repair::Yes {
                self.store.discard(&self.store.at(&format!("index.db{suffix}")))?;
            }
        }
        self.damaged(&self.store.at("index.db"), reason)
    }

    fn blobs(&mut self) -> Result<()> {
        let top = self.store.at("blobs");
        for dir in entries(&top)? {
            let algorithm = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for path in entries(&dir)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                match format!("{algorithm}:{name}").parse::<Digest>() {
                    Err(_) => self.damaged(&path, "is named after no digest")?,
                    Ok(digest) => {
                        let found = digest_of(&path, digest.algorithm())?;
                        if found != digest {
                            self.damaged(&path, format!("has the content of {found}"))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn layers(&mut self, below: &HashMap<LayerId, Snapshot>) -> Result<()> {
        for path in entries(&self.store.at("layers"))? {
            let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            let Some(id) = id else {
                self.damaged(&path, "is not named as layers are")?;
                continue;
            };
            let Some(meta) = self.store.meta(&id)? else {
                self.damaged(&path, "its document is damaged, or it was not synced before a power cut and cannot be proven to be whole")?;
                continue;
            };
            match self.layer(&id, &meta, below.get(&id)) {
                Ok(None) => {}
                Ok(Some(reason)) => self.damaged(&path, reason)?,
                Err(error) => self.damaged(&path, error.to_string())?,
            }
        }
        Ok(())
    }

    /// What is wrong with a layer's files, as far as something is known to compare them with: the digest of
    /// their content, the digest of the archive that we made of them, or the blob they were unpacked from.
    fn layer(&self, id: &LayerId, meta: &Meta, below: Option<&Snapshot>) -> Result<Option<String>> {
        self.store.aside(id)?;
        let other = || Some("its files are not those it was made with".to_owned());
        match self.store.files_are_known(id, meta)? {
            Proof::Whole => return Ok(None),
            Proof::Torn => return Ok(other()),
            Proof::Unknown => {}
        }
        if meta.origin == Origin::Step {
            let Some(known) = &meta.diff_id else { return Ok(None) };
            let hides = meta.hides.clone().unwrap_or_default();
            let mut sink = std::io::sink();
            let packed = self.lease.pack_stream(id, meta, &hides, &Packing::PLAIN, &mut sink)?;
            return Ok((packed.diff_id != *known).then(other).flatten());
        }
        let stored = meta.blobs.iter().find(|blob| self.store.has_blob(blob));
        let Some((blob, diff)) = stored.zip(meta.diff_id.as_ref()) else { return Ok(None) };
        let Some(file) = self.store.open_blob(&blob.digest)? else { return Ok(None) };
        let form = blob.media_type.compression().unwrap_or(oci::Compression::None);
        let mut tar = open_layer_stream(form, Box::new(file));
        let nothing = Snapshot::default();
        let fresh = match self.lease.content_of_archive(&mut tar, diff, below.unwrap_or(&nothing)) {
            Ok(Some(fresh)) => fresh,
            // Nothing that says what lies below it, or a damaged blob, which is told by itself.
            Ok(None) | Err(StoreError::Mismatch { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok((self.store.content_of(id)? != fresh).then(other).flatten())
    }

    fn images(&mut self) -> Result<()> {
        let known = self.store.images()?;
        for path in entries(&self.store.at("images"))? {
            if crate::disk::read_json::<serde_json::Value>(&path).is_err()
                || !known.iter().any(|(name, _)| self.store.image_path(name) == path)
            {
                self.damaged(&path, "is no description of an image, or has the name of another")?;
            }
        }
        for (name, image) in &known {
            if let Some(reason) = self.missing(image)? {
                let path = self.store.image_path(name);
                self.damaged(&path, format!("{}: {reason}: pull or build it again", name.familiar()))?;
            }
        }
        Ok(())
    }

    fn missing(&self, image: &StoredImage) -> Result<Option<String>> {
        for variant in &image.variants {
            for id in &variant.snapshot.0 {
                if self.store.meta(id)?.is_none() {
                    return Ok(Some(format!("its layer {id} is absent")));
                }
            }
            if self.store.read_blob(&variant.config)?.is_none() {
                return Ok(Some(format!("its config {} is absent", variant.config.digest)));
            }
        }
        Ok(None)
    }

    fn pins(&mut self) -> Result<()> {
        for path in self.store.damaged_pins()? {
            self.damaged(&path, "is no description of a mounted image")?;
        }
        Ok(())
    }

    fn layout(&mut self) -> Result<()> {
        for name in ["oci-layout", "index.json"] {
            let path = self.store.at(name);
            let found: Result<Option<serde_json::Value>> = crate::disk::read_json(&path);
            if !matches!(found, Ok(Some(_))) {
                self.damaged(&path, "is no JSON document")?;
            }
        }
        if self.repair == Repair::Yes && !self.found.is_empty() {
            crate::layout::create(self.store.root())?;
            let _lock = Lock::take(&self.store.at("locks/images"), Hold::Exclusive)?;
            self.store.write_layout_index()?;
        }
        Ok(())
    }
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut all = std::fs::read_dir(dir)
        .and_then(|entries| {
            entries.map(|entry| entry.map(|it| it.path())).collect::<std::io::Result<Vec<_>>>()
        })
        .at(dir)?;
    all.sort();
    Ok(all)
}
