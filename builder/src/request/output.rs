//! Outputs: what is made of a build's result.

use std::path::PathBuf;

use oci::{Compression, Reference};
use registry_client::EngineAddress;

use super::Annotations;

/// One output (`--output`).
#[derive(Clone, Debug)]
pub struct Output {
    /// What kind, and where to.
    pub kind: OutputKind,
    /// How new layers are packed, where they are packed.
    pub compression: CompressionChoice,
    /// Names of its own (`name=`), instead of the request's tags.
    pub names: Vec<Reference>,
    /// `true`: OCI media types; `false`: Docker's.
    pub oci_media_types: bool,
    /// What becomes of the times in new layers, where there is an epoch.
    pub rewrite: Rewrite,
    /// Epoch of this output (`source-date-epoch=`), instead of the request's.
    pub source_date_epoch: Option<i64>,
    /// Annotations of its documents.
    pub annotations: Annotations,
    /// What becomes of layers that may not be distributed.
    pub foreign_layers: ForeignLayers,
    /// Where the attestations of an image for one platform are.
    pub attestation_place: AttestationPlace,
    /// The form of attestations in an index.
    pub attestation_form: AttestationForm,
}

impl Output {
    /// Its own names, or where it has none the ones of the whole build.
    pub fn names_or<'a>(&'a self, tags: &'a [Reference]) -> &'a [Reference] {
        if self.names.is_empty() { tags } else { &self.names }
    }

    /// One with the usual choices.
    pub fn new(kind: OutputKind) -> Self {
        Self {
            kind,
            compression: CompressionChoice::default(),
            names: Vec::new(),
            oci_media_types: true,
            rewrite: Rewrite::No,
            source_date_epoch: None,
            annotations: Annotations::default(),
            foreign_layers: ForeignLayers::Convert,
            attestation_place: AttestationPlace::Referrer,
            attestation_form: AttestationForm::Image,
        }
    }
}

/// Where the attestations of an image for one platform are. Those of several are in their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttestationPlace {
    /// Beside it: a manifest that refers to it, and the image stays a plain manifest.
    Referrer,
    /// In an index with it (`attestation-inline=true`).
    Index,
}

/// The form of attestations in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttestationForm {
    /// As an image of no platform.
    Image,
    /// As an artifact that refers to the image (`oci-artifact=true`).
    Artifact,
}

/// What becomes of the times in new layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// They stay.
    No,
    /// None is later than the epoch (`rewrite-timestamp=true`).
    NotAfter,
    /// All are the epoch (`--timestamp`).
    Exactly,
}

/// Kinds of outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// An image in the store, and in the registry when `push`.
    Image(ImageOutput),
    /// An OCI layout.
    Oci(Destination, Layout),
    /// A docker-archive (`docker save`), which is also an OCI layout.
    Docker(Destination),
    /// An image in a Docker engine.
    Load(EngineAddress),
    /// The files, in a directory.
    Local(PathBuf, LocalMode, TreeOptions),
    /// The files, as a tar.
    Tar(Destination, TreeOptions),
    /// Nothing; the result stays in the cache.
    CacheOnly,
}

/// What becomes of an image in the store and in registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageOutput {
    /// Push it.
    pub push: Push,
    /// Keep it in the store (`store=false` does not).
    pub store: Keep,
    /// Whether each name is given once more, with the digest (`name-canonical=true`).
    pub canonical: ExtraName,
    /// A name by digest of its own.
    pub dangling: Option<Dangling>,
}

impl Default for ImageOutput {
    fn default() -> Self {
        Self { push: Push::No, store: Keep::Yes, canonical: ExtraName::No, dangling: None }
    }
}

/// Whether a name by digest is given, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraName {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// A name that has a digest and no tag (`dangling-name-prefix=`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dangling {
    /// The name before the digest.
    pub prefix: Reference,
    /// Also where the image has other names (not with `danging-name-empty-only=true`).
    pub beside_others: ExtraName,
}

/// What becomes of layers that may not be distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignLayers {
    /// They become ordinary layers.
    Convert,
    /// They keep their media types (`prefer-nondist-layers=true`).
    Keep,
}

/// What becomes of files that stand in the directory of a `type=local` output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalMode {
    /// They stay, unless the build has a file of that name (`mode=copy`).
    Copy,
    /// They go (`mode=delete`).
    Delete,
}

/// How trees are laid out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeOptions {
    /// Whether each platform has a directory.
    pub split: PlatformSplit,
    /// What the names of attestation files begin with (`attestation-prefix=`).
    pub attestation_prefix: String,
}

/// Whether each platform has a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlatformSplit {
    /// Where there are several.
    #[default]
    Several,
    /// Always (`platform-split=true`).
    Always,
    /// Never (`platform-split=false`).
    Never,
}

/// Whether an image is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// It is not.
    No,
    /// Under its names.
    ByName,
    /// Only under its digest.
    ByDigest,
}

/// Whether an image is kept in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// The form of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One tar file.
    Archive,
    /// A directory (`tar=false`).
    Directory,
}

/// Where a stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A path. Written beside it first, then renamed: a failed build leaves nothing.
    Path(PathBuf),
    /// Standard output (`dest=-`).
    Stdout,
}

/// How new layers are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionChoice {
    /// The form.
    pub form: Compression,
    /// Level in the form's own scale; `None` is its default.
    pub level: Option<i32>,
    /// Pack layers of the base again, too (`force-compression=true`).
    pub force: bool,
    /// Whether files can be found in a layer without reading all of it.
    pub index: LayerIndex,
}

/// Whether a layer says where its files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerIndex {
    /// It does not.
    None,
    /// As eStargz, a form of gzip (`compression=estargz`).
    Estargz,
}

impl Default for CompressionChoice {
    fn default() -> Self {
        Self { form: Compression::Gzip, level: None, force: false, index: LayerIndex::None }
    }
}
