//! The small files that tell scripts what came out.

use std::io::Write;
use std::path::Path;

use oci::Reference;
use serde_json::{Map, Value, json};

use super::error::ExportError;
use super::request::Exported;
use super::unfinished::UnfinishedFile;

/// Writes the image id.
pub(super) fn write_iidfile(path: &Path, exported: &Exported) -> Result<(), ExportError> {
    match &exported.image_id {
        Some(id) => write(path, id.to_string().as_bytes()),
        None => Ok(()),
    }
}

/// Writes the description.
pub(super) fn write_metadata(path: &Path, exported: &Exported, build: &str) -> Result<(), ExportError> {
    let text = serde_json::to_vec_pretty(&describe(exported, build))
        .unwrap_or_else(|error| unreachable!("plain data: {error}"));
    write(path, &text)
}

/// The description, with the keys that buildx uses. There a build's name has a builder and a node before it.
fn describe(exported: &Exported, build: &str) -> Value {
    let mut all = Map::new();
    if !build.is_empty() {
        all.insert("buildx.build.ref".to_owned(), json!(format!("default/default/{build}")));
    }
    if let Some(id) = &exported.image_id {
        all.insert("containerimage.config.digest".to_owned(), json!(id));
    }
    if let Some(descriptor) = &exported.descriptor {
        all.insert("containerimage.descriptor".to_owned(), json!(descriptor));
        all.insert("containerimage.digest".to_owned(), json!(descriptor.digest));
    }
    if !exported.names.is_empty() {
        let names: Vec<String> = exported.names.iter().map(Reference::to_string).collect();
        all.insert("image.name".to_owned(), json!(names.join(",")));
    }
    Value::Object(all)
}

/// Writes a whole file; a failure leaves nothing.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), ExportError> {
    let mut file = UnfinishedFile::create(path)?;
    file.write_all(content).map_err(|source| ExportError::io(path, source))?;
    file.finish()
}

#[cfg(test)]
mod tests {
    use oci::{Descriptor, Digest, MediaType};

    use super::*;

    #[test]
    fn the_keys_scripts_look_for() {
        let digest = Digest::sha256("x");
        let exported = Exported {
            image_id: Some(digest.clone()),
            descriptor: Some(Descriptor::new(MediaType::OciManifest, digest.clone(), 1)),
            images: Vec::new(),
            names: vec!["a:1".parse().unwrap(), "b".parse().unwrap()],
            pushed: Vec::new(),
        };
        let value = describe(&exported, "01a2");
        assert_eq!(value["buildx.build.ref"], "default/default/01a2");
        assert_eq!(value["containerimage.config.digest"], json!(digest));
        assert_eq!(value["containerimage.digest"], json!(digest));
        assert_eq!(value["containerimage.descriptor"]["size"], 1);
        assert_eq!(value["image.name"], "docker.io/library/a:1,docker.io/library/b:latest");
        assert_eq!(describe(&Exported::default(), ""), json!({}));
    }
}
