//! Private keys under a passphrase in PKCS #8's own form (PBES2), as openssl writes them.

use pkcs8::EncryptedPrivateKeyInfoRef;

use super::sealed::{MOST_MEMORY, Passphrase, SealedKeyError};

/// The key inside, itself in PKCS #8.
pub(super) fn open(der: &[u8], passphrase: Option<&Passphrase>) -> Result<Vec<u8>, SealedKeyError> {
    let form = |why: String| SealedKeyError::Form(why);
    let key = EncryptedPrivateKeyInfoRef::try_from(der)
        .map_err(|error| form(format!("it is none of PBES2: {error}")))?;
    let Some(parameters) = key.encryption_algorithm.pbes2() else {
        return Err(form(format!("it is none of PBES2 but {}", key.encryption_algorithm.oid())));
    };
    let memory = parameters
        .kdf
        .scrypt()
        .map(|scrypt| u64::from(scrypt.block_size).saturating_mul(128).saturating_mul(scrypt.cost_parameter));
    if memory.is_some_and(|memory| memory > MOST_MEMORY) {
        return Err(form("its parameters of scrypt are too large".to_owned()));
    }
    let passphrase = passphrase.ok_or(SealedKeyError::NoPassphrase)?;
    // A wrong passphrase shows in the padding, or in what comes out.
    let opened = key.decrypt(passphrase.reveal()).map_err(|_| SealedKeyError::WrongPassphrase)?;
    Ok(opened.as_bytes().to_vec())
}
