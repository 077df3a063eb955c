//! Keys for encrypted layers, read from the files that the options name.

use std::path::Path;

use builder::encryption::{DecryptionKey, EncryptionKeyError, RecipientKey};
use builder::error::Category;
use builder::toolchain::{LayerChoice, LayerCrypt};

use crate::args::{DecryptArgs, EncryptArgs};
use crate::failure::Failure;

/// What becomes of layers that are sent.
pub fn encrypting(args: &EncryptArgs) -> Result<LayerCrypt, Failure> {
    if args.encryption_keys.is_empty() {
        return Ok(LayerCrypt::Keep);
    }
    let keys = args.encryption_keys.iter().map(|path| read(path, "--encryption-key", RecipientKey::from_pem));
    let layers = match args.layers.as_slice() {
        [] => LayerChoice::All,
        chosen => LayerChoice::At(chosen.to_vec()),
    };
    Ok(LayerCrypt::Encrypt(keys.collect::<Result<_, _>>()?, layers))
}

/// What becomes of layers that come in.
pub fn decrypting(args: &DecryptArgs) -> Result<LayerCrypt, Failure> {
    if args.decryption_keys.is_empty() {
        return Ok(LayerCrypt::Keep);
    }
    let keys =
        args.decryption_keys.iter().map(|path| read(path, "--decryption-key", DecryptionKey::from_pem));
    Ok(LayerCrypt::Decrypt(keys.collect::<Result<_, _>>()?))
}

fn read<T>(
    path: &Path,
    option: &str,
    parse: impl Fn(&[u8]) -> Result<T, EncryptionKeyError>,
) -> Result<T, Failure> {
    let failed = |why: String| Failure::new(Category::Local, format!("{option}: {}: {why}", path.display()));
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    parse(&text).map_err(|error| failed(error.to_string()))
}
