//! The command line: its grammar and its types. Nothing here touches the world.

mod access;
mod annotation;
mod attest;
mod build;
mod cache;
mod call;
mod crypt;
mod csv;
mod debug;
mod deny;
mod edit;
mod history;
mod kept;
mod layers;
mod limits;
mod login;
mod manifest;
mod mount;
mod output;
mod pattern;
mod platform;
mod refused;
mod registry;
mod resolvers;
mod run;
mod sample;
mod save;
mod security;
mod serve;
mod sign;
mod store;
mod sync;
mod types;
mod values;
mod volume;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use access::{AccessArg, CredsArg, RegistryAccess, ShortNamesArg, ShortNamesArgs};
pub use annotation::IndexAnnotationArg;
pub use build::{BuildArgs, ContextMetadataArg, NetworkArg, ProgressArg, PullArg, SquashArg, VerifyArgs};
pub use call::{AskArgs, CallArg, Format, Method, Status};
pub use crypt::{DecryptArgs, EncryptArgs};
pub use debug::DebugArgs;
pub use edit::{
    AppendArgs, ArtifactAnnotations, ArtifactCommand, ArtifactPullArgs, ArtifactPushArgs, AttachArgs,
    DiscoverArgs, DiscoverForm, EditTarget, FlattenArgs, MutateArgs, RebaseArgs,
};
pub use history::{ExplainArgs, HistoryCommand, HistoryLsArgs, HistoryShowArgs, LogsArgs};
pub use kept::{KeptArgs, KeptCommand};
pub use layers::{BrowseArgs, LayersArgs};
pub use limits::{LimitArgs, RateArg};
pub use login::{AuthCheckArgs, AuthCommand, LoginArgs, LogoutArgs, PasswordFileArgs};
pub use manifest::{
    ManifestAnnotateArgs, ManifestCommand, ManifestCreateArgs, ManifestInspectArgs, ManifestPushArgs,
    ValidateArgs,
};
pub use mount::{MountArgs, UnmountArgs, UnshareArgs};
pub use output::{OutputArg, Trust, parse_output};
pub use pattern::ChoiceArgs;
pub use platform::{MultiArch, PlatformArgs};
pub use registry::{CatalogArgs, CopyArgs, DeleteArgs, DigestArgs, InspectArgs, TagsArgs};
pub use resolvers::ResolverArgs;
pub use run::{RunArgs, RunNetwork, StepDeviceArg};
pub use save::{LoadArgs, SaveArgs, SaveForm};
pub use security::{SecurityArg, Switch};
pub use serve::{LimitsArgs, RegistryCommand, ServeArgs};
pub use sign::{SignArgs, SignatureFormArg, VerifySignatureArgs};
pub use store::{CatArgs, CheckArgs, DiffArgs, DuArgs, LookArgs, PruneArgs, StoreCommand};
pub use sync::{SyncArgs, SyncFrom, SyncTo};
pub use types::{FamilyArg, TypesArgs};
pub use values::{BuildArg, HostAddress, HostArg, LabelArg, SecretArg, SecretFrom, UlimitArg};
pub use volume::{MountArg, TmpfsArg};

/// Builds container images from Dockerfiles and moves them between registries, without a daemon.
#[derive(Debug, Parser)]
#[command(name = "rbuild", version, disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes, before or after its name.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Directory of the store [default: $RBUILD_ROOT, $XDG_DATA_HOME/rbuild, for root /var/lib/rbuild]
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Require HTTPS and verify certificates of registries; `false` takes plain HTTP and unknown certificates
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub tls_verify: Option<bool>,
    /// Credentials file (containers auth.json or Docker config.json)
    #[arg(long, global = true, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// Trust the authorities of this PEM file for registries, beside the usual ones; may be repeated
    #[arg(long, global = true, value_name = "FILE")]
    pub registry_ca: Vec<PathBuf>,
    /// How many times something is tried again with a registry, while nothing comes of it [default: 7]
    #[arg(long, global = true, value_name = "N")]
    pub retry_times: Option<u32>,
    /// What steps write on: an overlay mount upon the layers, or a copy of their tree, of which the changes
    /// are kept; `auto` copies where overlayfs is refused
    #[arg(long, global = true, value_name = "HOW", value_enum, default_value = "auto")]
    pub snapshotter: SnapshotterArg,
    /// What keeps steps apart from the machine; `chroot` isolates nothing, for containers that allow no namespaces
    #[arg(long, global = true, value_name = "HOW", value_enum, default_value = "default")]
    pub isolation: IsolationArg,
}

/// What keeps steps apart from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IsolationArg {
    /// Namespaces
    Default,
    /// A root directory alone, which keeps nobody in: for where no namespace can be had
    Chroot,
}

