//! The options of `build`, named as `docker buildx build` names them.

use std::path::PathBuf;

use builder::cache::request::{CacheSource, CacheTarget};
use clap::{Args, ValueEnum};
use dockerfile::Deny;

use super::access::ShortNamesArgs;
use super::annotation::AnnotationArg;
use super::cache::{parse_source, parse_target};
use super::call::CallArg;
use super::deny::{DenyArg, STRICT, together};
use super::limits::LimitArgs;
use super::resolvers::ResolverArgs;
use super::run::StepDeviceArg;
use super::sample::SampleArg;
use super::values::{self, BuildArg, ContextArg, HostArg, LabelArg, SecretArg, UlimitArg};

#[derive(Clone, Debug, Args)]
pub struct BuildArgs {
    /// The build context: a directory, a git repository, the URL of an archive or Dockerfile, or `-`
    /// for an archive or Dockerfile from standard input
    #[arg(value_name = "PATH|URL|-")]
    pub context: String,
    /// Dockerfile; `-` for standard input; in a fetched context a path inside it [default: PATH/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// Name of the image
    #[arg(short, long = "tag", value_name = "NAME")]
    pub tags: Vec<String>,
    #[command(flatten)]
    pub short_names: ShortNamesArgs,
    /// Set a build argument (NAME alone takes it from the environment)
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub build_args: Vec<BuildArg>,
    /// Set the build arguments of a file with lines NAME=VALUE; `--build-arg` wins over them
    #[arg(long = "build-arg-file", value_name = "FILE")]
    pub build_arg_files: Vec<PathBuf>,
    /// Ignore rules of the context, instead of .dockerignore
    #[arg(long = "ignorefile", value_name = "FILE")]
    pub ignore_file: Option<PathBuf>,
    /// Stage to build
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Platform to build for (several: repeat, or separate by commas)
    #[arg(long = "platform", value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    pub platforms: Vec<String>,
    /// Add a label to the image
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<LabelArg>,
    /// Use no recorded results
    #[arg(long)]
    pub no_cache: bool,
    /// Use no recorded results for these stages
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub no_cache_filter: Vec<String>,
    /// Use no results of steps that were made longer ago, such as 24h
    #[arg(long, value_name = "DURATION", value_parser = values::age)]
    pub cache_ttl: Option<std::time::Duration>,
    /// Run so many of the cached steps again, and fail where one makes something else than its cached result
    #[arg(long, value_name = "N%[,seed=N]")]
    pub verify_cache: Option<SampleArg>,
    /// When a step fails, go on with those that do not depend on it
    #[arg(long)]
    pub keep_going: bool,
    /// Take recorded results from there, too: type=registry,ref=NAME|local,src=DIR[,tag=,digest=], or a NAME
    #[arg(long = "cache-from", value_name = "SPEC", value_parser = parse_source)]
    pub cache_from: Vec<CacheSource>,
    /// Record results there: type=registry,ref=NAME|local,dest=DIR[,tag=,reset=]|inline[,mode=min|max,compression=…,ignore-error=]
    #[arg(long = "cache-to", value_name = "SPEC", value_parser = parse_target)]
    pub cache_to: Vec<CacheTarget>,
    /// Ask the registry for newer base images
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "always", default_value = "missing")]
    pub pull: PullArg,
    /// Another context by name: a directory, docker-image://NAME, oci-layout://PATH[:TAG], a git repository or URL
    #[arg(long = "build-context", value_name = "NAME=VALUE")]
    pub build_contexts: Vec<ContextArg>,
    /// Offer a secret to RUN --mount=type=secret
    #[arg(long = "secret", value_name = "id=ID[,src=FILE|,env=NAME]")]
    pub secrets: Vec<SecretArg>,
    /// Offer an ssh agent, or one with keys from files, to RUN --mount=type=ssh
    #[arg(long = "ssh", value_name = "default|ID[=SOCKET|=[HOST[/PATH]:]KEY[,…]]")]
    pub ssh: Vec<String>,
    /// Add a line to /etc/hosts of the steps; `host-gateway` is this host
    #[arg(long = "add-host", value_name = "NAME:ADDRESS|NAME:host-gateway")]
    pub add_hosts: Vec<HostArg>,
    /// Host name inside the steps
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Size of /dev/shm in the steps
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    pub shm_size: Option<u64>,
    /// Resource limit of the steps
    #[arg(long = "ulimit", value_name = "NAME=SOFT[:HARD]")]
    pub ulimits: Vec<UlimitArg>,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// End a step that runs for longer, such as 90s or 1h30m
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub step_timeout: Option<std::time::Duration>,
    /// End a step that for so long writes nothing and uses no processor
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub idle_timeout: Option<std::time::Duration>,
    /// End the build when it takes longer
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub deadline: Option<std::time::Duration>,
    /// Give every step a device of the host, by path or by its CDI name
    #[arg(long = "device", value_name = "HOST[:TARGET]|VENDOR/CLASS=NAME")]
    pub devices: Vec<StepDeviceArg>,
    /// Network of steps that name none: the host's (the default), none, or a private one by pasta
    #[arg(long, value_enum, default_value_t = NetworkArg::Default)]
    pub network: NetworkArg,
    #[command(flatten)]
    pub resolvers: ResolverArgs,
    /// Directory with descriptions of devices [default: /etc/cdi, /var/run/cdi, /etc/buildkit/cdi]
    #[arg(long = "cdi-spec-dir", value_name = "DIR")]
    pub cdi_spec_dirs: Vec<PathBuf>,
    /// Allow what a Dockerfile may not ask for by itself (network.host, security.insecure, device[=NAME])
    #[arg(long = "allow", value_name = "ENTITLEMENT")]
    pub allow: Vec<String>,
    /// What to make: type=image|registry|oci|docker|local|tar|cacheonly[,name=,dest=,push=,compression=…], or a path
    #[arg(short, long = "output", value_name = "SPEC")]
    pub outputs: Vec<String>,
    /// Push the image (short for --output type=registry)
    #[arg(long)]
    pub push: bool,
    /// Load the image into the Docker engine of DOCKER_HOST or of the docker command's context
    #[arg(long)]
    pub load: bool,
    /// Add an annotation: to the manifest, or where TYPE says (manifest, manifest-descriptor, index, index-descriptor)
    #[arg(long = "annotation", value_name = "[TYPE[[PLATFORM]]:]KEY=VALUE")]
    pub annotations: Vec<AnnotationArg>,
    /// Make one layer of those that the build adds, or of all
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "new", default_value = "none")]
    pub squash: SquashArg,
    /// Attest how the image was built: true, false or mode=min|max[,version=v1|v0.2][,builder-id=URI][,reproducible=true]
    #[arg(long, value_name = "FIELDS", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub provenance: Option<String>,
    /// Attest what software is in the image: true, false or generator=IMAGE
    #[arg(long, value_name = "FIELDS", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub sbom: Option<String>,
    /// The same in one option: type=provenance|sbom[,KEY=VALUE…]
    #[arg(long, value_name = "FIELDS")]
    pub attest: Vec<String>,
    /// Sign what is pushed with this private key, as cosign does
    #[arg(long, value_name = "FILE|env://NAME")]
    pub sign: Option<String>,
    /// Write the image's id to FILE
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Write the build's name in the history to FILE
    #[arg(long, value_name = "FILE")]
    pub ref_file: Option<PathBuf>,
    /// Write a description of the result to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Check the Dockerfile and run nothing (short for --call=check)
    #[arg(long, conflicts_with = "call")]
    pub check: bool,
    /// Fail before any step when one of these rules warns, or when any does: RULE[,RULE…], or all
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub deny: Vec<DenyArg>,
    /// Fail before any step when any rule warns, or when a script in a heredoc goes on after a failed command
    #[arg(long)]
    pub strict: bool,
    /// Ask about the build instead of running it: build|check|outline|targets[,format=text|json|sarif][,ignorestatus]
    #[arg(long, value_name = "METHOD[,OPTION]")]
    pub call: Option<CallArg>,
    /// Write a timeline of the build to FILE, as trace events that Perfetto opens
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Permission bits of local contexts: as they are, or as git records them, whatever the umask
    #[arg(long, value_enum, value_name = "FORM", default_value_t = ContextMetadataArg::AsIs)]
    pub context_metadata: ContextMetadataArg,
    /// Give the same image on every machine: all times at most SOURCE_DATE_EPOCH, else the context's commit time, else 0
    #[arg(long, conflicts_with = "timestamp")]
    pub reproducible: bool,
    /// Date the image and everything in its new layers this, in seconds since 1970
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub timestamp: Option<i64>,
    /// How progress is shown
    #[arg(long, value_enum)]
    pub progress: Option<ProgressArg>,
    /// Before, between the steps and afterwards, remove results that are not in use until the store takes no
    /// more (`10GB`)
    #[arg(long, value_name = "BYTES", value_parser = super::values::bytes)]
    pub max_used_space: Option<u64>,
    /// Print only the image's id
    #[arg(short, long)]
    pub quiet: bool,
    /// Steps at once [default: by processors and free memory]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}

