//! Options of `rbuild save` and `rbuild load`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::PackForm;

#[derive(Debug, Args)]
pub struct SaveArgs {
    /// Names of images in the store
    #[arg(required = true)]
    pub images: Vec<String>,
    /// Write to FILE [default: standard output]; the directory of `--format=oci-layout`
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What is written
    #[arg(long, value_enum, default_value_t = SaveForm::DockerArchive)]
    pub format: SaveForm,
    /// Platform, of images for several [default: all; in a docker archive this machine's]
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// How layers that have no packed form yet are packed
    #[arg(long, value_enum, default_value_t = PackForm::Gzip)]
    pub compression: PackForm,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}

/// What images are saved as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SaveForm {
    /// What `docker save` writes, with an OCI layout in it
    DockerArchive,
    /// An OCI layout in a tar
    OciArchive,
    /// An OCI layout as a directory
    #[value(alias = "oci-dir")]
    OciLayout,
}

#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Read from FILE, or the directory of an OCI layout [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Name of the only image there, in place of the one it has
    #[arg(short, long, value_name = "NAME")]
    pub tag: Option<String>,
    /// Platform, of images for several [default: all that are there]
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}