/// How steps get a tree to write on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SnapshotterArg {
    /// Overlay where it works, else copies
    Auto,
    /// Overlay mounts, or none
    Overlay,
    /// Copies
    Copy,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an image from a Dockerfile (the default: `rbuild -f Dockerfile .`)
    #[command(visible_alias = "b")]
    Build(Box<BuildArgs>),
    /// Check a Dockerfile and run nothing (`rbuild build --check`)
    Check(Box<AskArgs>),
    /// List the variables of each stage, their values, and where these come from
    Args(Box<AskArgs>),
    /// Say why a step of the last build was not found in the cache
    Explain(ExplainArgs),
    /// Look around in the state of a failed step
    Debug(DebugArgs),
    /// Look at earlier builds
    #[command(subcommand)]
    History(HistoryCommand),
    /// Print what the steps of a build wrote
    Logs(LogsArgs),
    /// Pull an image from a registry into the store
    Pull(PullArgs),
    /// Push an image of the store to a registry
    Push(PushArgs),
    /// Copy an image between registries, the store, layouts, archives and directories
    Copy(CopyArgs),
    /// Save images of the store as a file
    Save(SaveArgs),
    /// Load images from a file into the store
    Load(LoadArgs),
    /// Copy many images between registries and directories
    Sync(SyncArgs),
    /// List the images of the store
    Images(ImagesArgs),
    /// Show an image's manifest and config as JSON
    Inspect(InspectArgs),
    /// Print the digest that a name stands for
    Digest(DigestArgs),
    /// List the tags of a repository, layout or archive
    #[command(visible_alias = "ls-tags")]
    Tags(TagsArgs),
    /// List the repositories of a registry
    Catalog(CatalogArgs),
    /// Delete an image from a registry or layout
    Delete(DeleteArgs),
    /// Make and change indexes: images for several platforms under one name
    #[command(subcommand)]
    Manifest(ManifestCommand),
    /// Make an image with tars as further layers
    Append(AppendArgs),
    /// Make an image with another config
    Mutate(MutateArgs),
    /// Make an image with another base
    Rebase(RebaseArgs),
    /// Make an image with one layer
    Flatten(FlattenArgs),
    /// Push and fetch artifacts: files in a registry
    #[command(subcommand)]
    Artifact(ArtifactCommand),
    /// Attach files to an image as an artifact that refers to it
    Attach(AttachArgs),
    /// Show what refers to an image
    Discover(DiscoverArgs),
    /// Sign an image as cosign does with a key
    Sign(SignArgs),
    /// Check the signatures of an image with a public key
    VerifySignature(VerifySignatureArgs),
    /// Log in to a registry, and keep the password
    Login(LoginArgs),
    /// Forget the password for a registry
    Logout(LogoutArgs),
    /// Look at credentials
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Be a registry, or ask one for its limits
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// Look whether an image is whole: documents, blobs, layers
    Validate(ValidateArgs),
    /// Build an image again, with nothing from the cache, and name the files and steps that differ
    Verify(Box<VerifyArgs>),
    /// Show an image's layers: digest, size, instruction, files and waste
    Layers(LayersArgs),
    /// Look at an image's layers and files on the whole terminal
    Browse(BrowseArgs),
    /// Run a command in a new container made from an image
    Run(RunArgs),
    /// Remove images from the store
    #[command(visible_alias = "rmi")]
    Rm(RmArgs),
    /// Give an image of the store another name
    Tag(TagArgs),
    /// Remove what no image uses
    Prune(PruneArgs),
    /// List a directory of an image
    Ls(LookArgs),
    /// List everything in an image, or below one of its directories
    Tree(LookArgs),
    /// Print a file of an image
    Cat(CatArgs),
    /// Show what differs between two images: files and config
    Diff(DiffArgs),
    /// Mount an image for reading and print where, or list what is mounted
    Mount(MountArgs),
    /// Unmount images
    #[command(visible_alias = "umount")]
    Unmount(UnmountArgs),
    /// Run a command in the user and mount namespace in which the store is used
    Unshare(UnshareArgs),
    /// Look at results of steps and cache mounts, and remove them one by one
    #[command(subcommand)]
    Cache(KeptCommand),
    /// Check the store, or show what it takes
    #[command(subcommand)]
    Store(StoreCommand),
    /// Look at a build context
    #[command(subcommand)]
    Context(ContextCommand),
    /// Say what this host offers to builds, what it refuses, and what to change
    Doctor(DoctorArgs),
}

#[derive(Debug, Args)]
pub struct PullArgs {
    /// Name of the image
    pub image: String,
    #[command(flatten)]
    pub short_names: ShortNamesArgs,
    #[command(flatten)]
    pub access: RegistryAccess,
    #[command(flatten)]
    pub platform: PlatformArgs,
    #[command(flatten)]
    pub decrypt: DecryptArgs,
    /// Print only the image's id
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct PushArgs {
    /// Name in the store, and at the registry unless TARGET is given
    pub image: String,
    /// Name at the registry
    pub target: Option<String>,
    #[command(flatten)]
    pub access: RegistryAccess,
    /// How layers that have no packed form yet are packed
    #[arg(long, value_enum, default_value_t = PackForm::Gzip)]
    pub compression: PackForm,
    #[command(flatten)]
    pub types: TypesArgs,
    /// Push what refers to the image as well (signatures, attestations, SBOMs)
    #[arg(long, conflicts_with = "encryption_keys")]
    pub referrers: bool,
    #[command(flatten)]
    pub encrypt: EncryptArgs,
    /// Write the pushed digest to FILE
    #[arg(long, value_name = "FILE")]
    pub digestfile: Option<PathBuf>,
    /// Print only the pushed digest
    #[arg(short, long)]
    pub quiet: bool,
}

/// How a layer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PackForm {
    Gzip,
    Zstd,
    Uncompressed,
}

