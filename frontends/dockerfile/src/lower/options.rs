//! What the caller of a build decides.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use graph::{ExtraHost, Remote, Ulimit};
use oci::{Platform, Reference, ShortNames};

/// Everything besides the Dockerfile that a build depends on.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path of the Dockerfile in the build file context. `Dockerfile` falls back to `dockerfile`.
    pub dockerfile_name: String,
    /// Whether somebody gave that name.
    pub naming: Naming,
    /// Ignore rules of the main context that count instead of those of any file in it: their name, and text.
    pub ignore_file: Option<(String, Bytes)>,
    /// Stage to build, by name; the last one if absent.
    pub target: Option<String>,
    /// Platforms to build for; empty means the build platform, and that the base image may say
    /// otherwise.
    pub platforms: Vec<Platform>,
    /// The platform of this machine.
    pub build_platform: Platform,
    /// `--build-arg`; `None` is a name without a value that the environment does not have either.
    pub build_args: BTreeMap<String, Option<String>>,
    /// `--label`: win over those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// What the main context was fetched from, if it is no directory.
    pub context_source: Option<Remote>,
    /// What names of images without a registry mean.
    pub short_names: ShortNames,
    /// `--build-context`, by name.
    pub named_contexts: BTreeMap<String, NamedContext>,
    /// Which stages are built without cached results.
    pub no_cache: NoCache,
    /// `--add-host`, for every `RUN`.
    pub add_hosts: Vec<ExtraHost>,
    /// `--shm-size` in bytes.
    pub shm_size: Option<u64>,
    /// `--ulimit`.
    pub ulimits: Vec<Ulimit>,
    /// `--network`: what `RUN` without a word of its own gets.
    pub network: graph::Network,
    /// `--hostname`; the build argument `BUILDKIT_SANDBOX_HOSTNAME` wins.
    pub hostname: Option<String>,
    /// `--allow`: entitlements that steps may ask for.
    pub allow: BTreeSet<String>,
    /// `--deny`: rules whose remarks end the build.
    pub deny: Deny,
    /// Which stages are looked at.
    pub coverage: Coverage,
    /// An index of images is made even for one platform.
    pub multi_platform: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dockerfile_name: "Dockerfile".to_owned(),
            naming: Naming::Given,
            ignore_file: None,
            target: None,
            platforms: Vec::new(),
            build_platform: Platform::host(),
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            context_source: None,
            short_names: ShortNames::DockerHub,
            named_contexts: BTreeMap::new(),
            no_cache: NoCache::None,
            add_hosts: Vec::new(),
            shm_size: None,
            ulimits: Vec::new(),
            network: graph::Network::Default,
            hostname: None,
            allow: BTreeSet::new(),
            deny: Deny::default(),
            coverage: Coverage::Target,
            multi_platform: false,
        }
    }
}

/// Where the name of the Dockerfile comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// From the caller.
    Given,
    /// It is the usual one: where there is none, `Containerfile` does as well.
    Usual,
}

impl Options {
    /// The value of a build argument, if it has one.
    pub(crate) fn build_arg(&self, name: &str) -> Option<&str> {
        self.build_args.get(name)?.as_deref()
    }
}

/// Which stages are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coverage {
    /// Those that the target needs.
    #[default]
    Target,
    /// For a check: all, unless a target is named. Warnings are never fatal then.
    Check,
}

/// Rules whose remarks end a build before any step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deny {
    /// Those of all rules that apply, and of these, which apply then even if they are off by default.
    All(BTreeSet<String>),
    /// Those of these rules alone, which apply then even if they are off by default.
    Rules(BTreeSet<String>),
}

impl Default for Deny {
    fn default() -> Self {
        Self::Rules(BTreeSet::new())
    }
}

/// Which stages are built without cached results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NoCache {
    /// Every stage may use them.
    #[default]
    None,
    /// No stage may.
    All,
    /// These may not, by name.
    Stages(BTreeSet<String>),
}

impl NoCache {
    pub(crate) fn covers(&self, stage: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Stages(names) => names.iter().any(|name| name.eq_ignore_ascii_case(stage)),
        }
    }
}

/// What a named context stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedContext {
    /// A directory of the caller; the graph names it [`graph::ContextName::Named`].
    Local,
    /// An image.
    Image(Reference),
    /// The empty tree (`docker-image://scratch`).
    Scratch,
    /// An image in an OCI layout, as the user wrote it.
    OciLayout(String),
    /// A git repository, as an address with fragment or query.
    Git(String),
    /// A file behind a URL.
    Http(String),
    /// A stage of the same file, by its name.
    Target(String),
}
