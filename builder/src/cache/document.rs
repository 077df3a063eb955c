//! A part of a cache: what one build added. Pure.
//!
//! In a registry or layout a part is an image manifest, so that every tool copies it with all that
//! belongs to it and no collection takes its layers: the config is the compressed document below, the
//! layers are the packed layers themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use layer_store::{CacheKey, LayerId, PackedLayer, Record, ResultId};
use oci::{Descriptor, Document, Manifest, MediaType};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::keys;

/// The artifact type of a part.
pub(super) const PART_TYPE: &str = "application/vnd.rbuild.cache.v1";
/// The media type of its config.
pub(super) const RECORDS_TYPE: &str = "application/vnd.rbuild.cache.records.v1+zstd";

const FORMAT: u32 = 1;
const LEVEL: i32 = 9;
/// No document is longer than this once it is decompressed.
const LARGEST: u64 = 64 << 20;
/// Records of a part that was made of several; the oldest go first.
const RECORDS_AT_MOST: usize = 4000;

/// A recorded result with its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// A definition key or a result key.
    pub key: CacheKey,
    /// What it led to, without what the key was made of.
    pub record: Record,
}

/// A part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    format: u32,
    /// Layers by name. Records may name others: layers of images, and layers that are not kept.
    pub layers: BTreeMap<LayerId, PackedLayer>,
    /// The records.
    pub records: Vec<Entry>,
}

impl Part {
    /// A part with these layers and records.
    pub fn new(layers: BTreeMap<LayerId, PackedLayer>, records: Vec<Entry>) -> Self {
        let mut records = records;
        for entry in &mut records {
            // What keys are made of may hold what is nobody else's business.
            entry.record.components.clear();
        }
        Self { format: FORMAT, layers, records }
    }

    /// The bytes of its document.
    pub fn encode(&self) -> std::io::Result<Vec<u8>> {
        zstd::encode_all(serde_json::to_vec(self)?.as_slice(), LEVEL)
    }

    /// Reads a document. Records whose identity is not that of their layers are left out.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let part: Self = serde_json::from_slice(&decompress(bytes)?).map_err(|error| error.to_string())?;
        if part.format != FORMAT {
            return Err(format!("format {} is unknown", part.format));
        }
        Ok(part.sound())
    }

    /// Without records whose identity is not that of their layers.
    pub fn sound(mut self) -> Self {
        self.records.retain(|entry| entry.record.result == keys::identity(&entry.record.outputs));
        self
    }

    /// What it holds, to know what need not be added again.
    pub fn results(&self) -> impl Iterator<Item = (CacheKey, ResultId)> {
        self.records.iter().map(|entry| (entry.key, entry.record.result))
    }

    /// One part in place of several, given from the oldest to the newest: of several results under one
    /// key the newest stays, and of the layers those that its records name.
    pub fn merged(parts: Vec<Self>) -> Self {
        let mut layers = BTreeMap::new();
        let mut records: BTreeMap<CacheKey, Record> = BTreeMap::new();
        for part in parts {
            layers.extend(part.layers);
            records.extend(part.records.into_iter().map(|entry| (entry.key, entry.record)));
        }
        let mut records: Vec<Entry> =
            records.into_iter().map(|(key, record)| Entry { key, record }).collect();
        records.sort_by_key(|entry| std::cmp::Reverse(entry.record.created));
        records.truncate(RECORDS_AT_MOST);
        let named: BTreeSet<&LayerId> =
            records.iter().flat_map(|entry| &entry.record.outputs).flat_map(|snapshot| &snapshot.0).collect();
        layers.retain(|id, _| named.contains(id));
        Self { format: FORMAT, layers, records }
    }

    /// Its manifest, over a config that is stored under this descriptor.
    pub fn manifest(&self, config: Descriptor) -> Document<Manifest> {
        let mut seen = BTreeSet::new();
        let blobs = self.layers.values().map(|layer| layer.blob.clone());
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MediaType::OciManifest),
            config,
            layers: blobs.filter(|blob| seen.insert(blob.digest.clone())).collect(),
            annotations: BTreeMap::new(),
            other: Map::from_iter([("artifactType".to_owned(), PART_TYPE.into())]),
        };
        Document::create(MediaType::OciManifest, manifest)
    }
}

