//! The options about encrypted layers, named as skopeo names them.

use std::path::PathBuf;

use clap::Args;

/// Options of commands that send an image.
#[derive(Clone, Debug, Args)]
pub struct EncryptArgs {
    /// Encrypt the layers for the owner of this public key in PEM (RSA or EC on P-256); may be repeated
    #[arg(long = "encryption-key", value_name = "jwe:FILE", value_parser = recipient)]
    pub encryption_keys: Vec<PathBuf>,
    /// Encrypt this layer alone, counted from 0, or from the end by -1; may be repeated
    #[arg(
        long = "encrypt-layer",
        value_name = "N",
        allow_hyphen_values = true,
        requires = "encryption_keys"
    )]
    pub layers: Vec<i64>,
}

/// Options of commands that take an image in.
#[derive(Clone, Debug, Args)]
pub struct DecryptArgs {
    /// Decrypt layers with this private key in PEM (RSA or EC on P-256); may be repeated
    #[arg(long = "decryption-key", value_name = "FILE")]
    pub decryption_keys: Vec<PathBuf>,
}

fn recipient(text: &str) -> Result<PathBuf, String> {
    match text.split_once(':') {
        Some(("jwe", file)) if !file.is_empty() => Ok(file.into()),
        Some((scheme @ ("pgp" | "pkcs7" | "pkcs11" | "provider"), _)) => {
            Err(format!("{scheme} is not supported; jwe:FILE is"))
        }
        _ => Err("it is written jwe:FILE".to_owned()),
    }
}