#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Print only ids
    #[arg(short, long)]
    pub quiet: bool,
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = ListForm::Table)]
    pub format: ListForm,
}

/// How lists are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListForm {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// `text` or `json`
    #[arg(long, value_enum, default_value_t = ReportForm::Text)]
    pub format: ReportForm,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportForm {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct RmArgs {
    /// Names of images
    #[arg(required = true)]
    pub images: Vec<String>,
    /// Names that are absent are no error
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct TagArgs {
    /// Name of an image in the store
    pub image: String,
    /// Its further name
    pub name: String,
}

#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// List what a context contains after its ignore rules
    Ls(ContextLsArgs),
}

#[derive(Debug, Args)]
pub struct ContextLsArgs {
    /// The context's directory
    pub path: PathBuf,
    /// Dockerfile, whose own ignore file comes first [default: PATH/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Ignore rules that count instead of .dockerignore
    #[arg(long = "ignorefile", value_name = "FILE")]
    pub ignore_file: Option<PathBuf>,
    /// Say which rule leaves this path out, or lets it in
    #[arg(long, value_name = "PATH")]
    pub why: Option<String>,
}

/// Parses a command line, `build` being the command when none is named.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(with_verb(arguments.into_iter().collect()))
}

/// The exit code for a command line that cannot be parsed: `run` leaves the others to what it runs.
pub fn usage_code(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command = arguments.get(after_global_options(&arguments));
    if command.is_some_and(|word| word == "run") { 125 } else { 2 }
}

/// Inserts `build` where the first word that is no global option is no command either.
fn with_verb(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let command = <Cli as clap::CommandFactory>::command();
    let position = after_global_options(&arguments);
    let Some(word) = arguments.get(position).and_then(|word| word.to_str()) else { return arguments };
    if !["-h", "--help", "-V", "--version"].contains(&word) && command.find_subcommand(word).is_none() {
        arguments.insert(position, "build".into());
    }
    arguments
}

/// Global options that take a value, in the next word unless there is a `=`.
const WITH_VALUE: [&str; 6] =
    ["--root", "--authfile", "--snapshotter", "--isolation", "--registry-ca", "--retry-times"];

/// The position of the first word that is no global option.
fn after_global_options(arguments: &[OsString]) -> usize {
    let mut position = 1;
    while let Some(word) = arguments.get(position).and_then(|word| word.to_str()) {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        position += match (WITH_VALUE.contains(&name), value) {
            (true, None) => 2,
            (true, Some(_)) => 1,
            (false, _) if name == "--tls-verify" => 1,
            (false, _) => break,
        };
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn run_leaves_the_usual_codes_to_what_it_runs() {
        for (text, code) in
            [("rbuild run --x", 125), ("rbuild --root run build --x", 2), ("rbuild --root=d run -x", 125)]
        {
            assert_eq!(usage_code(words(text)), code, "{text}");
        }
    }

    #[test]
    fn build_is_the_default_command() {
        for (given, expected) in [
            ("rbuild -f Dockerfile .", "rbuild build -f Dockerfile ."),
            ("rbuild .", "rbuild build ."),
            ("rbuild --root D -t x .", "rbuild --root D build -t x ."),
            ("rbuild --root=D images", "rbuild --root=D images"),
            ("rbuild pull alpine", "rbuild pull alpine"),
            ("rbuild b .", "rbuild b ."),
            (
                "rbuild --registry-ca c.pem --retry-times 3 .",
                "rbuild --registry-ca c.pem --retry-times 3 build .",
            ),
            ("rbuild --version", "rbuild --version"),
        ] {
            assert_eq!(with_verb(words(given)), words(expected), "{given}");
        }
    }

    #[test]
    fn global_options_stand_before_and_after_the_verb() {
        for line in ["rbuild --root D images", "rbuild images --root D"] {
            let cli = parse(words(line)).unwrap();
            assert_eq!(cli.global.root, Some(PathBuf::from("D")), "{line}");
        }
    }

    #[test]
    fn the_options_of_every_command_fit_together() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn unknown_flags_are_refused() {
        for line in ["rbuild --nonsense .", "rbuild pull --nonsense x", "rbuild images x"] {
            assert!(parse(words(line)).is_err(), "{line}");
        }
    }
}
