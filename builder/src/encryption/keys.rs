//! Keys of recipients in PEM files.

use std::fmt;

use p256::pkcs8::{DecodePrivateKey, DecodePublicKey};
use pem::Pem;
use rsa::pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey};
use thiserror::Error;

/// Why a text is no key that can be used.
#[derive(Debug, Error)]
pub enum EncryptionKeyError {
    /// It has no PEM block of the kind.
    #[error("it holds no {wanted} in PEM form{}", beside(found))]
    Absent {
        /// What is wanted.
        wanted: &'static str,
        /// Labels of what is there.
        found: Vec<String>,
    },
    /// A private key under a passphrase.
    #[error("it has a passphrase, which is not supported: decrypt it with `openssl pkey`")]
    Encrypted,
    /// The bytes are no such key, or for something else.
    #[error("it is neither a key for RSA nor for EC on P-256")]
    Algorithm,
}

fn beside(found: &[String]) -> String {
    if found.is_empty() { String::new() } else { format!(", but {}", found.join(", ")) }
}

/// A public key for which layers are encrypted.
#[derive(Clone, Debug)]
pub enum RecipientKey {
    /// RSA.
    Rsa(Box<rsa::PublicKey>),
    /// EC on P-256.
    P256(Box<p256::PublicKey>),
}

/// A private key that opens layers. It cannot be printed.
#[derive(Clone)]
pub enum DecryptionKey {
    /// RSA.
    Rsa(Box<rsa::PrivateKey>),
    /// EC on P-256.
    P256(Box<p256::SecretKey>),
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecryptionKey")
    }
}

impl RecipientKey {
    /// Reads a public key (`PUBLIC KEY` or `RSA PUBLIC KEY`).
    ///
    /// # Errors
    /// Where it is none, or for another algorithm.
    pub fn from_pem(text: &[u8]) -> Result<Self, EncryptionKeyError> {
        let block = block(text, &["PUBLIC KEY", "RSA PUBLIC KEY"], "public key")?;
        let der = block.contents();
        if let Ok(key) = rsa::PublicKey::from_public_key_der(der) {
            return Ok(Self::Rsa(Box::new(key)));
        }
        if let Ok(key) = rsa::PublicKey::from_pkcs1_der(der) {
            return Ok(Self::Rsa(Box::new(key)));
        }
        let key = p256::PublicKey::from_public_key_der(der).map_err(|_| EncryptionKeyError::Algorithm)?;
        Ok(Self::P256(Box::new(key)))
    }
}

impl DecryptionKey {
    /// Reads a private key (`PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`).
    ///
    /// # Errors
    /// Where it is none, has a passphrase, or is for another algorithm.
    pub fn from_pem(text: &[u8]) -> Result<Self, EncryptionKeyError> {
        let labels = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"];
        let block = block(text, &labels, "private key")?;
        let der = block.contents();
        // Old PEM files name a cipher in a header of the block.
        if block.tag() == "ENCRYPTED PRIVATE KEY" || block.headers().iter().next().is_some() {
            return Err(EncryptionKeyError::Encrypted);
        }
        if let Ok(key) = rsa::PrivateKey::from_pkcs8_der(der) {
            return Ok(Self::Rsa(Box::new(key)));
        }
        if let Ok(key) = rsa::PrivateKey::from_pkcs1_der(der) {
            return Ok(Self::Rsa(Box::new(key)));
        }
        let key = p256::SecretKey::from_pkcs8_der(der);
        let key = key.or_else(|_| p256::SecretKey::from_sec1_der(der));
        key.map(|key| Self::P256(Box::new(key))).map_err(|_| EncryptionKeyError::Algorithm)
    }
}

/// The first block with one of these labels; others may stand beside it.
fn block(text: &[u8], labels: &[&str], wanted: &'static str) -> Result<Pem, EncryptionKeyError> {
    let blocks = pem::parse_many(text).unwrap_or_default();
    let found: Vec<String> = blocks.iter().map(|block| block.tag().to_owned()).collect();
    blocks
        .into_iter()
        .find(|block| labels.contains(&block.tag()))
        .ok_or(EncryptionKeyError::Absent { wanted, found })
}
