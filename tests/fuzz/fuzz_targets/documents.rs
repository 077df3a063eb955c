//! Manifests, indexes and configs: any bytes give a document or an error.
#![no_main]

use oci::{Document, ImageConfig, Index, Manifest, MediaType};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let raw = bytes.to_vec();
    let _ = Document::<Manifest>::parse(MediaType::OciManifest, raw.clone().into());
    let _ = Document::<Index>::parse(MediaType::OciIndex, raw.clone().into());
    let _ = Document::<ImageConfig>::parse(MediaType::OciConfig, raw.into());
});
