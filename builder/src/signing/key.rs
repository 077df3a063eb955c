//! Keys in PEM files: ECDSA on P-256 and RSA (PKCS #1 v1.5), both with SHA-256, and Ed25519.

use std::fmt;

use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Sha512, Signer as _};
use p256::ecdsa::signature::Verifier as _;
use p256::pkcs8::{PrivateKeyInfoRef, SubjectPublicKeyInfoRef};
use pem::Pem;
use ring::rand::SystemRandom;
use ring::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use rsa::pkcs1::{RsaPrivateKeyRef, RsaPublicKeyRef};
use sha2::Digest as _;
use thiserror::Error;

use super::sealed::{self, Passphrase, SealedKeyError};
use super::wrapped;

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
    /// A private key under a passphrase in the form from before PKCS #8.
    #[error(
        "its passphrase is of an old form, which is not supported: convert it with `openssl pkcs8 -topk8`"
    )]
    OldPassphrase,
    /// An RSA key that is too short or too long.
    #[error("it is an RSA key of {bits} bits; {RSA_LEAST} to {most} are supported")]
    Length {
        /// The length of its modulus.
        bits: usize,
        /// The greatest that would do.
        most: usize,
    },
    /// A key of another algorithm or curve.
    #[error("it is a key for {found}; ECDSA on P-256, Ed25519 and RSA are supported")]
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
    /// RSA.
    Rsa(Box<RsaKeyPair>),
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
    /// RSA: the key in PKCS #1's form.
    Rsa(Vec<u8>),
}

/// Bits of RSA keys that sign and check.
const RSA_LEAST: usize = 2048;
const RSA_MOST_SIGNING: usize = 4096;
const RSA_MOST_CHECKING: usize = 8192;

/// Object identifiers of what a key may be for, and their names.
const ALGORITHMS: &[(&str, &str)] = &[
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
const RSA: &str = "1.2.840.113549.1.1.1";

impl SigningKey {
    /// Reads a private key: PKCS #8 (`PRIVATE KEY`), SEC 1 (`EC PRIVATE KEY`), PKCS #1 (`RSA PRIVATE KEY`), or
    /// under a passphrase in the form of cosign or of PKCS #8 (`ENCRYPTED PRIVATE KEY`).
    ///
    /// # Errors
    /// Where it is none of them, the algorithm is another one, or the passphrase is missing or wrong.
    pub fn from_pem(text: &[u8], passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        let block = block(text, "PRIVATE KEY")?;
        // Old files name a cipher in a header of the block.
        if block.headers().iter().next().is_some() {
            return Err(KeyError::OldPassphrase);
        }
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
            "ENCRYPTED PRIVATE KEY" => Self::from_pkcs8(&wrapped::open(block.contents(), passphrase)?),
            "RSA PRIVATE KEY" => {
                rsa_pair(RsaKeyPair::from_der(block.contents()), || modulus_bits(block.contents()))
            }
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
            Kind::Rsa => rsa_pair(RsaKeyPair::from_pkcs8(der), || modulus_bits(info.private_key.as_bytes())),
        }
    }

    /// Signs bytes. The same bytes always get the same signature. ECDSA's is in ASN.1's DER.
    ///
    /// # Panics
    /// Where RSA finds its own arithmetic wrong, which is a fault of the machine.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .expect("a signature of the length of its key");
                signature
            }
        }
    }

    /// The key that checks what this one signs.
    pub fn verifying_key(&self) -> VerifyingKey {
        match self {
            Self::P256(key) => VerifyingKey::P256(Box::new(*key.verifying_key())),
            Self::Ed25519(key) => VerifyingKey::Ed25519(Box::new(key.verifying_key())),
            Self::Rsa(key) => VerifyingKey::Rsa(key.public_key().as_ref().to_vec()),
        }
    }
}

impl VerifyingKey {
    /// Reads a public key (`PUBLIC KEY` or `RSA PUBLIC KEY`).
    ///
    /// # Errors
    /// Where it is none, or for another algorithm.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let block = block(text, "PUBLIC KEY")?;
        let der = block.contents();
        match block.tag() {
            "PUBLIC KEY" => {}
            "RSA PUBLIC KEY" => return rsa_public(der),
            label => {
                return Err(KeyError::Label { label: label.to_owned(), wanted: "a public key (PUBLIC KEY)" });
            }
        }
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
            Kind::Rsa => rsa_public(info.subject_public_key.raw_bytes()),
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
            Self::Rsa(key) => {
                let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key);
                key.verify(message, signature).is_ok()
            }
        }
    }
}

/// A pair, or why it is none; its length is asked for where it was refused.
fn rsa_pair(
    pair: Result<RsaKeyPair, ring::error::KeyRejected>,
    bits: impl FnOnce() -> Option<usize>,
) -> Result<SigningKey, KeyError> {
    match pair {
        Ok(pair) => Ok(SigningKey::Rsa(Box::new(pair))),
        Err(_) => {
            Err(bits().and_then(|bits| wrong_length(bits, RSA_MOST_SIGNING)).unwrap_or(KeyError::Damaged))
        }
    }
}

/// Bits of the modulus of a private key in PKCS #1's form.
fn modulus_bits(der: &[u8]) -> Option<usize> {
    RsaPrivateKeyRef::try_from(der).ok().map(|key| bits(key.modulus.as_bytes()))
}

fn rsa_public(der: &[u8]) -> Result<VerifyingKey, KeyError> {
    let key = RsaPublicKeyRef::try_from(der).map_err(|_| KeyError::Damaged)?;
    match wrong_length(bits(key.modulus.as_bytes()), RSA_MOST_CHECKING) {
        Some(error) => Err(error),
        None => Ok(VerifyingKey::Rsa(der.to_vec())),
    }
}

fn bits(number: &[u8]) -> usize {
    let zeros = number.first().map_or(0, |first| first.leading_zeros() as usize);
    number.len() * 8 - zeros
}

fn wrong_length(bits: usize, most: usize) -> Option<KeyError> {
    (!(RSA_LEAST..=most).contains(&bits)).then_some(KeyError::Length { bits, most })
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
    Rsa,
}

fn kind(algorithm: &p256::pkcs8::AlgorithmIdentifierRef<'_>) -> Result<Kind, KeyError> {
    let oid = algorithm.oid.to_string();
    let curve = || algorithm.parameters_oid().ok().map(|oid| oid.to_string());
    let found = match oid.as_str() {
        ED25519 => return Ok(Kind::Ed25519),
        RSA => return Ok(Kind::Rsa),
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
