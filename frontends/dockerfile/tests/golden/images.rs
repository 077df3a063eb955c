//! The base images of the conformance cases: their configs.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use graph::ImageFacts;
use oci::{Platform, Reference};
use serde_json::Value;

/// Configs by image name.
pub struct Images(BTreeMap<String, ImageFacts>);

type Blobs = BTreeMap<String, Vec<u8>>;

impl Images {
    pub fn load(conformance: &Path) -> Self {
        let mut images = Self(BTreeMap::new());
        let mut layouts = BTreeMap::new();
        for name in ["busybox", "alpine", "debian"] {
            let facts = facts(&directory(&conformance.join("images").join(name)));
            layouts.insert(name, facts.clone());
            for tag in ["latest", "3", "bookworm", "stable"] {
                images.add(&format!("{name}:{tag}"), facts.clone());
            }
        }
        for (name, base) in [("ubuntu", "debian"), ("fedora", "debian"), ("centos", "debian")] {
            images.add(&format!("{name}:latest"), layouts[base].clone());
        }
        let aliases: Value = serde_json::from_slice(
            &std::fs::read(conformance.join("aliases.json")).expect("aliases are readable"),
        )
        .expect("aliases are JSON");
        for (names, tags) in aliases.as_object().into_iter().flatten() {
            let (name, base) = names.split_once('=').expect("NAME=BASE");
            for tag in tags.as_array().into_iter().flatten().filter_map(Value::as_str) {
                let name = name.strip_prefix("library/").unwrap_or(name);
                images.add(&format!("{name}:{tag}"), layouts[base].clone());
            }
        }
        for suite in super::super::SUITES {
            let Ok(entries) = std::fs::read_dir(conformance.join("golden").join(suite).join("bases")) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().replace("__", "/");
                let name = name.strip_suffix(".tar").unwrap_or(&name).to_owned();
                images.add(&name, facts(&archive(&entry.path())));
            }
        }
        images
    }

    fn add(&mut self, name: &str, facts: ImageFacts) {
        let reference: Reference = name.parse().expect("an image name");
        self.0.insert(reference.to_string(), facts);
    }

    /// What a name stands for. Tags that are not here stand for the same image as `latest`.
    pub fn facts(&self, reference: &Reference, _platform: &Platform) -> Option<ImageFacts> {
        let latest = || reference.repository().with_tag("latest").ok().map(|latest| latest.to_string());
        self.0.get(&reference.to_string()).or_else(|| self.0.get(&latest()?)).cloned()
    }
}

fn directory(layout: &Path) -> Blobs {
    let mut blobs = Blobs::new();
    let blob_files = std::fs::read_dir(layout.join("blobs/sha256")).expect("a layout").flatten();
    for entry in blob_files.filter(|entry| entry.metadata().is_ok_and(|data| data.len() < 100_000)) {
        let name = format!("blobs/sha256/{}", entry.file_name().to_string_lossy());
        blobs.insert(name, std::fs::read(entry.path()).expect("readable"));
    }
    blobs.insert("index.json".to_owned(), std::fs::read(layout.join("index.json")).expect("readable"));
    blobs
}

fn archive(path: &Path) -> Blobs {
    let mut blobs = Blobs::new();
    let mut archive = tar::Archive::new(std::fs::File::open(path).expect("readable"));
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("readable");
        blobs.insert(name, content);
    }
    blobs
}

fn facts(blobs: &Blobs) -> ImageFacts {
    let blob =
        |digest: &Value| &blobs[&format!("blobs/{}", digest.as_str().expect("a digest").replace(':', "/"))];
    let json = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).expect("JSON") };
    let index = json(&blobs["index.json"]);
    let mut descriptor = index["manifests"][0].clone();
    let mut manifest = json(blob(&descriptor["digest"]));
    while manifest.get("manifests").is_some() {
        descriptor = manifest["manifests"][0].clone();
        manifest = json(blob(&descriptor["digest"]));
    }
    let config = serde_json::from_slice(blob(&manifest["config"]["digest"])).expect("a config");
    let descriptor: oci::Descriptor = serde_json::from_value(descriptor).expect("a descriptor");
    ImageFacts { manifest: descriptor.clone(), resolved: descriptor, config }
}
