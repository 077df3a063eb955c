//! Keys in PEM files: ECDSA on P-256 with SHA-256, and Ed25519.

use std::fmt;

use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Sha512, Signer as _};
use p256::ecdsa::signature::Verifier as _;
use p256::pkcs8::{PrivateKeyInfoRef, SubjectPublicKeyInfoRef};
use pem::Pem;
use sha2::Digest as _;
use thiserror::Error;

use super::sealed::{self, Passphrase, SealedKeyError};

/// Why a text is no key that can be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It has no PEM block.
    #[error("it is no key in PEM form")]
    NoPem,
    /// The block holds something else.
    #[error("it holds \"{label}\"; {wanted} is wanted")]
    Label {
        /// The label of the block.
        label: String,
        /// What would do.
        wanted: &'static str,
    },
    /// A private key under a passphrase that is not cosign's form.
    #[error(
        "its passphrase is of PKCS #8, which is not supported: decrypt it with `openssl pkey`, or import \
         it with `cosign import-key-pair`"
    )]
    Encrypted,
    /// A key of another algorithm or curve.
    #[error("it is a key for {found}; ECDSA on P-256 and Ed25519 are supported")]
    Algorithm {
        /// What the key is for.
        found: String,
    },
    /// The bytes are not what the label says.
    #[error("the key in it is damaged")]
    Damaged,
    /// A key under a passphrase.
    #[error(transparent)]
    Sealed(#[from] SealedKeyError),
}

/// A key that signs. It cannot be printed.
pub enum SigningKey {
    /// ECDSA on P-256.
    P256(Box<p256::ecdsa::SigningKey>),
    /// Ed25519.
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

/// A key that checks signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyingKey {
    /// ECDSA on P-256.
    P256(Box<p256::ecdsa::VerifyingKey>),
    /// Ed25519.
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
}

/// Object identifiers of what a key may be for, and their names.
const ALGORITHMS: &[(&str, &str)] = &[
    ("1.2.840.113549.1.1.1", "RSA"),
    ("1.3.132.0.34", "ECDSA on P-384"),
    ("1.3.132.0.35", "ECDSA on P-521"),
    ("1.3.132.0.10", "ECDSA on secp256k1"),
    ("1.3.101.113", "Ed448"),
    ("1.3.101.110", "X25519"),
    ("1.2.840.10040.4.1", "DSA"),
];
const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const ED25519: &str = "1.3.101.112";

impl SigningKey {
    /// Reads a private key: PKCS #8 (`PRIVATE KEY`), SEC 1 (`EC PRIVATE KEY`), or cosign's form under a
    /// passphrase.
    ///
    /// # Errors
    /// Where it is none of them, the algorithm is another one, or the passphrase is missing or wrong.
    pub fn from_pem(text: &[u8], passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        let block = block(text, "PRIVATE KEY")?;
        match block.tag() {
            "PRIVATE KEY" => Self::from_pkcs8(block.contents()),
            "EC PRIVATE KEY" => {
                let key = p256::SecretKey::from_sec1_der(block.contents())
                    .map_err(|_| KeyError::Algorithm { found: "a curve that is not P-256".to_owned() })?;
                Ok(Self::P256(Box::new(key.into())))
            }
            "ENCRYPTED SIGSTORE PRIVATE KEY" | "ENCRYPTED COSIGN PRIVATE KEY" => {
                Self::from_pkcs8(&sealed::open(block.contents(), passphrase)?)
            }
            "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
            "RSA PRIVATE KEY" => Err(KeyError::Algorithm { found: "RSA".to_owned() }),
            label => Err(KeyError::Label { label: label.to_owned(), wanted: "a private key" }),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| KeyError::Damaged)?;
        match kind(&info.algorithm)? {
            Kind::P256 => {
                let key = p256::SecretKey::from_pkcs8_der(der).map_err(|_| KeyError::Damaged)?;
                Ok(Self::P256(Box::new(key.into())))
            }
            Kind::Ed25519 => {
                let key = ed25519_dalek::SigningKey::from_pkcs8_der(der).map_err(|_| KeyError::Damaged)?;
                Ok(Self::Ed25519(Box::new(key)))
            }
        }
    }

    /// Signs bytes. The same bytes always get the same signature. ECDSA's is in ASN.1's DER.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }

    /// The key that checks what this one signs.
    pub fn verifying_key(&self) -> VerifyingKey {
        match self {
            Self::P256(key) => VerifyingKey::P256(Box::new(*key.verifying_key())),
            Self::Ed25519(key) => VerifyingKey::Ed25519(Box::new(key.verifying_key())),
        }
    }
}

impl VerifyingKey {
    /// Reads a public key (`PUBLIC KEY`).
    ///
    /// # Errors
    /// Where it is none, or for another algorithm.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let block = block(text, "PUBLIC KEY")?;
        if block.tag() != "PUBLIC KEY" {
            let label = block.tag().to_owned();
            return Err(KeyError::Label { label, wanted: "a public key (PUBLIC KEY)" });
        }
        let der = block.contents();
        let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| KeyError::Damaged)?;
        match kind(&info.algorithm)? {
            Kind::P256 => {
                let key = p256::ecdsa::VerifyingKey::from_public_key_der(der);
                Ok(Self::P256(Box::new(key.map_err(|_| KeyError::Damaged)?)))
            }
            Kind::Ed25519 => {
                let key = ed25519_dalek::VerifyingKey::from_public_key_der(der);
                Ok(Self::Ed25519(Box::new(key.map_err(|_| KeyError::Damaged)?)))
            }
        }
    }

    /// Whether a signature over these bytes is by this key. Of Ed25519 both forms count: that of the
    /// bytes, and that of their hash (Ed25519ph), which newer versions of cosign make.
    pub fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(key) => p256::ecdsa::DerSignature::try_from(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature).is_ok_and(|signature| {
                let hashed = Sha512::new().chain_update(message);
                key.verify_strict(message, &signature).is_ok()
                    || key.verify_prehashed_strict(hashed, None, &signature).is_ok()
            }),
        }
    }
}

/// The first block whose label ends so; other blocks (parameters of curves, certificates) may stand beside.
fn block(text: &[u8], ending: &str) -> Result<Pem, KeyError> {
    let mut blocks = pem::parse_many(text).map_err(|_| KeyError::NoPem)?;
    let wanted = blocks.iter().position(|block| block.tag().ends_with(ending)).unwrap_or(0);
    match wanted < blocks.len() {
        true => Ok(blocks.swap_remove(wanted)),
        false => Err(KeyError::NoPem),
    }
}

/// What a key is for.
enum Kind {
    P256,
    Ed25519,
}

fn kind(algorithm: &p256::pkcs8::AlgorithmIdentifierRef<'_>) -> Result<Kind, KeyError> {
    let oid = algorithm.oid.to_string();
    let curve = || algorithm.parameters_oid().ok().map(|oid| oid.to_string());
    let found = match oid.as_str() {
        ED25519 => return Ok(Kind::Ed25519),
        EC => match curve() {
            Some(curve) if curve == P256 => return Ok(Kind::P256),
            curve => curve.unwrap_or_else(|| "a curve without a name".to_owned()),
        },
        _ => oid,
    };
    let name = ALGORITHMS.iter().find(|(known, _)| *known == found).map(|(_, name)| (*name).to_owned());
    Err(KeyError::Algorithm { found: name.unwrap_or(found) })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
