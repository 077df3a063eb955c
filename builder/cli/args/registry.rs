//! The options of the commands about registries and other places, named as skopeo and crane name them.

use std::path::PathBuf;

use clap::Args;

use super::PackForm;
use super::crypt::{DecryptArgs, EncryptArgs};

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct CopyArgs {
    /// Where the image is
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Where it goes
    #[arg(value_name = "DST")]
    pub target: String,
    /// Copy one platform of an index alone [default: all of them]
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Accepted for compatibility: all platforms are copied unless --platform names one
    #[arg(short, long, conflicts_with = "platform")]
    pub all: bool,
    /// Copy what refers to the image as well (signatures, attestations, SBOMs)
    #[arg(long, conflicts_with_all = ["encryption_keys", "decryption_keys"])]
    pub referrers: bool,
    #[command(flatten)]
    pub encrypt: EncryptArgs,
    #[command(flatten)]
    pub decrypt: DecryptArgs,
    /// Accepted for compatibility: digests are always preserved
    #[arg(long)]
    pub preserve_digests: bool,
    /// Credentials for the repository that is read; they show in lists of processes, so `rbuild login` is better
    #[arg(long, value_name = "USER:PASSWORD")]
    pub src_creds: Option<String>,
    /// Credentials for the repository that is written
    #[arg(long, value_name = "USER:PASSWORD")]
    pub dest_creds: Option<String>,
    /// What --tls-verify says, for the host that is read alone
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub src_tls_verify: Option<bool>,
    /// What --tls-verify says, for the host that is written alone
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub dest_tls_verify: Option<bool>,
    /// How layers of the store that have no packed form yet are packed
    #[arg(long, value_enum, default_value_t = PackForm::Gzip)]
    pub compression: PackForm,
    /// Write the copied digest to FILE
    #[arg(long, value_name = "FILE")]
    pub digestfile: Option<PathBuf>,
    /// Print only the copied digest
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct InspectArgs {
    /// The image; a bare name is the store's, else the registry's
    #[arg(value_name = "PLACE")]
    pub image: String,
    /// Print what the name stands for (index or manifest) byte for byte; with --platform its manifest
    #[arg(long)]
    pub raw: bool,
    /// Print the config; with --raw byte for byte
    #[arg(long)]
    pub config: bool,
    /// Credentials for the repository; they show in lists of processes, so `rbuild login` is better
    #[arg(long, value_name = "USER:PASSWORD")]
    pub creds: Option<String>,
    /// Platform, of an image for several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct DigestArgs {
    /// The image
    #[arg(value_name = "PLACE")]
    pub image: String,
    /// Credentials for the repository; they show in lists of processes, so `rbuild login` is better
    #[arg(long, value_name = "USER:PASSWORD")]
    pub creds: Option<String>,
    /// The manifest for a platform, of an image for several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

#[derive(Debug, Args)]
pub struct TagsArgs {
    /// [docker://]REPOSITORY, store:REPOSITORY, oci:DIR, oci-archive:FILE or docker-archive:FILE
    #[arg(value_name = "PLACE")]
    pub repository: String,
}

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// docker://NAME, oci:DIR[:TAG|@DIGEST] or store:NAME
    #[arg(value_name = "PLACE", required = true)]
    pub images: Vec<String>,
    /// Delete the tag and leave its manifest and that one's other tags
    #[arg(long)]
    pub tag_only: bool,
}

/// What a place may be.
pub const PLACES: &str = "Places:
  docker://NAME                  a registry
  store:NAME                     the store
  NAME                           the store's image, else the registry's (not as a target)
  oci:DIR[:TAG|@DIGEST]          an OCI layout
  oci-archive:FILE[:TAG|@DIGEST] an OCI layout in a tar
  docker-archive:FILE[:NAME]     what docker save writes
  dir:DIR                        skopeo's directory of one image";
