//! Names of images, and the store as an image layout.

use layer_store::{Packing, Snapshot, StoredImage, StoredVariant};
use oci::{Compression, Descriptor, Document, Index, Manifest, MediaType, Platform, Reference};

use crate::support::{layer_of, place};

#[test]
fn names_and_layout() {
    let place = place();
    let layer = layer_of(&place.lease, &Snapshot::default(), &[("a", "1")]);
    let gzip = Packing { compression: Compression::Gzip, ..Packing::PLAIN };
    let packed = place.lease.pack(&layer, &Snapshot::default(), &gzip).unwrap();
    let config = Descriptor::new(MediaType::OciConfig, place.lease.put_blob(b"{}").unwrap(), 2);
    let manifest = Document::create(
        MediaType::OciManifest,
        Manifest {
            schema_version: 2,
            media_type: Some(MediaType::OciManifest),
            config: config.clone(),
            layers: vec![packed.descriptor()],
            annotations: Default::default(),
            other: Default::default(),
        },
    );
    let name: Reference = "registry.example:5000/a/b:v1".parse().unwrap();
    let other: Reference = "registry.example/other".parse().unwrap();
    let variant = StoredVariant {
        platform: Platform::host(),
        config,
        manifest: Some(manifest.descriptor().clone()),
        snapshot: Snapshot(vec![layer]),
    };
    let image = StoredImage { created: 7, index: None, variants: vec![variant] };
    let listed = || {
        let text = std::fs::read(place.store.root().join("index.json")).unwrap();
        serde_json::from_slice::<Index>(&text).unwrap().manifests
    };
    place.store.tag(&name, &image).unwrap();
    assert_eq!(place.store.image(&name).unwrap().as_ref(), Some(&image));
    assert!(listed().is_empty(), "the manifest is no blob yet");
    place.lease.put_blob(manifest.raw()).unwrap();
    place.store.tag(&other, &image).unwrap();
    assert_eq!(listed().len(), 2);
    assert_eq!(listed()[0].digest, manifest.descriptor().digest);
    assert_eq!(place.store.images().unwrap().len(), 2);
    assert!(place.store.untag(&other).unwrap());
    assert!(!place.store.untag(&other).unwrap());
    assert_eq!(listed().len(), 1);
    assert!(place.store.image(&other).unwrap().is_none());
}