/// Decompresses a document that came from outside.
pub(super) fn decompress(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut text = Vec::new();
    let reader = zstd::Decoder::new(bytes).map_err(failed)?;
    reader.take(LARGEST + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > LARGEST {
        return Err(format!("longer than {LARGEST} bytes"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use layer_store::Snapshot;
    use oci::{Compression, DiffId, Digest};

    use super::*;

    fn layer(name: &str) -> (LayerId, PackedLayer) {
        let digest = Digest::sha256(name.as_bytes());
        let blob = Descriptor::new(MediaType::OciLayer(Compression::Gzip), digest.clone(), 7);
        let diff_id = DiffId(digest);
        let layer = PackedLayer { diff_id, blob, packing: None, content_id: None, made: Some(3) };
        (name.parse().unwrap(), layer)
    }

    fn entry(key: u8, layer: &str, created: i64) -> Entry {
        let outputs = vec![Snapshot(vec![layer.parse().unwrap()])];
        let component = layer_store::Component { name: "Exec.env.TOKEN".into(), value: "hush".into() };
        let record = Record {
            result: keys::identity(&outputs),
            outputs,
            inputs: Vec::new(),
            components: vec![component],
            content: None,
            created,
            millis: 5,
        };
        Entry { key: CacheKey([key; 32]), record }
    }

    #[test]
    fn a_document_reads_back_without_what_keys_were_made_of() {
        let part = Part::new(BTreeMap::from([layer("step-a")]), vec![entry(1, "step-a", 1)]);
        let bytes = part.encode().unwrap();
        assert_eq!(Part::decode(&bytes).unwrap(), part);
        assert!(!String::from_utf8(decompress(&bytes).unwrap()).unwrap().contains("hush"));
    }

    #[test]
    fn a_record_with_another_identity_is_left_out() {
        let mut wrong = entry(1, "step-a", 1);
        wrong.record.result = ResultId([9; 32]);
        let part = Part::new(BTreeMap::new(), vec![wrong, entry(2, "step-b", 1)]);
        let read = Part::decode(&part.encode().unwrap()).unwrap();
        assert_eq!(read.records.iter().map(|entry| entry.key.0[0]).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn damaged_documents_are_refused() {
        let whole = Part::new(BTreeMap::new(), vec![entry(1, "step-a", 1)]).encode().unwrap();
        for damaged in [&b""[..], b"{}", &whole[..whole.len() / 2]] {
            assert!(Part::decode(damaged).is_err());
        }
        let other = zstd::encode_all(&br#"{"format":2,"layers":{},"records":[]}"#[..], 1).unwrap();
        assert_eq!(Part::decode(&other).unwrap_err(), "format 2 is unknown");
        let bomb = zstd::encode_all(std::io::repeat(b' ').take(LARGEST + 2), 1).unwrap();
        assert!(Part::decode(&bomb).unwrap_err().starts_with("longer than"));
    }

    #[test]
    fn merging_keeps_the_newest_result_and_what_it_names() {
        let old = Part::new(BTreeMap::from([layer("step-a"), layer("step-b")]), {
            vec![entry(1, "step-a", 1), entry(2, "step-b", 1)]
        });
        let new = Part::new(BTreeMap::from([layer("step-c")]), vec![entry(1, "step-c", 2)]);
        let merged = Part::merged(vec![old, new]);
        let names: Vec<&str> = merged.layers.keys().map(LayerId::as_str).collect();
        assert_eq!(names, ["step-b", "step-c"]);
        assert_eq!(merged.records.len(), 2);
    }
}
