//! Media types of both families.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a layer's tar is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// zstd (RFC 8878).
    Zstd,
}

/// What the bytes under a descriptor are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum MediaType {
    /// `application/vnd.oci.image.manifest.v1+json`
    OciManifest,
    /// `application/vnd.oci.image.index.v1+json`
    OciIndex,
    /// `application/vnd.oci.image.config.v1+json`
    OciConfig,
    /// `application/vnd.oci.image.layer.v1.tar…`
    OciLayer(Compression),
    /// `application/vnd.oci.image.layer.nondistributable.v1.tar…`
    OciForeignLayer(Compression),
    /// `application/vnd.oci.empty.v1+json`
    OciEmpty,
    /// `application/vnd.docker.distribution.manifest.v2+json`
    DockerManifest,
    /// `application/vnd.docker.distribution.manifest.list.v2+json`
    DockerList,
    /// `application/vnd.docker.container.image.v1+json`
    DockerConfig,
    /// `application/vnd.docker.image.rootfs.diff.tar…`
    DockerLayer(Compression),
    /// `application/vnd.docker.image.rootfs.foreign.diff.tar…`
    DockerForeignLayer(Compression),
    /// Anything else, kept as it was.
    Other(String),
}

/// How the media types of encrypted layers end.
const ENCRYPTED: &str = "+encrypted";

const TABLE: &[(MediaType, &str)] = &[
    (MediaType::OciManifest, "application/vnd.oci.image.manifest.v1+json"),
    (MediaType::OciIndex, "application/vnd.oci.image.index.v1+json"),
    (MediaType::OciConfig, "application/vnd.oci.image.config.v1+json"),
    (MediaType::OciLayer(Compression::None), "application/vnd.oci.image.layer.v1.tar"),
    (MediaType::OciLayer(Compression::Gzip), "application/vnd.oci.image.layer.v1.tar+gzip"),
    (MediaType::OciLayer(Compression::Zstd), "application/vnd.oci.image.layer.v1.tar+zstd"),
    (
        MediaType::OciForeignLayer(Compression::None),
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
    ),
    (
        MediaType::OciForeignLayer(Compression::Gzip),
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ),
    (
        MediaType::OciForeignLayer(Compression::Zstd),
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    ),
    (MediaType::OciEmpty, "application/vnd.oci.empty.v1+json"),
    (MediaType::DockerManifest, "application/vnd.docker.distribution.manifest.v2+json"),
    (MediaType::DockerList, "application/vnd.docker.distribution.manifest.list.v2+json"),
    (MediaType::DockerConfig, "application/vnd.docker.container.image.v1+json"),
    (MediaType::DockerLayer(Compression::None), "application/vnd.docker.image.rootfs.diff.tar"),
    (MediaType::DockerLayer(Compression::Gzip), "application/vnd.docker.image.rootfs.diff.tar.gzip"),
    (MediaType::DockerLayer(Compression::Zstd), "application/vnd.docker.image.rootfs.diff.tar.zstd"),
    (
        MediaType::DockerForeignLayer(Compression::None),
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ),
    (
        MediaType::DockerForeignLayer(Compression::Gzip),
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ),
    (
        MediaType::DockerForeignLayer(Compression::Zstd),
        "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd",
    ),
];

impl MediaType {
    /// Its text.
    pub fn as_str(&self) -> &str {
        if let Self::Other(text) = self {
            return text;
        }
        TABLE.iter().find(|(known, _)| known == self).map_or("", |(_, text)| text)
    }

    /// Of a Content-Type header: parameters and letter case do not matter.
    pub fn from_content_type(header: &str) -> Self {
        let (kind, _) = header.split_once(';').unwrap_or((header, ""));
        Self::from(kind.trim().to_ascii_lowercase())
    }

    /// A manifest of one image.
    pub fn is_manifest(&self) -> bool {
        matches!(self, Self::OciManifest | Self::DockerManifest)
    }

    /// An index or manifest list.
    pub fn is_index(&self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerList)
    }

    /// An image config.
    pub fn is_config(&self) -> bool {
        matches!(self, Self::OciConfig | Self::DockerConfig)
    }

    /// A layer, foreign ones included.
    pub fn is_layer(&self) -> bool {
        self.compression().is_some()
    }

    /// A layer that may not be distributed.
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::OciForeignLayer(_) | Self::DockerForeignLayer(_))
    }

    /// How a layer is packed; `None` for what is no layer.
    pub fn compression(&self) -> Option<Compression> {
        match self {
            Self::OciLayer(how)
            | Self::OciForeignLayer(how)
            | Self::DockerLayer(how)
            | Self::DockerForeignLayer(how) => Some(*how),
            Self::OciManifest
            | Self::OciIndex
            | Self::OciConfig
            | Self::OciEmpty
            | Self::DockerManifest
            | Self::DockerList
            | Self::DockerConfig
            | Self::Other(_) => None,
        }
    }

    /// An encrypted layer of this kind, in the OCI family; `None` for what is no layer.
    pub fn encrypted(&self) -> Option<Self> {
        self.is_layer().then(|| Self::Other(format!("{}{ENCRYPTED}", self.to_oci())))
    }

    /// What an encrypted layer is in plain text; `None` for what is none.
    pub fn decrypted(&self) -> Option<Self> {
        let Self::Other(text) = self else { return None };
        Some(Self::from(text.strip_suffix(ENCRYPTED)?)).filter(Self::is_layer)
    }

    /// The same thing in the OCI family.
    #[must_use]
    pub fn to_oci(&self) -> Self {
        match self {
            Self::DockerManifest => Self::OciManifest,
            Self::DockerList => Self::OciIndex,
            Self::DockerConfig => Self::OciConfig,
            Self::DockerLayer(how) => Self::OciLayer(*how),
            Self::DockerForeignLayer(how) => Self::OciForeignLayer(*how),
            Self::OciManifest
            | Self::OciIndex
            | Self::OciConfig
            | Self::OciLayer(_)
            | Self::OciForeignLayer(_)
            | Self::OciEmpty
            | Self::Other(_) => self.clone(),
        }
    }

    /// The same thing in Docker's family.
    #[must_use]
    pub fn to_docker(&self) -> Self {
        match self {
            Self::OciManifest => Self::DockerManifest,
            Self::OciIndex => Self::DockerList,
            Self::OciConfig => Self::DockerConfig,
            Self::OciLayer(how) => Self::DockerLayer(*how),
            Self::OciForeignLayer(how) => Self::DockerForeignLayer(*how),
            Self::DockerManifest
            | Self::DockerList
            | Self::DockerConfig
            | Self::DockerLayer(_)
            | Self::DockerForeignLayer(_)
            | Self::OciEmpty
            | Self::Other(_) => self.clone(),
        }
    }
}

impl From<String> for MediaType {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        TABLE
            .iter()
            .find(|(_, known)| *known == text)
            .map_or_else(|| Self::Other(text.to_owned()), |(known, _)| known.clone())
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> Self {
        media_type.as_str().to_owned()
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
