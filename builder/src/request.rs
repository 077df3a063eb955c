//! What a build is asked to do, and what it gives back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use graph::{Known, Step};
use layer_store::{Snapshot, StackView};
use oci::{Descriptor, Digest, Platform, Reference};
use serde::{Deserialize, Serialize};

mod annotations;
mod attest;
mod output;
mod sample;

pub use annotations::{Annotation, AnnotationPlace, Annotations};
pub use attest::{AttestRequest, ProvenanceMode, ProvenanceRequest, ProvenanceVersion, SbomRequest};
pub use output::{
    AttestationForm, AttestationPlace, CompressionChoice, Dangling, Destination, ExtraName, ForeignLayers,
    ImageOutput, Keep, LayerIndex, Layout, LocalMode, Output, OutputKind, PlatformSplit, Push, Rewrite,
    TreeOptions,
};

pub use sample::{CacheSample, Percent};

use crate::cache::request::{CacheSource, CacheTarget};
use crate::ssh::AgentSource;

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
    /// What the main context was fetched from, if it is no directory.
    pub source: Option<graph::Remote>,
    /// Name of the build file.
    pub build_file_name: String,
    /// Which layers become one.
    pub squash: Squash,
    /// What is attested of the images and trees.
    pub attest: AttestRequest,
    /// Secrets by id.
    pub secrets: BTreeMap<String, SecretSource>,
    /// ssh agents by id (`default`).
    pub ssh: BTreeMap<String, AgentSource>,
    /// Directories with descriptions of devices (CDI), the last of which counts most.
    pub device_directories: Vec<PathBuf>,
    /// Where recorded results come from besides the store; the first that has one counts.
    pub cache_from: Vec<CacheSource>,
    /// Where results are recorded for others.
    pub cache_to: Vec<CacheTarget>,
    /// What to make of the result; several share layers and blobs.
    pub outputs: Vec<Output>,
    /// Image names for outputs that have none of their own (`-t`).
    pub tags: Vec<Reference>,
    /// When names are resolved at the registry.
    pub pull: PullPolicy,
    /// Steps at once; `None`: as many as the session has places for.
    pub jobs: Option<usize>,
    /// Use no recorded results.
    pub no_cache: bool,
    /// Use no results of steps that were made longer ago.
    pub cache_ttl: Option<Duration>,
    /// Which steps that were found are run again, and their results compared.
    pub verify_cache: Option<CacheSample>,
    /// What a failed step does to the others.
    pub on_failure: OnFailure,
    /// The network of the steps.
    pub network: StepNetwork,
    /// What each step may use of the machine; never part of a key.
    pub limits: runtime_exec::Limits,
    /// Devices that every step gets; never part of a key.
    pub devices: StepDevices,
    /// How long a step may run and do nothing; never part of a key.
    pub timeouts: Timeouts,
    /// How long the build may take.
    pub deadline: Option<Duration>,
    /// The index form even for a single platform.
    pub force_index: bool,
    /// `SOURCE_DATE_EPOCH`: seconds since 1970 that `created` times are set to.
    pub source_date_epoch: Option<i64>,
    /// Write the image id here.
    pub iidfile: Option<PathBuf>,
    /// Say in the outcome how the images were built, and how much.
    pub provenance: Option<ProvenanceMode>,
    /// Write the build as a timeline here, in the trace-event form.
    pub profile: Option<PathBuf>,
}

/// How long a step may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// In all.
    pub whole: Option<Duration>,
    /// Without writing anything and without using a processor.
    pub idle: Option<Duration>,
}

/// What a failed step does to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// They stop.
    #[default]
    Stop,
    /// Those that do not depend on it go on, and all failures are told.
    KeepGoing,
}

/// Which layers become one (`--squash`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Squash {
    /// Each step has its own.
    #[default]
    None,
    /// Those that the build adds to the base.
    New,
    /// All of them, those of the base included.
    All,
    /// Those of the build from one with bytes that are removed or replaced to the one that does it.
    Auto,
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
    /// The same, and everything is as old as this, in seconds since 1970: git records no times.
    Dated(i64),
}

/// Devices of the host that every step gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepDevices {
    /// Views of the host's nodes.
    pub nodes: Vec<runtime_exec::MountSpec>,
    /// Names of the Container Device Interface.
    pub named: Vec<String>,
}

/// What differs from the host's way of looking names up; what is empty is the host's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolvers {
    /// Whom to ask.
    pub servers: Vec<std::net::IpAddr>,
    /// Domains in which a short name is looked for; a single `.`: in none.
    pub search: Vec<String>,
    /// Options as `resolv.conf` has them.
    pub options: Vec<String>,
}

/// The network of the steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepNetwork {
    /// What steps get that name none.
    pub default: runtime_exec::NetworkMode,
    /// How names are looked up.
    pub resolvers: Resolvers,
    /// Whether a private network reaches the host.
    pub gateway: runtime_exec::Gateway,
}

impl Default for StepNetwork {
    fn default() -> Self {
        Self {
            default: runtime_exec::NetworkMode::Host,
            resolvers: Resolvers::default(),
            gateway: runtime_exec::Gateway::Hidden,
        }
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
    /// Ask the registry, and take the store's image where it does not answer (`--pull=newer`).
    Newer,
    /// Never ask it (`--pull=never`).
    Never,
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
    /// Names under which it was pushed, with what each stands for there.
    pub pushed: Vec<(Reference, Descriptor)>,
    /// Steps that ran, and that were found in the cache.
    pub steps: StepCounts,
    /// How each platform's image was built, where that was asked for.
    pub provenance: Vec<(Platform, serde_json::Value)>,
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
