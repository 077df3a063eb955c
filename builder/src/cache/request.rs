//! Sources and destinations of the remote cache, as they are asked for.

use std::path::PathBuf;

use oci::{Digest, Reference, Repository};

use crate::request::CompressionChoice;

/// Where recorded results come from (`--cache-from`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheSource {
    /// A cache in a registry, or an image with a cache inside.
    Registry(Reference),
    /// An OCI layout.
    Local {
        /// Its directory.
        directory: PathBuf,
        /// Which of its entries.
        pick: Pick,
    },
}

/// Which entries of a layout are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pick {
    /// Those with a tag.
    Tag(String),
    /// The one with a digest.
    Digest(Digest),
}

/// Where results are recorded for others (`--cache-to`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheTarget {
    /// Where.
    pub destination: CacheDestination,
    /// Which layers.
    pub mode: CacheMode,
    /// How layers are packed.
    pub compression: CompressionChoice,
    /// What a fault does.
    pub on_fault: OnFault,
}

impl CacheTarget {
    /// The image itself.
    pub fn inline() -> Self {
        let (mode, compression) = (CacheMode::Min, CompressionChoice::default());
        Self { destination: CacheDestination::Inline, mode, compression, on_fault: OnFault::Warn }
    }

    /// The repository it goes to; `None`: to none.
    pub fn repository(&self) -> Option<Repository> {
        match &self.destination {
            CacheDestination::Registry(reference) => Some(reference.repository().clone()),
            CacheDestination::Local { .. } | CacheDestination::Inline => None,
        }
    }
}

/// Kinds of destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheDestination {
    /// A name in a registry.
    Registry(Reference),
    /// An OCI layout.
    Local {
        /// Its directory.
        directory: PathBuf,
        /// The tag of the entries.
        tag: String,
        /// What becomes of what earlier builds wrote there.
        earlier: Earlier,
    },
    /// Inside the image that is exported.
    Inline,
}

/// What becomes of the results of earlier builds in a layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Earlier {
    /// They stay.
    #[default]
    Stays,
    /// Under the tag there is what this build used, and blobs that no entry of the layout leads to are removed
    /// (`reset=true`).
    Goes,
}

/// Which layers a cache holds. The records are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// Those of the result.
    #[default]
    Min,
    /// Those of all steps.
    Max,
}

/// What a fault of a destination does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFault {
    /// It is told (`ignore-error=true`).
    #[default]
    Warn,
    /// The build fails (`ignore-error=false`).
    Fail,
}
