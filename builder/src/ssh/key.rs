//! One private key: its public form, and signatures.

use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
};

/// Flag of a request that asks for a signature with SHA-256 (RFC 8332).
const RSA_SHA2_256: u32 = 2;
/// Flag of a request that asks for a signature with SHA-512.
const RSA_SHA2_512: u32 = 4;

/// A private key. Its inside cannot be printed.
pub(super) enum Key {
    Ed25519(Ed25519KeyPair),
    Ecdsa(Curve, EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// A curve of ECDSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
}

impl Curve {
    /// Its name in the protocol.
    fn name(self) -> &'static str {
        match self {
            Self::P256 => "nistp256",
            Self::P384 => "nistp384",
        }
    }

    /// Bytes of a private key.
    pub(super) fn length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    /// How ring signs with it: the two numbers, one after the other.
    pub(super) fn algorithm(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        }
    }
}

impl Key {
    /// The public key as the protocol writes it.
    pub(super) fn public(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => strings(&[b"ssh-ed25519", pair.public_key().as_ref()]),
            Self::Ecdsa(curve, pair) => {
                let kind = format!("ecdsa-sha2-{}", curve.name());
                strings(&[kind.as_bytes(), curve.name().as_bytes(), pair.public_key().as_ref()])
            }
            Self::Rsa(pair) => {
                let public: PublicKeyComponents<Vec<u8>> = pair.public().into();
                strings(&[b"ssh-rsa", &number(&public.e), &number(&public.n)])
            }
        }
    }

    /// A signature as the protocol writes it; `None` when there is none of the form that the flags ask for:
    /// one of RSA with SHA-1.
    pub(super) fn sign(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        match self {
            Self::Ed25519(pair) => Some(strings(&[b"ssh-ed25519", pair.sign(data).as_ref()])),
            Self::Ecdsa(curve, pair) => {
                let signature = pair.sign(&SystemRandom::new(), data).ok()?;
                let (r, s) = signature.as_ref().split_at(curve.length());
                let kind = format!("ecdsa-sha2-{}", curve.name());
                Some(strings(&[kind.as_bytes(), &strings(&[&number(r), &number(s)])]))
            }
            Self::Rsa(pair) => {
                let (name, padding): (&[u8], &dyn RsaEncoding) = if flags & RSA_SHA2_512 != 0 {
                    (b"rsa-sha2-512", &RSA_PKCS1_SHA512)
                } else if flags & RSA_SHA2_256 != 0 {
                    (b"rsa-sha2-256", &RSA_PKCS1_SHA256)
                } else {
                    return None;
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &SystemRandom::new(), data, &mut signature).ok()?;
                Some(strings(&[name, &signature]))
            }
        }
    }
}

/// Strings of the protocol, one after the other: each with its length before it.
pub(super) fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        let length = u32::try_from(part.len()).expect("keys and signatures are short");
        all.extend_from_slice(&length.to_be_bytes());
        all.extend_from_slice(part);
    }
    all
}

/// A positive number as the protocol writes it: no zeros in front but one that keeps it positive.
fn number(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let mut all = Vec::with_capacity(bytes.len() + 1);
    if bytes.get(first).is_some_and(|byte| byte & 0x80 != 0) {
        all.push(0);
    }
    all.extend_from_slice(&bytes[first..]);
    all
}
