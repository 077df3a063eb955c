//! What the templates of `inspect --format` may name.

use builder::toolchain::{Inspected, InspectedConfig, Place};
use serde_json::{Value, json};

/// The config's fields, or else skopeo's fields of an image together with buildx's.
pub fn of(place: &Place, found: &Inspected, tags: &[String], config_alone: bool) -> Value {
    let config = match &found.config {
        InspectedConfig::Image(config) => serde_json::to_value(config.parsed()).unwrap_or_default(),
        InspectedConfig::Artifact(raw) => serde_json::from_slice(raw).unwrap_or_default(),
    };
    if config_alone {
        return config;
    }
    let name = match place {
        Place::Registry(name) | Place::Either(name) | Place::Store(name) => Some(name),
        Place::Layout { .. }
        | Place::LayoutArchive { .. }
        | Place::DockerArchive { .. }
        | Place::Directory(_) => None,
    };
    let layers = found.manifest.as_ref().map(|manifest| manifest.parsed().layers.as_slice());
    let layers = layers.unwrap_or_default();
    let document = found.top.as_ref().and_then(|top| serde_json::from_slice::<Value>(top).ok());
    let mut manifest = document.unwrap_or_else(|| json!({}));
    manifest["mediaType"] = json!(found.resolved.media_type);
    manifest["digest"] = json!(found.resolved.digest);
    manifest["size"] = json!(found.resolved.size);
    let of_layer = |layer: &oci::Descriptor| {
        json!({
            "MIMEType": layer.media_type, "Digest": layer.digest, "Size": layer.size,
            "Annotations": layer.annotations,
        })
    };
    json!({
        "Name": name.map(|name| name.repository().to_string()).unwrap_or_default(),
        "Tag": name.and_then(|name| name.tag()).unwrap_or_default(),
        "Digest": found.resolved.digest,
        "RepoTags": tags,
        "Created": config["created"],
        "DockerVersion": config["docker_version"].as_str().unwrap_or_default(),
        "Labels": config["config"]["Labels"],
        "Architecture": config["architecture"],
        "Variant": config["variant"].as_str().unwrap_or_default(),
        "Os": config["os"],
        "Layers": layers.iter().map(|layer| &layer.digest).collect::<Vec<_>>(),
        "LayersData": layers.iter().map(of_layer).collect::<Vec<_>>(),
        "Env": config["config"]["Env"],
        "Manifest": manifest,
        "Image": config,
    })
}
