//! Manifests and indexes. Pure.

use std::collections::BTreeMap;

use oci::{Descriptor, Document, ImageConfig, Index, Manifest, MediaType, Platform};
use serde_json::Map;

use super::{Family, LayerEntry};
use crate::request::{AnnotationPlace, Annotations, ForeignLayers};

/// How documents are written.
#[derive(Clone, Copy, Debug)]
pub struct Style<'a> {
    /// In whose media types.
    pub family: Family,
    /// With these annotations; Docker's documents have none.
    pub annotations: &'a Annotations,
    /// What becomes of layers that may not be distributed.
    pub foreign_layers: ForeignLayers,
}

impl Style<'static> {
    /// OCI's media types and nothing special.
    pub const PLAIN: Self = Self {
        family: Family::Oci,
        annotations: &Annotations(Vec::new()),
        foreign_layers: ForeignLayers::Convert,
    };
}

impl Style<'_> {
    /// The annotations of a place; Docker's documents have no such field.
    pub fn annotations(
        &self,
        place: AnnotationPlace,
        platform: Option<&Platform>,
    ) -> BTreeMap<String, String> {
        match self.family {
            Family::Oci => self.annotations.of(place, platform),
            Family::Docker => BTreeMap::new(),
        }
    }

    /// A layer as this style writes it: same blob, own media type.
    fn layer(&self, blob: Descriptor) -> Descriptor {
        let keep = blob.media_type.is_foreign() && self.foreign_layers == ForeignLayers::Keep;
        let media_type = match blob.media_type.compression() {
            Some(compression) if !keep => self.family.layer(compression),
            Some(_) | None => self.family.convert(&blob.media_type),
        };
        let annotations = match self.family {
            Family::Oci => blob.annotations,
            Family::Docker => BTreeMap::new(),
        };
        let mut layer = Descriptor { annotations, ..Descriptor::new(media_type, blob.digest, blob.size) };
        if let Some(urls) = blob.other.get("urls").filter(|_| layer.media_type.is_foreign()) {
            layer.other.insert("urls".to_owned(), urls.clone());
        }
        layer
    }
}

/// One platform's image: its documents and blobs.
#[derive(Clone, Debug)]
pub struct AssembledImage {
    /// For which platform.
    pub platform: Platform,
    /// The config.
    pub config: Document<ImageConfig>,
    /// The manifest.
    pub manifest: Document<Manifest>,
    /// Annotations of its manifest's descriptor.
    pub annotations: BTreeMap<String, String>,
}

impl AssembledImage {
    /// The manifest's descriptor, annotated.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor { annotations: self.annotations.clone(), ..self.manifest.descriptor().clone() }
    }
}

/// Config and manifest of an image.
pub fn image(
    platform: &Platform,
    config: ImageConfig,
    layers: Vec<LayerEntry>,
    style: &Style<'_>,
) -> AssembledImage {
    let config = Document::create(style.family.convert(&MediaType::OciConfig), config);
    image_with(platform, config, layers, style)
}

/// The manifest over a config that is there already.
pub fn image_with(
    platform: &Platform,
    config: Document<ImageConfig>,
    layers: Vec<LayerEntry>,
    style: &Style<'_>,
) -> AssembledImage {
    let manifest_type = style.family.convert(&MediaType::OciManifest);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(manifest_type.clone()),
        config: config.descriptor().clone(),
        layers: layers.into_iter().map(|layer| style.layer(layer.blob)).collect(),
        annotations: style.annotations(AnnotationPlace::Manifest, Some(platform)),
        other: Map::new(),
    };
    let manifest = Document::create(manifest_type, manifest);
    let annotations = style.annotations(AnnotationPlace::ManifestDescriptor, Some(platform));
    AssembledImage { platform: platform.clone(), config, manifest, annotations }
}

/// The index over several platforms, and what else stands in it after them.
pub fn index(images: &[AssembledImage], more: &[Descriptor], style: &Style<'_>) -> Document<Index> {
    let media_type = style.family.convert(&MediaType::OciIndex);
    let entry =
        |image: &AssembledImage| Descriptor { platform: Some(image.platform.clone()), ..image.descriptor() };
    let index = Index {
        schema_version: 2,
        media_type: Some(media_type.clone()),
        manifests: images.iter().map(entry).chain(more.iter().cloned()).collect(),
        annotations: style.annotations(AnnotationPlace::Index, None),
        other: Map::new(),
    };
    Document::create(media_type, index)
}