/// `--pull`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PullArg {
    #[value(alias = "true")]
    Always,
    #[value(alias = "ifnewer")]
    Newer,
    #[value(alias = "false", alias = "ifmissing", alias = "ifnotpresent")]
    Missing,
    Never,
}

/// `--squash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SquashArg {
    #[value(alias = "true")]
    New,
    All,
    Auto,
    #[value(alias = "false")]
    None,
}

/// `--context-metadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ContextMetadataArg {
    AsIs,
    Git,
}

/// `--network`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NetworkArg {
    Default,
    None,
    Host,
    Private,
}

/// `--progress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    Auto,
    Tty,
    Plain,
    Quiet,
    Rawjson,
    None,
}

impl BuildArgs {
    /// Which rules are fatal.
    pub fn denied(&self) -> Deny {
        let strict: &[DenyArg] = if self.strict { &STRICT } else { &[] };
        together(self.deny.iter().chain(strict))
    }

    /// What is asked of the build.
    pub fn call(&self) -> CallArg {
        let build = CallArg { method: super::Method::Build, ..CallArg::CHECK };
        self.call.unwrap_or(if self.check { CallArg::CHECK } else { build })
    }
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The image to compare with
    #[arg(value_name = "PLACE")]
    pub image: String,
    #[command(flatten)]
    pub build: BuildArgs,
}
