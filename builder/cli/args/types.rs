//! The options about media types, named as skopeo names them.

use clap::{Args, ValueEnum};

/// Options of commands that send an image.
#[derive(Clone, Copy, Debug, Args)]
pub struct TypesArgs {
    /// Media types of the manifests: OCI's or Docker's. Configs and layers stay byte for byte
    /// [default: as they are]
    #[arg(
        short,
        long,
        value_name = "oci|v2s2",
        conflicts_with = "preserve_digests",
        value_parser = family
    )]
    pub format: Option<FamilyArg>,
    /// Accepted for compatibility: digests are preserved unless --format asks for other types
    #[arg(long)]
    pub preserve_digests: bool,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FamilyArg {
    Oci,
    V2s2,
}

fn family(text: &str) -> Result<FamilyArg, String> {
    match text {
        "oci" => Ok(FamilyArg::Oci),
        "v2s2" | "docker" => Ok(FamilyArg::V2s2),
        "v2s1" => Err("schema 1 is not written: registries no longer take it; v2s2 is".to_owned()),
        _ => Err("it is oci or v2s2".to_owned()),
    }
}
