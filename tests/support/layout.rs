//! OCI layouts, read without any of our own code.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A layout directory.
pub struct LayoutDir(pub PathBuf);

impl LayoutDir {
    /// `index.json`.
    pub fn index(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.0.join("index.json")).unwrap()).unwrap()
    }

    /// Path of the blob that a descriptor names.
    pub fn path(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().unwrap();
        self.0.join("blobs").join(digest.replace(':', "/"))
    }

    /// Bytes of the blob, compared with the descriptor.
    pub fn bytes(&self, descriptor: &Value) -> Vec<u8> {
        let bytes = std::fs::read(self.path(descriptor)).unwrap();
        assert_eq!(bytes.len() as u64, descriptor["size"].as_u64().unwrap(), "{descriptor}");
        assert_eq!(descriptor["digest"].as_str().unwrap(), sha256(&bytes), "{descriptor}");
        bytes
    }

    /// The document that a descriptor names.
    pub fn json(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(&self.bytes(descriptor)).unwrap()
    }

    /// What the first entry names.
    pub fn top(&self) -> Value {
        self.json(&self.index()["manifests"][0])
    }
}

/// `sha256:…` of some bytes.
pub fn sha256(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A layout that a build wrote.
pub fn layout(path: &Path) -> LayoutDir {
    LayoutDir(path.to_owned())
}
