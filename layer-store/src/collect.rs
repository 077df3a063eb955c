//! Removes what nothing refers to.

use std::collections::HashSet;
use std::fs::Metadata;

use oci::{Descriptor, Digest, Document, Index, Manifest, Reference};

use crate::blobs::may_be_wanted;
use crate::error::{At, Result};
use crate::lock::{Hold, Lock};
use crate::partial::Parts;
use crate::{LayerId, Store, lease};

/// Which records a collection keeps. Images are always kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All of them.
    #[default]
    AllRecords,
    /// Those made at or after a Unix time.
    RecordsSince(i64),
    /// None.
    NoRecords,
}

/// What a collection removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Layers.
    pub layers: usize,
    /// Layers that only living processes use; they stayed.
    pub in_use: usize,
    /// Blobs.
    pub blobs: usize,
    /// Records.
    pub records: usize,
    /// Bytes of those blobs, and of parts of blobs that never became whole.
    pub blob_bytes: u64,
}

/// The layers that stay.
#[derive(Clone, Copy)]
struct Marked<'a> {
    /// Something in the store refers to them.
    referred: &'a HashSet<LayerId>,
    /// Living processes use them.
    held: &'a HashSet<LayerId>,
}

impl Store {
    /// Removes a name, and nothing else; [`Store::collect`] removes what it alone referred to.
    pub fn remove_image(&self, name: &Reference) -> Result<bool> {
        self.untag(name)
    }

    /// Removes layers and blobs that neither an image, a kept record, the state of a failed step nor a
    /// mounted image refers to. What living processes use stays: the layers that they hold, with their blobs.
    /// Of other blobs only those go that belong to a removed layer and were not used for some minutes; the
    /// rest waits for a collection with no process beside it.
    pub fn collect(&self, keep: Keep) -> Result<Collected> {
        let lock = Lock::take(&self.at("locks/collect"), Hold::Exclusive)?;
        let mut collected = Collected::default();
        let (kept, dropped) = self.split_records(keep)?;
        self.forget_records(&dropped)?;
        self.sweep_answers(keep)?;
        collected.records = dropped.len();
        lease::sweep_dead(self)?;
        let held = lease::held_by_the_living(self)?;
        let (mut layers, mut blobs) = (kept, HashSet::new());
        layers.extend(self.layers_of_states()?);
        layers.extend(self.layers_of_pins()?);
        for (_, image) in self.images()? {
            if let Some(document) = &image.index {
                self.mark_documents(document, &mut blobs);
            }
            for variant in image.variants {
                layers.extend(variant.snapshot.0);
                blobs.insert(variant.config.digest);
                if let Some(document) = &variant.manifest {
                    self.mark_documents(document, &mut blobs);
                }
            }
        }
        let mut victims = Vec::new();
        let nobody = HashSet::new();
        let marked = Marked { referred: &layers, held: held.as_ref().unwrap_or(&nobody) };
        let orphans = self.sweep_layers(marked, &mut blobs, &mut collected, &mut victims)?;
        let goes = |digest: &Digest, metadata: &Metadata| {
            !blobs.contains(digest)
                && (held.is_none() || (orphans.contains(digest) && !may_be_wanted(metadata)))
        };
        self.sweep_blobs(&goes, &mut collected, &mut victims)?;
        collected.blob_bytes += self.sweep_partial(Parts::All)?;
        drop(lock);
        for victim in victims {
            crate::disk::remove_tree(&victim)?;
        }
        Ok(collected)
    }

    /// The layers of kept records, and the keys of the others.
    fn split_records(&self, keep: Keep) -> Result<(HashSet<LayerId>, Vec<crate::CacheKey>)> {
        let (mut kept, mut dropped) = (HashSet::new(), Vec::new());
        for (key, record) in self.every_record()? {
            let stays = match keep {
                Keep::AllRecords => true,
                Keep::RecordsSince(time) => record.created >= time,
                Keep::NoRecords => false,
            };
            if stays {
                kept.extend(record.outputs.into_iter().flat_map(|snapshot| snapshot.0));
            } else {
                dropped.push(key);
            }
        }
        Ok((kept, dropped))
    }

    /// A document and everything it names. What is absent or damaged names nothing.
    fn mark_documents(&self, top: &Descriptor, blobs: &mut HashSet<Digest>) {
        blobs.insert(top.digest.clone());
        let Ok(Some(raw)) = self.read_blob(top) else { return };
        if top.media_type.is_index() {
            if let Ok(index) = Document::<Index>::parse(top.media_type.clone(), raw) {
                for manifest in &index.parsed().manifests {
                    self.mark_documents(manifest, blobs);
                }
            }
        } else if let Ok(manifest) = Document::<Manifest>::parse(top.media_type.clone(), raw) {
            blobs.insert(manifest.parsed().config.digest.clone());
            blobs.extend(manifest.parsed().layers.iter().map(|layer| layer.digest.clone()));
        }
    }

    /// Takes layers away, and says which blobs belonged to them.
    fn sweep_layers(
        &self,
        marked: Marked<'_>,
        blobs: &mut HashSet<Digest>,
        collected: &mut Collected,
        victims: &mut Vec<std::path::PathBuf>,
    ) -> Result<HashSet<Digest>> {
        let mut orphans = HashSet::new();
        let dir = self.at("layers");
        for entry in std::fs::read_dir(&dir).at(&dir)? {
            let path = entry.at(&dir)?.path();
            let id =
                path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<LayerId>().ok());
            let known = id.as_ref().map(|id| self.meta(id)).transpose()?.flatten().unwrap_or_default();
            let packed = known.packed.into_iter().map(|memo| memo.digest);
            let packed = packed.chain(known.blobs.into_iter().map(|blob| blob.digest));
            let kept = id.is_some_and(|id| {
                let referred = marked.referred.contains(&id);
                collected.in_use += usize::from(!referred && marked.held.contains(&id));
                referred || marked.held.contains(&id)
            });
            if kept {
                // A packed form of a kept layer is worth keeping.
                blobs.extend(packed);
                continue;
            }
            orphans.extend(packed);
            victims.push(self.move_away(&path)?);
            collected.layers += 1;
        }
        Ok(orphans)
    }

    fn sweep_blobs(
        &self,
        goes: &dyn Fn(&Digest, &Metadata) -> bool,
        collected: &mut Collected,
        victims: &mut Vec<std::path::PathBuf>,
    ) -> Result<()> {
        let top = self.at("blobs");
        for algorithm in std::fs::read_dir(&top).at(&top)? {
            let dir = algorithm.at(&top)?.path();
            let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for entry in std::fs::read_dir(&dir).at(&dir)? {
                let entry = entry.at(&dir)?;
                let digest = format!("{name}:{}", entry.file_name().to_string_lossy()).parse::<Digest>();
                let Ok(metadata) = entry.metadata() else { continue };
                if digest.is_ok_and(|digest| !goes(&digest, &metadata)) {
                    continue;
                }
                collected.blob_bytes += metadata.len();
                collected.blobs += 1;
                victims.push(self.move_away(&entry.path())?);
            }
        }
        Ok(())
    }

    fn move_away(&self, path: &std::path::Path) -> Result<std::path::PathBuf> {
        let away = self.at("tmp").join(format!("gone-{}", crate::ids::random_hex()));
        std::fs::rename(path, &away).at(path)?;
        Ok(away)
    }
}
