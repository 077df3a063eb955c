//! A part inside the config of an image: records, and which layer of the image is which.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use layer_store::{LayerId, PackedLayer, Record, Snapshot};
use oci::{ImageConfig, Manifest};
use serde::{Deserialize, Serialize};

use super::document::{Entry, Part, decompress};

/// The field of the config.
const FIELD: &str = "rbuild.cache.v1";
/// The field that BuildKit writes.
const FIELD_OF_BUILDKIT: &str = "moby.buildkit.cache.v0";

/// What an image's config holds.
#[derive(Debug, PartialEq)]
pub(super) enum Inline {
    /// No cache.
    Nothing,
    /// A cache that BuildKit wrote.
    OfBuildKit,
    /// A part.
    Part(Part),
}

#[derive(Serialize, Deserialize)]
struct Text {
    format: u32,
    /// By position in the image; none for layers of the base.
    layers: Vec<Option<Named>>,
    records: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Named {
    id: LayerId,
    made: Option<i64>,
}

/// Writes records into a config that will be exported with this snapshot.
pub(crate) fn write(
    config: &mut ImageConfig,
    made: &dyn Fn(&LayerId) -> Option<i64>,
    snapshot: &Snapshot,
    records: Vec<(layer_store::CacheKey, Record)>,
) -> std::io::Result<()> {
    let named = |id: &LayerId| (!id.names_content()).then(|| Named { id: id.clone(), made: made(id) });
    let records = records.into_iter().map(|(key, record)| Entry { key, record }).collect();
    let text = Text {
        format: 1,
        layers: snapshot.0.iter().map(named).collect(),
        records: Part::new(BTreeMap::new(), records).records,
    };
    let packed = zstd::encode_all(serde_json::to_vec(&text)?.as_slice(), 9)?;
    config.other.insert(FIELD.to_owned(), STANDARD.encode(packed).into());
    Ok(())
}

/// Reads what the config of an image holds.
pub(super) fn read(config: &ImageConfig, manifest: &Manifest) -> Result<Inline, String> {
    let Some(field) = config.other.get(FIELD) else {
        let other = config.other.contains_key(FIELD_OF_BUILDKIT);
        return Ok(if other { Inline::OfBuildKit } else { Inline::Nothing });
    };
    let packed = field.as_str().and_then(|text| STANDARD.decode(text).ok());
    let packed = packed.ok_or_else(|| format!("{FIELD} is not base64"))?;
    let text: Text = serde_json::from_slice(&decompress(&packed)?).map_err(|error| error.to_string())?;
    if text.format != 1 {
        return Err(format!("format {} is unknown", text.format));
    }
    let places = text.layers.into_iter().zip(&config.rootfs.diff_ids).zip(&manifest.layers);
    let layers = places.filter_map(|((named, diff_id), blob)| {
        let named = named?;
        let layer = PackedLayer {
            diff_id: diff_id.clone(),
            blob: blob.clone(),
            packing: None,
            content_id: None,
            made: named.made,
        };
        Some((named.id, layer))
    });
    Ok(Inline::Part(Part::new(layers.collect(), text.records).sound()))
}
