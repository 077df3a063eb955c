//! The options of the commands that make images from images, named as crane names them, and of those
//! about artifacts.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::registry::PLACES;
use super::values::LabelArg;

/// Where the result goes.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct EditTarget {
    /// Where the new image goes
    #[arg(short = 't', long = "tag", visible_alias = "new_tag", value_name = "PLACE")]
    pub tag: Option<String>,
    /// Write it to FILE as docker save does
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Push it to this repository under its digest alone
    #[arg(long, value_name = "REPOSITORY")]
    pub repo: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct AppendArgs {
    /// The image to append to; nothing where absent
    #[arg(short, long, value_name = "PLACE")]
    pub base: Option<String>,
    /// Tar that becomes a layer (plain, gzip or zstd)
    #[arg(short = 'f', long = "new_layer", value_name = "FILE", required = true)]
    pub new_layer: Vec<PathBuf>,
    #[command(flatten)]
    pub target: EditTarget,
    /// Platform, of a base for several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct MutateArgs {
    /// The image
    #[arg(value_name = "PLACE")]
    pub image: String,
    #[command(flatten)]
    pub target: EditTarget,
    /// Platform, of an image for several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Add an annotation to the manifest
    #[arg(short, long = "annotation", value_name = "KEY=VALUE")]
    pub annotations: Vec<LabelArg>,
    /// Tar that becomes a layer
    #[arg(long, value_name = "FILE")]
    pub append: Vec<PathBuf>,
    /// Command, words separated by commas
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    pub cmd: Option<Vec<String>>,
    /// Entry point, words separated by commas; the old command goes
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    pub entrypoint: Option<Vec<String>>,
    /// Set a variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<LabelArg>,
    /// Expose a port (80/tcp)
    #[arg(long, value_name = "PORT", value_delimiter = ',')]
    pub exposed_ports: Vec<String>,
    /// Set a label
    #[arg(short, long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<LabelArg>,
    /// The platform that the image says it is for
    #[arg(long, value_name = "OS/ARCH")]
    pub set_platform: Option<String>,
    /// User
    #[arg(short, long)]
    pub user: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Date the config and everything in the layers this, in seconds since 1970
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub timestamp: Option<i64>,
    /// Date what is later this, in seconds since 1970
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, conflicts_with = "timestamp")]
    pub time_max: Option<i64>,
    /// Leave a file, or a directory with all in it, out of every layer; may be repeated
    #[arg(long = "layer-strip-file", value_name = "PATH")]
    pub strip: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct RebaseArgs {
    /// The image
    #[arg(value_name = "PLACE")]
    pub image: String,
    /// The base it has [default: the one that its annotations name]
    #[arg(long = "old_base", visible_alias = "old-base", value_name = "PLACE")]
    pub old_base: Option<String>,
    /// The base it gets [default: the one that its annotations name, as it is now]
    #[arg(long = "new_base", visible_alias = "new-base", value_name = "PLACE")]
    pub new_base: Option<String>,
    #[command(flatten)]
    pub target: EditTarget,
    /// Platform, of an image for several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct FlattenArgs {
    /// The image
    #[arg(value_name = "PLACE")]
    pub image: String,
    #[command(flatten)]
    pub target: EditTarget,
    /// Platform, of an image for several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

#[derive(Debug, Args)]
pub struct AttachArgs {
    /// What it refers to: docker://NAME, store:NAME or oci:DIR[:TAG|@DIGEST]
    #[arg(value_name = "PLACE")]
    pub subject: String,
    /// The artifact's files
    #[arg(value_name = "FILE[:TYPE]")]
    pub files: Vec<String>,
    /// What kind of artifact it is, a media type
    #[arg(long, value_name = "TYPE")]
    pub artifact_type: String,
    #[command(flatten)]
    pub annotations: ArtifactAnnotations,
}

/// Annotations of an artifact, named as oras names them.
#[derive(Debug, Args)]
pub struct ArtifactAnnotations {
    /// Add an annotation to the artifact's manifest
    #[arg(short, long = "annotation", value_name = "KEY=VALUE")]
    pub annotations: Vec<LabelArg>,
    /// Read annotations from a file: {"$manifest": {…}, "$config": {…}, "FILE": {…}}
    #[arg(long, value_name = "FILE", conflicts_with = "annotations")]
    pub annotation_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum ArtifactCommand {
    /// Push files as an artifact of its own
    Push(ArtifactPushArgs),
    /// Fetch the files of an artifact
    Pull(ArtifactPullArgs),
}

#[derive(Debug, Args)]
pub struct ArtifactPushArgs {
    /// Its name: docker://NAME, store:NAME or oci:DIR:TAG; a bare name means the registry
    #[arg(value_name = "PLACE")]
    pub target: String,
    /// The artifact's files
    #[arg(value_name = "FILE[:TYPE]")]
    pub files: Vec<String>,
    /// What kind of artifact it is, a media type [default: the type of its config, else
    /// application/vnd.unknown.artifact.v1]
    #[arg(long, value_name = "TYPE")]
    pub artifact_type: Option<String>,
    /// Its config; without one it has the empty one
    #[arg(long, value_name = "FILE[:TYPE]")]
    pub config: Option<String>,
    #[command(flatten)]
    pub annotations: ArtifactAnnotations,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct ArtifactPullArgs {
    /// The artifact; also one that refers to an image, by its digest
    #[arg(value_name = "PLACE")]
    pub artifact: String,
    /// Directory for the files
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// Replace no files: one that is there is an error
    #[arg(short, long)]
    pub keep_old_files: bool,
    /// Platform, of an index
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct DiscoverArgs {
    /// The image
    #[arg(value_name = "PLACE")]
    pub subject: String,
    /// Show artifacts of this kind alone
    #[arg(long, value_name = "TYPE")]
    pub artifact_type: Option<String>,
    /// `table`, `tree` or `json`
    #[arg(short, long, value_enum, default_value_t = DiscoverForm::Table)]
    pub format: DiscoverForm,
}

/// How what refers to an image is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiscoverForm {
    /// A line each: digest and kind, indented
    Table,
    /// By kind, as oras draws it
    Tree,
    /// All that is known
    Json,
}
