//! The options of `manifest` and `validate`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::annotation::IndexAnnotationArg;
use super::registry::PLACES;
use super::values::LabelArg;

#[derive(Debug, Subcommand)]
pub enum ManifestCommand {
    /// Make an index of images
    Create(ManifestCreateArgs),
    /// Change an entry of an index
    Annotate(ManifestAnnotateArgs),
    /// Copy an index with all its images to a registry
    Push(ManifestPushArgs),
    /// Print what a name stands for as JSON
    Inspect(ManifestInspectArgs),
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct ManifestCreateArgs {
    /// Where the index goes; a bare name means the store
    #[arg(value_name = "INDEX")]
    pub target: String,
    /// Images and indexes whose entries it gets: places, and digests or descriptors in the index's repository
    #[arg(value_name = "PLACE|DIGEST|JSON", required_unless_present = "files")]
    pub images: Vec<String>,
    /// Take an entry from a file with its descriptor, whose image is in the index's repository; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Make an index of one single image, too; `false`: the image is copied as it is
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = clap::ArgAction::Set)]
    pub prefer_index: bool,
    /// Keep the entries that the index has already, but those of the same platform
    #[arg(short, long, visible_alias = "amend")]
    pub append: bool,
    /// Add an annotation to the index, or to entries
    #[arg(long = "annotation", value_name = "[index|manifest-descriptor[[PLATFORM]]:]KEY=VALUE")]
    pub annotations: Vec<IndexAnnotationArg>,
    /// Print the index and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct ManifestAnnotateArgs {
    /// The index; a bare name means the store
    #[arg(value_name = "INDEX")]
    pub target: String,
    /// Its entry: a digest, or a place with that image
    #[arg(value_name = "DIGEST|PLACE")]
    pub entry: String,
    /// Operating system
    #[arg(long)]
    pub os: Option<String>,
    /// Architecture
    #[arg(long)]
    pub arch: Option<String>,
    /// Variant of the architecture
    #[arg(long)]
    pub variant: Option<String>,
    /// Version of the operating system
    #[arg(long, value_name = "VERSION")]
    pub os_version: Option<String>,
    /// Features of the operating system
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    pub os_features: Vec<String>,
    /// Add an annotation to the entry
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    pub annotations: Vec<LabelArg>,
}

#[derive(Debug, Args)]
pub struct ManifestPushArgs {
    /// The index; a bare name means the store
    #[arg(value_name = "INDEX")]
    pub source: String,
    /// Where it goes [default: the registry, under the same name]
    #[arg(value_name = "PLACE")]
    pub target: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct ManifestInspectArgs {
    /// The index or manifest
    #[arg(value_name = "PLACE")]
    pub image: String,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct ValidateArgs {
    /// The image
    #[arg(value_name = "PLACE")]
    pub image: String,
    /// Look at one platform alone [default: all of them]
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Leave the layers out
    #[arg(long)]
    pub fast: bool,
}
