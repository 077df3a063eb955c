//! What a build is asked to do, and what it gives back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use graph::{Known, Step};
use layer_store::{Snapshot, StackView};
use oci::{Compression, Descriptor, Digest, Platform, Reference};

/// The frontend: a pure function, called again with more facts.
pub type Frontend = Box<dyn Fn(&Known) -> Result<Step, Vec<graph::Diagnostic>> + Send + Sync>;

/// Everything one build is asked to do.
pub struct BuildRequest {
    /// Turns the build file into a graph.
    pub frontend: Frontend,
    /// Local directories by name. The build file's directory is `ContextName::BuildFile`.
    pub contexts: BTreeMap<graph::ContextName, LocalContext>,
    /// How permission bits of local directories are taken.
    pub context_metadata: ContextMetadata,
    /// What was asked for, for explanations.
    pub asked: crate::history::Asked,
    /// Secrets by id.
    pub secrets: BTreeMap<String, SecretSource>,
    /// ssh agent sockets by id (`default`).
    pub ssh: BTreeMap<String, PathBuf>,
    /// Directories with descriptions of devices (CDI), the last of which counts most.
    pub device_directories: Vec<PathBuf>,
    /// What to make of the result; several share layers and blobs.
    pub outputs: Vec<Output>,
    /// Image names for outputs that have none of their own (`-t`).
    pub tags: Vec<Reference>,
    /// When names are resolved at the registry.
    pub pull: PullPolicy,
    /// Steps at once; `None`: by the number of processors.
    pub jobs: Option<usize>,
    /// Use no recorded results.
    pub no_cache: bool,
    /// The network of the steps.
    pub network: StepNetwork,
    /// What each step may use of the machine; never part of a key.
    pub limits: runtime_exec::Limits,
    /// The index form even for a single platform.
    pub force_index: bool,
    /// `SOURCE_DATE_EPOCH`: seconds since 1970 that `created` times are set to.
    pub source_date_epoch: Option<i64>,
    /// Write the image id here.
    pub iidfile: Option<PathBuf>,
    /// Write a JSON description of the result here.
    pub metadata_file: Option<PathBuf>,
    /// Write the build as a timeline here, in the trace-event form.
    pub profile: Option<PathBuf>,
}

/// How permission bits of local directories are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContextMetadata {
    /// As they are.
    #[default]
    AsIs,
    /// As git records them: 0755 for directories and for files that their owner may execute, else
    /// 0644. The umask of a checkout then changes nothing.
    Git,
}

/// The network of the steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepNetwork {
    /// What steps get that name none.
    pub default: runtime_exec::NetworkMode,
    /// Resolvers instead of the host's; none: the host's.
    pub dns: Vec<std::net::IpAddr>,
}

impl Default for StepNetwork {
    fn default() -> Self {
        Self { default: runtime_exec::NetworkMode::Host, dns: Vec::new() }
    }
}

/// A local context.
#[derive(Clone, Debug)]
pub enum LocalContext {
    /// A directory.
    Directory(PathBuf),
    /// Files given by value (a build file from standard input); nothing else is in it.
    Memory(BTreeMap<String, bytes::Bytes>),
    /// A tree of the store: a context that was fetched or unpacked. Owners and modes are those of
    /// the tree, and there are no ignore rules.
    Layers {
        /// Its layers.
        snapshot: Snapshot,
        /// The same, opened.
        view: StackView,
    },
}

/// Where a secret comes from. The value is read when the build starts and never printed.
#[derive(Clone)]
pub enum SecretSource {
    /// A file.
    File(PathBuf),
    /// A value (from an environment variable, which only the binary reads).
    Value(Secret),
}

/// Bytes that must not be shown.
#[derive(Clone)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// When image names are resolved at the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// The store's image first, else the registry.
    #[default]
    Missing,
    /// Always ask the registry (`--pull`).
    Always,
    /// Never ask it (`--pull=never`).
    Never,
}

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
    /// Clamp the times in new layers to the epoch (`rewrite-timestamp=true`).
    pub rewrite_timestamp: bool,
    /// Epoch of this output (`source-date-epoch=`), instead of the request's.
    pub source_date_epoch: Option<i64>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
}

/// Kinds of outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// An image in the store, and in the registry when `push`.
    Image {
        /// Push it.
        push: Push,
        /// Keep it in the store (`store=false` does not).
        store: Keep,
    },
    /// An OCI layout.
    Oci(Destination, Layout),
    /// A docker-archive (`docker save`), which is also an OCI layout.
    Docker(Destination),
    /// The files, in a directory.
    Local(PathBuf),
    /// The files, as a tar.
    Tar(Destination),
    /// Nothing; the result stays in the cache.
    CacheOnly,
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
}

impl Default for CompressionChoice {
    fn default() -> Self {
        Self { form: Compression::Gzip, level: None, force: false }
    }
}

/// What came out.
#[derive(Clone, Debug)]
pub struct BuildOutcome {
    /// The config digest of the first platform's image: docker's image id.
    pub image_id: Option<Digest>,
    /// The manifest or index that was exported, where one was.
    pub descriptor: Option<Descriptor>,
    /// One for each platform.
    pub images: Vec<BuiltImage>,
    /// Names it was given.
    pub names: Vec<Reference>,
    /// Steps that ran, and that were found in the cache.
    pub steps: StepCounts,
    /// What became of each step.
    pub build: crate::history::Build,
    /// Warnings of the frontend.
    pub warnings: Vec<graph::Diagnostic>,
    /// Entitlements that were used.
    pub entitlements: BTreeSet<String>,
}

/// One platform's image.
#[derive(Clone, Debug)]
pub struct BuiltImage {
    /// The platform.
    pub platform: Platform,
    /// The config's digest.
    pub config: Digest,
}

/// How many steps ran and did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepCounts {
    /// Ran.
    pub ran: usize,
    /// Found.
    pub cached: usize,
}
