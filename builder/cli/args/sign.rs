//! The options of `sign` and `verify-signature`, named as cosign names them.

use clap::{Args, ValueEnum};

use super::PackForm;
use super::registry::PLACES;
use super::values::LabelArg;

#[derive(Debug, Args)]
pub struct SignArgs {
    /// The image: docker://NAME, store:NAME or oci:DIR[:TAG|@DIGEST]
    #[arg(value_name = "PLACE")]
    pub image: String,
    /// Private key in PEM (ECDSA on P-256 or Ed25519), or cosign's with its passphrase in COSIGN_PASSWORD
    #[arg(long, value_name = "FILE|env://NAME")]
    pub key: String,
    /// Add a statement to the signature
    #[arg(short, long = "annotations", value_name = "KEY=VALUE")]
    pub annotations: Vec<LabelArg>,
    /// Sign every manifest of an index as well
    #[arg(short, long)]
    pub recursive: bool,
    /// Keep the signature under the tag sha256-….sig, or as an artifact that refers to the image
    #[arg(long, value_enum, default_value_t = SignatureFormArg::Tag)]
    pub form: SignatureFormArg,
    /// Name that the signature gives the image [default: its repository]
    #[arg(long, value_name = "NAME")]
    pub sign_container_identity: Option<String>,
    /// How layers of the store that have no packed form yet are packed
    #[arg(long, value_enum, default_value_t = PackForm::Gzip)]
    pub compression: PackForm,
}

/// Where a signature is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SignatureFormArg {
    Tag,
    Referrer,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct VerifySignatureArgs {
    /// The image
    #[arg(value_name = "PLACE")]
    pub image: String,
    /// Public key in PEM
    #[arg(long, value_name = "FILE|env://NAME")]
    pub key: String,
    /// A statement that the signature must make
    #[arg(short, long = "annotations", value_name = "KEY=VALUE")]
    pub annotations: Vec<LabelArg>,
}
