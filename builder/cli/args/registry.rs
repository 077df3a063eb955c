//! The options of the commands about registries and other places, named as skopeo and crane name them.

use std::path::PathBuf;

use clap::Args;

use super::access::{RegistryAccess, SourceAccess, TargetAccess};
use super::crypt::{DecryptArgs, EncryptArgs};
use super::platform::{MultiArch, PlatformArgs, UsualArgs, multi_arch};
use super::refused::RefusedCopyArgs;
use super::types::TypesArgs;
use super::{ChoiceArgs, PackForm};
use crate::template::Template;

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct CopyArgs {
    /// Where the image is
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Where it goes
    #[arg(value_name = "DST")]
    pub target: String,
    #[command(flatten)]
    pub platform: PlatformArgs,
    #[command(flatten)]
    pub usual: UsualArgs,
    /// All platforms of an index, or this machine's
    #[arg(long, value_name = "all|system", value_parser = multi_arch,
        conflicts_with_all = ["all", "platform", "override_os", "override_arch", "override_variant"])]
    pub multi_arch: Option<MultiArch>,
    /// Accepted for compatibility: what the registry has is never sent
    #[arg(long)]
    pub dest_precompute_digests: bool,
    #[command(flatten)]
    pub refused: RefusedCopyArgs,
    /// Copy what refers to the image as well (signatures, attestations, SBOMs)
    #[arg(long, conflicts_with_all = ["encryption_keys", "decryption_keys"])]
    pub referrers: bool,
    #[command(flatten)]
    pub encrypt: EncryptArgs,
    #[command(flatten)]
    pub decrypt: DecryptArgs,
    #[command(flatten)]
    pub types: TypesArgs,
    #[command(flatten)]
    pub from: SourceAccess,
    #[command(flatten)]
    pub to: TargetAccess,
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
    #[command(flatten)]
    pub access: RegistryAccess,
    #[command(flatten)]
    pub platform: PlatformArgs,
    /// Print what this Go template makes of the image: skopeo's fields, and buildx's .Manifest and .Image
    #[arg(short, long, value_name = "TEMPLATE", conflicts_with = "raw", value_parser = Template::parse)]
    pub format: Option<Template>,
    /// Accepted for compatibility: tags are asked for only where the template names .RepoTags
    #[arg(short, long)]
    pub no_tags: bool,
}

impl InspectArgs {
    /// Whether the tags of the repository are wanted.
    pub fn asks_for_tags(&self) -> bool {
        !self.config && self.format.as_ref().is_some_and(|template| template.names("RepoTags"))
    }
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct DigestArgs {
    /// The image
    #[arg(value_name = "PLACE")]
    pub image: String,
    #[command(flatten)]
    pub access: RegistryAccess,
    #[command(flatten)]
    pub platform: PlatformArgs,
}

#[derive(Debug, Args)]
pub struct TagsArgs {
    /// [docker://]REPOSITORY, store:REPOSITORY, oci:DIR, oci-archive:FILE or docker-archive:FILE
    #[arg(value_name = "PLACE")]
    pub repository: String,
    #[command(flatten)]
    pub choice: ChoiceArgs,
    #[command(flatten)]
    pub access: RegistryAccess,
}

#[derive(Debug, Args)]
pub struct CatalogArgs {
    /// The registry, with its port
    #[arg(value_name = "REGISTRY", value_parser = registry)]
    pub registry: String,
    #[command(flatten)]
    pub choice: ChoiceArgs,
    #[command(flatten)]
    pub access: RegistryAccess,
}

fn registry(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix("docker://").unwrap_or(text);
    match bare.contains('/') {
        true => Err("it is a host, with its port where it has one".to_owned()),
        false => Ok(bare.to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// docker://NAME, oci:DIR[:TAG|@DIGEST] or store:NAME
    #[arg(value_name = "PLACE", required = true)]
    pub images: Vec<String>,
    /// Delete the tag and leave its manifest and that one's other tags
    #[arg(long)]
    pub tag_only: bool,
    #[command(flatten)]
    pub access: RegistryAccess,
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
