//! The options of `sync`, named as skopeo names them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::access::{SourceAccess, TargetAccess};
use super::platform::{PlatformArgs, UsualArgs};
use super::refused::RefusedSignArgs;
use super::types::TypesArgs;

#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Where the images are: a repository or image for docker, a directory with directories of images
    /// for dir, a list of repositories for yaml
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// Where they go: a registry, with a path below it or without, or a directory
    #[arg(value_name = "DESTINATION")]
    pub destination: String,
    /// What SOURCE is
    #[arg(short, long, value_enum)]
    pub src: SyncFrom,
    /// What DESTINATION is
    #[arg(short, long, value_enum)]
    pub dest: SyncTo,
    /// Keep the whole name of an image below DESTINATION, not its last part alone
    #[arg(long)]
    pub scoped: bool,
    /// Print what would be copied, and copy nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Go on with the other images when one fails; the failures come last
    #[arg(long)]
    pub keep_going: bool,
    #[command(flatten)]
    pub platform: PlatformArgs,
    #[command(flatten)]
    pub usual: UsualArgs,
    #[command(flatten)]
    pub refused: RefusedSignArgs,
    #[command(flatten)]
    pub types: TypesArgs,
    #[command(flatten)]
    pub from: SourceAccess,
    #[command(flatten)]
    pub to: TargetAccess,
    /// Copy what refers to the images as well (signatures, attestations, SBOMs)
    #[arg(long)]
    pub referrers: bool,
    /// Write each copied digest with its new name to FILE, one a line
    #[arg(long, value_name = "FILE")]
    pub digestfile: Option<PathBuf>,
    /// Print only the digests
    #[arg(short, long)]
    pub quiet: bool,
}

/// What a source of many images is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SyncFrom {
    Docker,
    Dir,
    Yaml,
}

/// What a destination of many images is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SyncTo {
    Docker,
    Dir,
}
